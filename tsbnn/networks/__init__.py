"""Forecasting networks: plain torch modules that know nothing of inference."""

from __future__ import annotations

from tsbnn.networks.autoregressive import AutoregressiveNetwork
from tsbnn.networks.base import ForecastingNetwork, PointLosses, Predicted
from tsbnn.networks.conversion import from_gluonts
from tsbnn.networks.deepar import DeepAR
from tsbnn.networks.lstm import LSTM
from tsbnn.networks.patch_transformer import PatchTransformer
from tsbnn.networks.sampling import Evaluator, sample_paths
from tsbnn.networks.transformer import Transformer

__all__ = [
    "LSTM",
    "AutoregressiveNetwork",
    "DeepAR",
    "Evaluator",
    "ForecastingNetwork",
    "PatchTransformer",
    "PointLosses",
    "Predicted",
    "Transformer",
    "from_gluonts",
    "sample_paths",
]
