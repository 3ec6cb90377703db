"""Training within a time limit: what is planned fits, and is carried out to its end."""

from __future__ import annotations

import itertools
import time
import warnings
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Timer

from tsbnn import BayesianEstimator
from tsbnn.forecasting import time_limit as time_limit_module
from tsbnn.inference import PosteriorWarning

ENDLESS = {"max_epochs": -1, "max_steps": 10**6}
# One of each kind of plan: none, a warm start, members, a last pass, cycles, a swap schedule.
METHODS = ("map", "score", "ensemble", "laplace", "cyclical", "ssvi")
LIMIT = 60


@pytest.fixture
def second_per_step(monkeypatch) -> None:
    """Let every look at the clock find that a second has passed: the machine may be busy."""
    clock = itertools.count(time.perf_counter())
    fake = SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr(time_limit_module, "time", fake)


@pytest.mark.usefixtures("second_per_step")
@pytest.mark.parametrize("method", METHODS)
def test_steps_that_fit_are_planned_and_taken(method, tiny, series) -> None:
    network = tiny("our_patch_transformer", ENDLESS)
    settings = {"last_pass": 5} if method == "laplace" else None
    estimator = BayesianEstimator(network, method, time_limit=LIMIT, inference_kwargs=settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorWarning)
        output = estimator.train_model(series)
    summary = output.predictor.training_summary
    # Of 60 seconds the trial takes some, and a tenth stays spare. Steps of one evaluation in the
    # trial may have two in training.
    assert 20 < summary["planned_steps"] < LIMIT - 8
    assert summary["steps"] == summary["planned_steps"]
    assert torch.isfinite(output.predictor.posterior.mean).all()
    (timer,) = (c for c in output.trainer.callbacks if isinstance(c, Timer))
    assert timer._duration < LIMIT


@pytest.mark.parametrize("cache_data", [True, False])
def test_a_generous_limit_changes_nothing(cache_data, tiny, series) -> None:
    with_limit, without = (
        BayesianEstimator(tiny("our_deepar", dropout_rate=0.1), "map", time_limit=limit).train(
            series, cache_data=cache_data
        )
        for limit in (600, None)
    )
    for key in ("planned_steps", "steps", "gradient_evaluations"):
        assert with_limit.training_summary[key] == without.training_summary[key]
    assert torch.equal(with_limit.posterior.mean, without.posterior.mean)


def test_too_little_time_is_told(tiny, series) -> None:
    with pytest.raises(ValueError, match=r"time_limit: .* one gradient evaluation takes"):
        BayesianEstimator(tiny("our_deepar"), time_limit=1e-4).train(series)


@pytest.mark.parametrize("limit", [0, -1.0, float("inf"), float("nan")])
def test_limits_are_checked(limit, tiny) -> None:
    with pytest.raises(ValueError, match="time_limit must be a positive number of seconds"):
        BayesianEstimator(tiny("our_deepar"), time_limit=limit)


def test_a_training_that_goes_on_has_no_limit(tiny, series) -> None:
    with pytest.raises(ValueError, match="time_limit plans a training from its beginning"):
        BayesianEstimator(tiny("our_deepar"), time_limit=9).train(series, ckpt_path="last.ckpt")
