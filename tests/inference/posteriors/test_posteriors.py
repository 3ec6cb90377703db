"""Posteriors: moments of draws, densities, configs, and running a module at a draw."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from tests.inference.scenarios import gather
from tsbnn.inference import MeanFieldGaussian, PointMass, Posterior, posterior_from_config

MEAN = torch.tensor([1.0, -2.0, 0.5])
PRECISION = torch.tensor([4.0, 0.25, 1.0])


def test_draws_have_the_stated_moments() -> None:
    posterior = MeanFieldGaussian(MEAN, PRECISION)
    draws = posterior.sample(40_000, torch.Generator().manual_seed(0))
    assert draws.shape == (40_000, 3)
    sds = PRECISION.rsqrt()
    torch.testing.assert_close(posterior.variance, sds.square())
    assert bool(((draws.mean(0) - MEAN).abs() < 4 * sds / 200).all())
    assert bool(((draws.std(0) / sds - 1).abs() < 4 / 280).all())


def test_log_prob_equals_torch_distributions() -> None:
    weights = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = Normal(MEAN, PRECISION.rsqrt()).log_prob(weights).sum(-1)
    torch.testing.assert_close(MeanFieldGaussian(MEAN, PRECISION).log_prob(weights), expected)


def test_infinite_precision_means_no_spread() -> None:
    posterior = MeanFieldGaussian(MEAN, torch.tensor([4.0, torch.inf, 1.0]))
    draws = posterior.sample(100, torch.Generator().manual_seed(0))
    assert bool((draws[:, 1] == -2.0).all())
    assert posterior.variance[1] == 0.0
    rest = Normal(MEAN[[0, 2]], torch.tensor([0.5, 1.0])).log_prob(torch.zeros(2)).sum()
    torch.testing.assert_close(posterior.log_prob(torch.tensor([0.0, 9.0, 0.0])), rest)


def test_a_point_mass_has_one_draw_and_no_density() -> None:
    posterior = PointMass(MEAN)
    assert torch.equal(posterior.sample(2), torch.stack([MEAN, MEAN]))
    assert torch.equal(posterior.variance, torch.zeros(3))
    with pytest.raises(ValueError, match="no density"):
        posterior.log_prob(MEAN)


@pytest.mark.parametrize(
    "posterior", [MeanFieldGaussian(MEAN, PRECISION), PointMass(MEAN)], ids=lambda p: p.family
)
def test_config_and_state_round_trip(posterior: Posterior) -> None:
    config = json.loads(json.dumps(posterior.to_config()))
    restored = posterior_from_config(config)
    restored.load_state_dict(posterior.state_dict())
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    assert torch.equal(restored.sample(4, generators[0]), posterior.sample(4, generators[1]))


def test_drawn_runs_one_draw_and_restores(unchanged_global_random_state: None) -> None:
    with torch.random.fork_rng():
        module = nn.Linear(2, 1)
    posterior = MeanFieldGaussian(MEAN, PRECISION)
    own = gather(module)
    draw = posterior.sample(1, torch.Generator().manual_seed(7))[0]
    with posterior.drawn(module, torch.Generator().manual_seed(7)):
        assert torch.equal(gather(module), draw)
    assert torch.equal(gather(module), own)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"not \(3,\) and \(2,\)"):
        MeanFieldGaussian(MEAN, PRECISION[:2])
    with pytest.raises(ValueError, match="unknown posterior family 'flow'"):
        posterior_from_config({"family": "flow", "num_weights": 3})
    for sizes in ({}, {"num_weights": 3, "rank": 2}):
        with pytest.raises(ValueError, match="family 'mean_field' cannot be built from"):
            posterior_from_config({"family": "mean_field", **sizes})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cpu_generator_draws_the_same_weights_on_a_gpu() -> None:
    posterior = MeanFieldGaussian(MEAN, PRECISION)
    here = posterior.sample(3, torch.Generator().manual_seed(0))
    there = posterior.cuda().sample(3, torch.Generator().manual_seed(0)).cpu()
    torch.testing.assert_close(here, there)
