"""Estimators of our networks: GluonTS estimators on their own, and inside BayesianEstimator."""

from __future__ import annotations

from tsbnn.forecasting.estimators.deepar import DeepAREstimator
from tsbnn.forecasting.estimators.patch_transformer import PatchTransformerEstimator
from tsbnn.forecasting.estimators.transformer import TransformerEstimator

__all__ = ["DeepAREstimator", "PatchTransformerEstimator", "TransformerEstimator"]
