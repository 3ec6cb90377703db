"""The full Gaussian: moments, densities and weights without a spread."""

from __future__ import annotations

import json

import pytest
import torch
from torch.distributions import MultivariateNormal

from tsbnn.inference import FullGaussian, posterior_from_config

MEAN = torch.tensor([1.0, -2.0, 0.5])
SCALE = torch.tensor([[2.0, 0.0, 0.0], [-1.0, 0.5, 0.0], [0.3, 0.2, 1.0]])
CHOSEN = torch.tensor([0, 2])
PARTLY = SCALE[:2, :2]


def test_draws_have_the_stated_moments() -> None:
    posterior = FullGaussian(MEAN, SCALE)
    draws = posterior.sample(40_000, torch.Generator().manual_seed(0))
    assert draws.shape == (40_000, 3)
    covariance = SCALE @ SCALE.T
    torch.testing.assert_close(posterior.covariance, covariance)
    torch.testing.assert_close(posterior.variance, covariance.diagonal())
    torch.testing.assert_close(torch.cov(draws.T), covariance, atol=0.1, rtol=0.0)
    torch.testing.assert_close(draws.mean(0), MEAN, atol=0.04, rtol=0.0)


def test_densities_equal_those_of_torch_distributions() -> None:
    posterior = FullGaussian(MEAN, SCALE)
    expected = MultivariateNormal(MEAN, scale_tril=SCALE)
    weights = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(posterior.log_prob(weights), expected.log_prob(weights))
    torch.testing.assert_close(posterior.entropy(), expected.entropy())


def test_weights_outside_the_index_have_no_spread() -> None:
    posterior = FullGaussian(MEAN, PARTLY, CHOSEN)
    draws = posterior.sample(100, torch.Generator().manual_seed(0))
    assert bool((draws[:, 1] == -2.0).all())
    assert float(draws[:, [0, 2]].std(0).min()) > 0.5
    torch.testing.assert_close(posterior.variance, torch.tensor([4.0, 0.0, 1.25]))
    rest = MultivariateNormal(MEAN[CHOSEN], scale_tril=PARTLY)
    torch.testing.assert_close(
        posterior.log_prob(torch.tensor([0.0, 9.0, 0.0])), rest.log_prob(torch.zeros(2))
    )
    torch.testing.assert_close(posterior.entropy(), rest.entropy())


@pytest.mark.parametrize(
    "posterior", [FullGaussian(MEAN, SCALE), FullGaussian(MEAN, PARTLY, CHOSEN)]
)
def test_config_and_state_round_trip(posterior: FullGaussian) -> None:
    restored = posterior_from_config(json.loads(json.dumps(posterior.to_config())))
    restored.load_state_dict(posterior.state_dict())
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    assert torch.equal(restored.sample(4, generators[0]), posterior.sample(4, generators[1]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not of shapes \(3,\), \(3,\) and \(2, 2\)"):
        FullGaussian(MEAN, PARTLY)
