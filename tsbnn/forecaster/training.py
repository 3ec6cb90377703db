"""What a forecaster's parameters mean: its horizon, its dataset, its estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from tsbnn.datasets import FrameDataset, from_frame
from tsbnn.forecaster.network import network_of
from tsbnn.forecasting import BayesianEstimator, BayesianPredictor
from tsbnn.forecasting.inputs import check_whole

if TYPE_CHECKING:
    from tsbnn.forecaster.forecaster import Forecaster


#: Called with the fraction of some work that is done.
Progress = Callable[[float], None]


def part(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """The progress of a part of the work: its fractions lie between ``begin`` and ``end``."""
    if progress is None:
        return None
    return lambda share: progress(begin + (end - begin) * share)


def horizon_of(forecaster: Forecaster) -> int:
    """Steps to forecast.

    Raises
    ------
    ValueError
        If neither the forecaster nor its model says how many.
    """
    length = forecaster.prediction_length
    if length is None:
        length = getattr(forecaster.model, "prediction_length", None)
    if length is None:
        raise ValueError("prediction_length is missing: how many steps to forecast")
    return check_whole(length, "prediction_length")


def dataset_of(forecaster: Forecaster, df: pd.DataFrame | pd.Series) -> FrameDataset:
    """Make a dataset for training of a frame.

    Raises
    ------
    FrameError
        Naming series, column, row and value.
    """
    horizon_of(forecaster)
    return from_frame(
        df,
        item_id=forecaster.item_id,
        timestamp=forecaster.timestamp,
        target=forecaster.target,
        freq=forecaster.freq,
        known_covariates=forecaster.covariates,
        past_covariates=forecaster.past_covariates,
        static_features=forecaster.static_features,
        fill_covariates=forecaster.fill_covariates,
    ).training


def trained(
    forecaster: Forecaster,
    dataset: FrameDataset,
    train: Callable[[BayesianEstimator], BayesianPredictor],
    progress: Progress | None = None,
) -> BayesianPredictor:
    """Train an estimator for a dataset, in silence unless the forecaster is to be verbose.

    What ``progress`` is told takes the place of Lightning's bar.

    Raises
    ------
    ValueError, TypeError
        For parameters that do not fit.
    """
    estimator = estimator_of(forecaster, dataset)
    if forecaster.verbose and progress is None:
        return train(estimator)
    from tsbnn.evaluation.lightning_run import quiet, quiet_copy

    with quiet():
        return train(quiet_copy(estimator, progress or (lambda share: None), "")[0])


def estimator_of(forecaster: Forecaster, dataset: FrameDataset) -> BayesianEstimator:
    """Build the estimator for a dataset.

    Raises
    ------
    ValueError, TypeError
        For parameters that do not fit.
    """
    network = network_of(
        forecaster.model,
        dataset,
        horizon_of(forecaster),
        forecaster.support,
        forecaster.time_features,
        forecaster.model_kwargs or {},
    )
    return BayesianEstimator(
        network,
        inference=forecaster.inference,
        num_draws=forecaster.num_draws,
        num_samples=forecaster.num_samples,
        seed=forecaster.seed,
        gradient_evaluations=forecaster.gradient_evaluations,
        time_limit=forecaster.time_limit,
        inference_kwargs=dict(forecaster.inference_kwargs or {}),
    )
