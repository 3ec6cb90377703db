"""Batch and match: its closed form against its own optimality conditions, and known posteriors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from tests.inference.scenarios import Weights, correlated_gaussian, infer, linear_regression
from tsbnn.inference import BatchAndMatch, IsotropicPrior, method
from tsbnn.inference.matching.bam import batch_and_match
from tsbnn.inference.matching.base import cholesky_of_product

EXACT = BatchAndMatch(prior=IsotropicPrior(1.0), warm_start=0.0)


def batch(size: int, count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a mean, a Cholesky factor, draws from there, and scores of no Gaussian."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    mean = randn(size)
    scale_tril = torch.linalg.cholesky(torch.eye(size, dtype=torch.double) + randn(size, 9).cov())
    draws = mean + randn(count, size) @ scale_tril.T
    return mean, scale_tril, draws, -2.0 * draws + randn(count, size)


def test_cholesky_of_a_product() -> None:
    factor = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    expected = torch.linalg.cholesky(factor @ factor.T)
    torch.testing.assert_close(cholesky_of_product(factor), expected)


@pytest.mark.parametrize("strength", [0.1, 30.0])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_update_solves_its_quadratic_equation(strength: float, count: int) -> None:
    mean, scale_tril, draws, scores = batch(4, count)
    new_mean, factor = batch_and_match(mean, scale_tril, draws, scores, strength)
    covariance = factor @ factor.T
    share = strength / (1 + strength)
    z, g = draws.mean(0), scores.mean(0)
    spread_z, spread_g = (torch.cov(x.T, correction=0) for x in (draws, scores))
    if count == 1:
        spread_z = spread_g = torch.zeros(4, 4, dtype=torch.double)
    u = strength * spread_g + share * torch.outer(g, g)
    v = scale_tril @ scale_tril.T + strength * spread_z + share * torch.outer(mean - z, mean - z)
    torch.testing.assert_close(covariance @ u @ covariance + covariance, v)
    torch.testing.assert_close(new_mean, (1 - share) * mean + share * (covariance @ g + z))


def test_the_update_is_a_minimum_of_the_proximal_objective() -> None:
    mean, scale_tril, draws, scores = batch(3, 5)
    strength = 2.0
    new_mean, factor = batch_and_match(mean, scale_tril, draws, scores, strength)
    new_mean.requires_grad_()
    covariance = (factor @ factor.T).requires_grad_()

    def objective(location: Tensor, spread: Tensor) -> Tensor:
        residual = torch.linalg.solve(spread, (location - draws).T).T - scores
        divergence = torch.einsum("bi,ij,bj->b", residual, spread, residual).mean()
        old = MultivariateNormal(mean, scale_tril=scale_tril)
        new = MultivariateNormal(location, covariance_matrix=spread)
        return divergence + 2.0 / strength * kl_divergence(old, new)

    best = objective(new_mean, covariance)
    slopes = torch.autograd.grad(best, (new_mean, covariance))
    for slope in slopes:
        assert float((slope + slope.mT if slope.ndim == 2 else slope).abs().max()) < 1e-9
    further = torch.eye(3, dtype=torch.double) * 0.01
    assert objective(new_mean, covariance + further).item() > best.item()
    assert objective(new_mean + 0.01, covariance).item() > best.item()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_correlated_gaussian_is_matched_exactly(seed: int, temperature: float) -> None:
    target = correlated_gaussian(5, 25.0, seed, temperature=temperature)
    inference = EXACT.replace(temperature=temperature, decaying=False)
    posterior = infer(target, inference, 60, seed).posterior
    covariance = torch.linalg.inv(target.precision)
    error = torch.linalg.matrix_norm(posterior.covariance.double() - covariance, 2)
    assert float(error / torch.linalg.matrix_norm(covariance, 2)) < 0.01
    offset = (posterior.mean.double() - target.mean).abs() / covariance.diagonal().sqrt()
    assert float(offset.max()) < 0.01


def test_minibatch_noise_makes_the_covariance_collapse() -> None:
    target = linear_regression(5, 10_000, 0)
    posterior = infer(target, EXACT, 500).posterior
    sds = torch.linalg.inv(target.precision).diagonal().sqrt()
    assert float((posterior.variance.sqrt() / sds).max()) < 0.5


def test_too_many_weights_are_refused() -> None:
    module = Weights(2_001)
    with pytest.raises(ValueError, match=r"at most 2000 Bayesian weights, not 2001.*'score'"):
        EXACT.optimizer(module, num_observations=10)
    two = nn.Sequential(nn.Linear(60, 60), nn.Linear(60, 1))
    chosen = method("bam", bayesian_parameters=("1.*",)).optimizer(two, num_observations=10)
    assert chosen.posterior.covariance.shape == (61, 61)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_draws": 0}, "num_draws must be an integer of at least 1, not 0"),
        ({"initial_scale": 0.0}, "initial_scale must be positive, not 0.0"),
        ({"warm_start_learning_rate": -1.0}, "warm_start_learning_rate must be positive, not -1.0"),
        ({"decaying": "no"}, "decaying must be True or False, not 'no'"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method("bam", **settings)
