"""Predictions within a memory limit: peaks are counted, and results stay what they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gluonts.torch.distributions import NormalOutput

from tests.forecasting.draw_cases import deepar, fields, transformer
from tsbnn.forecasting import BayesianEstimator
from tsbnn.forecasting.prediction import weight_draws as weight_draws_module
from tsbnn.forecasting.prediction.live_memory import LiveMemory
from tsbnn.forecasting.prediction.prediction import Prediction
from tsbnn.inference import count_weights
from tsbnn.inference.posteriors import MeanFieldGaussian

MIB = 2**20


def posterior(network, spread: float = 0.1) -> MeanFieldGaussian:
    mean = torch.cat([p.detach().flatten() for p in network.parameters()])
    return MeanFieldGaussian(mean, torch.full_like(mean, spread**-2))


def predict(network, inputs, num_draws, num_samples, spread=0.1, **settings):
    belief = posterior(network, spread)
    made = Prediction(network, belief, num_draws, num_samples, seed=0, **settings)
    torch.manual_seed(1)
    with torch.no_grad():
        return made(inputs)


@pytest.mark.parametrize("way", ["loop", "batched"])
@pytest.mark.parametrize("build", [deepar, transformer])
@pytest.mark.parametrize(
    ("num_draws", "num_samples", "limit"),
    [(2, 400, MIB), (12, 60, MIB // 2)],
    ids=["paths", "draws"],
)
def test_the_peak_stays_below_the_limit(build, way, num_draws, num_samples, limit) -> None:
    network = build(hidden_size=20) if build is deepar else build()
    inputs = fields(network, batch=8)
    # Trials come first: they are of one draw, and counted in no limit.
    predict(network, inputs, 1, 1, draw_evaluation=way)
    result = 8 * num_samples * network.prediction_length * 4
    peaks = {}
    for name, memory_limit in {"limited": limit, "unlimited": 10**10}.items():
        with LiveMemory() as memory:
            found = predict(
                network,
                inputs,
                num_draws,
                num_samples,
                draw_evaluation=way,
                memory_limit=memory_limit,
            )
        assert found.samples.shape == (8, num_samples, network.prediction_length)
        assert np.isfinite(found.samples).all()
        peaks[name] = memory.peak - result
    assert peaks["limited"] <= limit
    if way == "batched":
        assert peaks["unlimited"] > limit


def test_a_hundred_thousand_samples(tiny, series) -> None:
    predictor = BayesianEstimator(tiny("deepar"), num_draws=5, memory_limit=4 * MIB).train(series)
    one = [next(iter(series))]
    list(predictor.predict(one))
    with LiveMemory() as memory:
        forecast = next(iter(predictor.predict(one, num_samples=100_000)))
    assert forecast.samples.shape == (100_000, 4)
    assert np.bincount(forecast.draw_index).tolist() == [20_000] * 5
    assert memory.peak < forecast.samples.nbytes + 4 * MIB


def test_the_law_does_not_depend_on_the_limit() -> None:
    """Quantiles of each draw's paths agree: they are the same draws."""
    network = deepar()
    inputs = fields(network)
    limits = (10**9, 10**6)
    found = [predict(network, inputs, 2, 4001, 1.0, memory_limit=n).samples for n in limits]
    assert not np.array_equal(*found)
    levels = [0.1, 0.5, 0.9]
    for paths in (slice(0, 2001), slice(2001, None)):
        one, other = (np.quantile(samples[:, paths], levels, axis=1) for samples in found)
        spread = one[-1] - one[0]
        assert (abs(one - other) < 0.1 * spread).all()
    # The two draws themselves are further apart than that.
    assert (abs(one[1] - np.quantile(found[0][:, :2001], 0.5, axis=1)) / spread).max() > 0.1


def test_paths_stand_with_their_draws_and_series() -> None:
    """However the work is cut: direct networks' moments tell which draw a path is of."""
    for limit in (10**9, 40_000, 9_000, 2_000):
        network = Levels()
        inputs = {"past_target": torch.tensor([[100.0], [200.0], [300.0]])}
        made = Prediction(network, posterior(network, 5.0), 4, 10, seed=0, memory_limit=limit)
        with torch.no_grad():
            found = made(inputs)
        assert found.samples.shape == (3, 10, 4)
        assert made.draw_index.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
        expected = found.mean[:, made.draw_index]
        np.testing.assert_allclose(found.samples, expected, atol=0.1)
        np.testing.assert_allclose(found.mean[1] - found.mean[0], 100.0, rtol=1e-4)
        assert len(np.unique(found.mean[0, :, 0].round(2))) == 4
        np.testing.assert_allclose(found.variance, 1e-4, rtol=1e-3)


class Levels(torch.nn.Module):
    """Forecasts the last value plus a weight, nearly without noise."""

    def __init__(self) -> None:
        super().__init__()
        self.distr_output = NormalOutput()
        self.level = torch.nn.Parameter(torch.zeros(1))

    def forward(self, past_target):
        one = torch.ones(len(past_target), 4)
        return (one * self.level, 0.01 * one), past_target, one[:, :1]


def test_draws_of_large_networks_are_made_anew(monkeypatch) -> None:
    network = deepar()
    inputs = fields(network)
    monkeypatch.setattr(weight_draws_module, "BLOCK_BYTES", 3 * 4 * count_weights(network))
    made = [
        Prediction(network, posterior(network), 7, 14, seed=0, memory_limit=limit)
        for limit in (10**9, 10**6 // 4, 16 * count_weights(network))
    ]
    assert [one.draws.fits for one in made] == [True, True, False]
    for kept, anew in ((made[0], made[2]), (made[0], made[1])):
        for _ in range(2):
            both = []
            for one in (kept, anew):
                one.limit = 10**9
                torch.manual_seed(0)
                with torch.no_grad():
                    both.append(one(inputs).samples)
            np.testing.assert_allclose(*both, rtol=1e-5)
    assert len(made[0].paths._kept) == 3
    assert not made[2].paths._kept
