"""Training within a time limit: what is planned fits, and is carried out to its end."""

from __future__ import annotations

import time
import warnings

import pytest
import torch

from tsbnn import BayesianEstimator
from tsbnn.inference import PosteriorWarning

ENDLESS = {"max_epochs": -1, "max_steps": -1}
# One of each kind of plan: none, a warm start, members, a last pass, cycles, a swap schedule.
METHODS = ("map", "score", "ensemble", "laplace", "cyclical", "ssvi")


def test_a_plan_that_fits_is_carried_out_to_its_end(tiny, series) -> None:
    limit = 1.5
    estimator = BayesianEstimator(tiny("our_deepar", ENDLESS), time_limit=limit)
    began = time.perf_counter()
    summary = estimator.train(series).training_summary
    took = time.perf_counter() - began
    assert took < limit + 1.0
    # Other processes may wake up or fall asleep meanwhile.
    assert summary["wall_s"] > 0.25 * limit
    assert summary["planned_steps"] > 20
    assert summary["steps"] > 0.4 * summary["planned_steps"]


def test_a_generous_limit_changes_nothing_of_the_plan(tiny, series) -> None:
    with_limit, without = (
        BayesianEstimator(tiny("our_deepar"), time_limit=limit).train(series).training_summary
        for limit in (600, None)
    )
    for key in ("planned_steps", "steps", "gradient_evaluations"):
        assert with_limit[key] == without[key]


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_plan_keeps_a_limit(method, tiny, series) -> None:
    network = tiny("our_patch_transformer", {"max_epochs": -1, "max_steps": 10**6})
    settings = {"last_pass": 5} if method == "laplace" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorWarning)
        predictor = BayesianEstimator(
            network, method, time_limit=0.4, inference_kwargs=settings
        ).train(series)
    summary = predictor.training_summary
    assert 1 <= summary["steps"] <= summary["planned_steps"] < 10**6
    assert torch.isfinite(predictor.posterior.mean).all()


def test_too_little_time_is_told(tiny, series) -> None:
    with pytest.raises(ValueError, match=r"time_limit: .* one gradient evaluation takes"):
        BayesianEstimator(tiny("our_deepar"), time_limit=1e-4).train(series)


@pytest.mark.parametrize("limit", [0, -1.0, float("inf"), float("nan")])
def test_limits_are_checked(limit, tiny) -> None:
    with pytest.raises(ValueError, match="time_limit must be a positive number of seconds"):
        BayesianEstimator(tiny("our_deepar"), time_limit=limit)
