"""Prediction: exact sample counts, one set of weight draws a call, nothing changed outside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from gluonts.dataset.common import ListDataset
from gluonts.model.predictor import ParallelizedPredictor
from gluonts.torch.distributions import NormalOutput

from tsbnn.forecasting import BayesianEstimator
from tsbnn.inference import weights_at


@pytest.fixture(scope="module")
def trained(tiny, series):
    """Predictors of a network that samples and of one with a distribution head."""
    return {
        name: BayesianEstimator(tiny(name), num_draws=4, num_samples=10).train(series)
        for name in ("deepar", "simple_feedforward")
    }


@pytest.mark.parametrize("name", ["deepar", "simple_feedforward"])
@pytest.mark.parametrize(
    ("num_samples", "per_draw"),
    [(None, [3, 3, 2, 2]), (8, [2, 2, 2, 2]), (5, [2, 1, 1, 1]), (3, [1, 1, 1]), (1, [1])],
)
def test_sample_counts_are_exact(name, num_samples, per_draw, trained, series) -> None:
    for forecast in trained[name].predict(series, num_samples=num_samples):
        assert forecast.num_samples == sum(per_draw)
        assert np.bincount(forecast.draw_index).tolist() == per_draw


def test_at_least_one_sample(trained, series) -> None:
    with pytest.raises(ValueError, match="num_samples=0: expected a whole number"):
        trained["deepar"].predict(series, num_samples=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 2.5}, "num_samples=2.5: expected a whole number of at least 1"),
        ({"num_samples": True}, "num_samples=True: expected a whole number"),
        ({"seed": -1}, r"seed must lie in 0\.\.2\*\*63-1, not -1"),
        ({"seed": 0.5}, "seed must be a whole number, not 0.5"),
    ],
)
def test_counts_and_seeds_that_are_none(options, message, trained, series) -> None:
    with pytest.raises(ValueError, match=message):
        trained["deepar"].predict(series, **options)


def test_numbers_of_numpy_are_numbers(trained, series) -> None:
    (one, *_), (other, *_) = (
        trained["deepar"].predict(series, num_samples=kind(5), seed=kind(3))
        for kind in (int, np.int64)
    )
    np.testing.assert_array_equal(one.samples, other.samples)


def test_a_frame_is_no_dataset(trained) -> None:
    with pytest.raises(
        TypeError, match=r"dataset is a pandas DataFrame.*tsbnn\.datasets\.from_frame"
    ):
        trained["deepar"].predict(pd.DataFrame({"target": [1.0]}))


def test_series_that_come_one_by_one_are_forecast(trained, series) -> None:
    assert len(list(trained["deepar"].predict(entry for entry in series))) == 3


@pytest.mark.usefixtures("unchanged_global_random_state")
@pytest.mark.parametrize("name", ["deepar", "simple_feedforward"])
def test_two_calls_agree_and_a_seed_changes_them(name, trained, series) -> None:
    predictor = trained[name]
    calls = [list(predictor.predict(series, seed=seed)) for seed in (None, None, 1, 1)]
    default, again, one, one_again = (np.stack([f.samples for f in call]) for call in calls)
    np.testing.assert_array_equal(default, again)
    np.testing.assert_array_equal(one, one_again)
    assert not np.array_equal(default, one)


@pytest.mark.usefixtures("unchanged_global_random_state")
def test_the_caller_may_draw_between_forecasts(trained, series) -> None:
    predictor = trained["deepar"]
    predictor.batch_size, before = 1, predictor.batch_size
    undisturbed = [forecast.samples for forecast in predictor.predict(series)]
    first, second = predictor.predict(series), predictor.predict(series, seed=8)
    with torch.random.fork_rng():
        for samples in undisturbed:
            np.testing.assert_array_equal(next(first).samples, samples)
            torch.rand(3)
            next(second)
    predictor.batch_size = before


def test_weights_are_drawn_once_a_call(trained) -> None:
    """The same series twice has the same draw means, in another batch as well."""
    entry = {"start": "2021-01-01", "target": np.arange(30.0)}
    predictor = trained["simple_feedforward"]
    forecasts = list(predictor.predict(ListDataset([entry] * 9, freq="h")))
    assert predictor.batch_size < 9
    for forecast in forecasts[1:]:
        np.testing.assert_allclose(forecast.draw_mean, forecasts[0].draw_mean, rtol=1e-5)
        assert not np.array_equal(forecast.samples, forecasts[0].samples)


def test_closed_form_moments_are_those_of_the_paths(trained, series) -> None:
    forecast = next(iter(trained["simple_feedforward"].predict(series, num_samples=40_000)))
    for draw in range(4):
        mine = forecast.draw_samples(draw)
        error = np.sqrt(forecast.draw_variance[draw] / len(mine))
        assert (abs(mine.mean(axis=0) - forecast.draw_mean[draw]) < 5 * error).all()


def test_prediction_runs_at_posterior_draws_and_leaves_the_mean(trained, series) -> None:
    predictor = trained["simple_feedforward"]
    network, posterior = predictor.prediction_net.network, predictor.posterior
    held = torch.cat([p.detach().reshape(-1) for p in network.parameters()])
    torch.testing.assert_close(held, posterior.mean)
    network.train()
    next(iter(predictor.predict(series)))
    after = torch.cat([p.detach().reshape(-1) for p in network.parameters()])
    assert torch.equal(held, after)
    assert not network.training
    # A posterior without spread gives every draw the mean's forecast.
    spread = posterior.precision.clone()
    posterior.precision.fill_(1e30)
    narrow = next(iter(predictor.predict(series)))
    posterior.precision.copy_(spread)
    with weights_at(network, posterior.mean):
        wide = next(iter(predictor.predict(series)))
    assert (narrow.draw_mean.std(axis=0) < 1e-5 * abs(narrow.mean)).all()
    assert (wide.draw_mean.std(axis=0) > 1e-3).all()


def test_no_spread_of_weights_shows_as_no_epistemic_variance(tiny) -> None:
    """20 draws of 5 autoregressive paths over 1,200 steps; the truth is a share of 0."""
    rng = np.random.default_rng(5)
    data = ListDataset(
        [{"start": "2021-01-01", "target": 10 + rng.normal(size=20)} for _ in range(300)], freq="h"
    )
    wrapped = tiny("deepar", distr_output=NormalOutput(), batch_size=100)
    predictor = BayesianEstimator(wrapped, num_draws=20, num_samples=100).train(data)
    predictor.posterior.precision.fill_(1e30)
    forecasts = list(predictor.predict(data))
    epistemic = np.concatenate([forecast.epistemic_variance for forecast in forecasts])
    total = np.concatenate([forecast.total_std**2 for forecast in forecasts])
    assert len(total) >= 1000
    assert abs(epistemic.mean() / total.mean()) < 0.01


def test_a_point_posterior_predicts_at_once(tiny, series) -> None:
    predictor = BayesianEstimator(tiny("deepar"), "map", num_samples=30).train(series)
    forecast = next(iter(predictor.predict(series)))
    assert (forecast.num_draws, forecast.num_samples) == (1, 30)
    np.testing.assert_array_equal(forecast.epistemic_variance, 0.0)
    np.testing.assert_allclose(forecast.total_std, forecast.samples.std(axis=0, ddof=1))


def test_forecasts_stream(trained, series) -> None:
    read = []

    class Endless:
        def __iter__(self):
            while True:
                read.append(1)
                yield from series

        def __len__(self):
            return 10**9

    forecasts = list(islice(trained["deepar"].predict(Endless()), 5))
    assert len(forecasts) == 5
    assert len(read) < 10


def test_output_transform(trained, series) -> None:
    predictor = trained["simple_feedforward"]
    predictor.output_transform = _doubled
    doubled = list(predictor.predict(series))
    predictor.output_transform = None
    for two, one in zip(doubled, predictor.predict(series), strict=True):
        np.testing.assert_array_equal(two.samples, 2 * one.samples)
        assert two.draw_mean is None


def _doubled(batch, samples):
    return 2 * samples


def test_threads_and_processes(trained, series) -> None:
    predictor = trained["simple_feedforward"]
    alone = [forecast.samples for forecast in predictor.predict(series)]
    other = ParallelizedPredictor(predictor, num_workers=1, chunk_size=10)
    for forecast, samples in zip(other.predict(series), alone, strict=True):
        np.testing.assert_array_equal(forecast.samples, samples)
    other.terminate()


def test_gpu_or_not_the_choice_of_device_is_the_callers(trained) -> None:
    assert trained["deepar"].to("cpu").device == "cpu"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: trained["deepar"].posterior.num_weights).result() > 0
