"""Bayesian predictions of DeepAR beside GluonTS's deterministic ones, with 100 paths each.

Every side is the whole `predict` call on the test windows of exchange_rate, data loading included,
with networks of equal size, in a process of its own.
"""

from __future__ import annotations

import functools
import tempfile
from typing import Any

from gluonts.torch import DeepAREstimator as GluonTSDeepAR

from benchmarks.speed.timing import Side, alternate, row
from benchmarks.speed.training import QUIET, check_equal, prepare, settings
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.evaluation.windows import RollingWindows

PATHS, REPEATS = 100, 9
GOALS = {20: 1.3, 100: 3.0}


@functools.cache
def windows() -> list[Any]:
    """List the test windows."""
    data = prepare()
    return list(RollingWindows.of(data.dataset, data.prediction_length, data.windows, data.stride))


@functools.cache
def gluonts_predictor() -> Any:
    """Train GluonTS's DeepAR for a moment."""
    data = prepare()
    with tempfile.TemporaryDirectory() as folder:
        brief = {**QUIET, "max_epochs": 1, "default_root_dir": folder}
        estimator = GluonTSDeepAR(**settings(data), trainer_kwargs=brief)
        return estimator.train(data.training, cache_data=True)


@functools.cache
def own_predictor() -> Any:
    """Train ours by score VI for a moment."""
    data = prepare()
    estimator = DeepAREstimator(**settings(data), trainer_kwargs=QUIET)
    return BayesianEstimator(estimator, gradient_evaluations=300).train(data.training)


def predict_gluonts() -> None:
    """Sample paths at one weight vector."""
    list(gluonts_predictor().predict(windows(), num_samples=PATHS))


def predict_own(num_draws: int) -> None:
    """Sample paths at several weight draws.

    Raises
    ------
    ValueError
        If the forecasts have other draws or paths.
    """
    predictor = own_predictor()
    predictor.num_draws = num_draws
    forecast = list(predictor.predict(windows(), num_samples=PATHS))[-1]
    found = len(set(forecast.draw_index)), len(forecast.samples)
    if found != (num_draws, PATHS):
        raise ValueError(f"{found} draws and paths instead of {(num_draws, PATHS)}")


def rows() -> list[dict[str, Any]]:
    """Measure K draws of 100 / K paths for each K."""
    data = prepare()
    ours = DeepAREstimator(**settings(data)).adapted_to(data.training)
    check_equal(GluonTSDeepAR(**settings(data)), ours)
    sides: dict[str, Side] = {"gluonts": predict_gluonts}
    sides |= {str(k): functools.partial(predict_own, k) for k in GOALS}
    seconds = alternate(sides, REPEATS, before=sides, apart=True)
    return [
        row(
            "prediction",
            f"DeepAR, {k} draws x {PATHS // k} paths, {len(windows())} windows of exchange_rate",
            seconds[str(k)],
            seconds["gluonts"],
            goal=goal,
            against=f"gluonts: its DeepAR's predictor, {PATHS} paths",
        )
        for k, goal in GOALS.items()
    ]
