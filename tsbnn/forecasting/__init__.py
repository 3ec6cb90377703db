"""The GluonTS face: Bayesian estimator, predictor and forecast, and models on disk.

The only place where forecasting networks and inference methods meet.
"""

from __future__ import annotations

from tsbnn.forecasting.conformal import ConformalCalibration
from tsbnn.forecasting.estimator import BayesianEstimator
from tsbnn.forecasting.estimators import (
    DeepAREstimator,
    PatchTransformerEstimator,
    TransformerEstimator,
)
from tsbnn.forecasting.forecast import BayesianForecast
from tsbnn.forecasting.likelihood import WindowLosses, window_losses
from tsbnn.forecasting.posterior_network import PosteriorNetwork
from tsbnn.forecasting.prediction.paths import Paths, draw_paths
from tsbnn.forecasting.predictor import BayesianPredictor
from tsbnn.forecasting.storage import ModelFormatError, load, save

__all__ = [
    "BayesianEstimator",
    "BayesianForecast",
    "BayesianPredictor",
    "ConformalCalibration",
    "DeepAREstimator",
    "ModelFormatError",
    "PatchTransformerEstimator",
    "Paths",
    "PosteriorNetwork",
    "TransformerEstimator",
    "WindowLosses",
    "draw_paths",
    "load",
    "save",
    "window_losses",
]
