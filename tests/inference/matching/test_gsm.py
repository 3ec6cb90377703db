"""Gaussian score matching: the match itself, that it is the nearest, and known posteriors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from tests.inference.matching.test_bam import batch
from tests.inference.scenarios import Weights, correlated_gaussian, infer
from tsbnn.inference import GaussianScoreMatching, IsotropicPrior, method
from tsbnn.inference.matching.gsm import match_scores

EXACT = GaussianScoreMatching(prior=IsotropicPrior(1.0), warm_start=0.0)


def matched(mean: Tensor, scale_tril: Tensor, draw: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    means, change = match_scores(mean, scale_tril, draw.unsqueeze(0), score.unsqueeze(0))
    return means[0], scale_tril @ scale_tril.T + change


@pytest.mark.parametrize("seed", range(4))
def test_the_score_is_matched_at_the_draw(seed: int) -> None:
    mean, scale_tril, draws, scores = batch(4, 1, seed)
    new_mean, covariance = matched(mean, scale_tril, draws[0], scores[0])
    assert float(torch.linalg.eigvalsh(covariance).min()) > 0
    own = torch.linalg.solve(covariance, new_mean - draws[0])
    torch.testing.assert_close(own, scores[0])


def test_no_other_gaussian_with_the_score_is_nearer() -> None:
    mean, scale_tril, draws, scores = batch(3, 1)
    old = MultivariateNormal(mean, scale_tril=scale_tril)
    _, covariance = matched(mean, scale_tril, draws[0], scores[0])

    def divergence(spread: Tensor) -> Tensor:
        # All Gaussians with the score g at the draw have mean = draw + covariance g.
        location = draws[0] + spread @ scores[0]
        return kl_divergence(old, MultivariateNormal(location, covariance_matrix=spread))

    spread = covariance.clone().requires_grad_()
    (slope,) = torch.autograd.grad(divergence(spread), spread)
    assert float((slope + slope.mT).abs().max()) < 1e-9
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        change = torch.randn(3, 3, generator=generator, dtype=torch.double)
        other = covariance + 0.01 * (change + change.T)
        assert float(divergence(other)) > float(divergence(covariance))


def test_a_step_averages_over_its_draws() -> None:
    mean, scale_tril, draws, scores = batch(3, 6)
    singles = [matched(mean, scale_tril, d, s) for d, s in zip(draws, scores, strict=True)]
    means, change = match_scores(mean, scale_tril, draws, scores)
    torch.testing.assert_close(means.mean(0), torch.stack([m for m, _ in singles]).mean(0))
    covariance = torch.stack([c for _, c in singles]).mean(0)
    torch.testing.assert_close(scale_tril @ scale_tril.T + change, covariance)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_correlated_gaussian_is_matched_exactly(seed: int, temperature: float) -> None:
    target = correlated_gaussian(5, 25.0, seed, temperature=temperature)
    posterior = infer(target, EXACT.replace(temperature=temperature), 300, seed).posterior
    covariance = torch.linalg.inv(target.precision)
    error = torch.linalg.matrix_norm(posterior.covariance.double() - covariance, 2)
    assert float(error / torch.linalg.matrix_norm(covariance, 2)) < 0.01
    offset = (posterior.mean.double() - target.mean).abs() / covariance.diagonal().sqrt()
    assert float(offset.max()) < 0.01


def test_too_many_weights_and_too_long_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 2000 Bayesian weights, not 2001"):
        EXACT.optimizer(Weights(2_001), num_observations=10)
    with pytest.raises(ValueError, match=r"above 0 and at most 1, not 1\.5"):
        method("gsm", learning_rate=1.5)
