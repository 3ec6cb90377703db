"""The known answers of the scenarios, each found a second way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.inference.scenarios import (
    Target,
    correlated_gaussian,
    covariance_error,
    linear_regression,
    logistic_regression,
    low_rank_gaussian,
    two_modes,
    without_noise,
)
from tsbnn.inference import MeanFieldGaussian


def log_posterior(target: Target, weights: Tensor) -> Tensor:
    """Up to a constant, in nats, at weights ``n x D`` under the prior Normal(0, 1): ``n``."""
    loss = torch.stack([target.full(row) for row in weights])
    return -target.num_observations * loss - 0.5 * weights.square().sum(-1)


def draws(target: Target, spread: float, count: int = 20_000) -> tuple[Tensor, Tensor]:
    """Weights ``n x D`` from a widened Gaussian around the posterior, and their importance."""
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(count, len(target.mean), generator=generator, dtype=torch.double)
    root = torch.linalg.cholesky(target.covariance) * spread
    weights = target.mean + normals @ root.T
    logarithm = log_posterior(target, weights) + 0.5 * normals.square().sum(-1)
    return weights, logarithm.softmax(0)


@pytest.mark.parametrize(
    "target",
    [
        linear_regression(4, 500, 0, standardised=True),
        correlated_gaussian(5, 25.0, 0),
        low_rank_gaussian(6, 2, 0),
        logistic_regression(0),
        two_modes(2),
    ],
    ids=["regression", "correlated", "low rank", "logistic", "two modes"],
)
def test_moments_agree_with_importance_sampling(target: Target) -> None:
    weights, importance = draws(target, spread=1.25)
    assert 1 / float(importance.square().sum()) > 2_000
    mean = importance @ weights
    offsets = weights - mean
    covariance = (offsets.T * importance) @ offsets
    sds = target.covariance.diagonal().sqrt()
    assert float(((mean - target.mean) / sds).abs().max()) < 0.06
    difference = (covariance - target.covariance) / sds[:, None] / sds
    assert float(difference.abs().max()) < 0.09


def test_the_best_mean_field_of_a_logistic_regression_is_a_fixed_point() -> None:
    """At the optimum E[score] = 0 and E[score eps] = -1/sd, sampled here over all observations."""
    target = logistic_regression(3)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 10, generator=generator, dtype=torch.double)
    weights = target.mean_field_mean + noise * target.mean_field_sd
    x, y = (part.double() for part in target.data)
    score = (y - (weights @ x.T).sigmoid()) @ x - weights
    standard = score * target.mean_field_sd
    error = standard.std(0) / len(noise) ** 0.5
    assert bool((standard.mean(0).abs() < 4.5 * error).all())
    product = standard * noise
    error = product.std(0) / len(noise) ** 0.5
    assert bool(((product.mean(0) + 1).abs() < 4.5 * error).all())


def test_the_low_rank_part_has_its_rank() -> None:
    target = low_rank_gaussian(12, 3, 1)
    covariance = target.covariance
    # Off the diagonal the covariance is that of three factors: every 4 x 4 minor there vanishes.
    minors = torch.linalg.svdvals(covariance[:6, 6:])
    assert float(minors[2]) > 1e-4
    assert float(minors[3]) < 1e-12
    # A mean-field Gaussian of the best kind misses most of the covariance.
    best = MeanFieldGaussian(target.mean, target.mean_field_sd.pow(-2))
    assert covariance_error(best, target) > 0.5


def test_both_modes_own_their_draws() -> None:
    target = two_modes(4, seed=1)
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(3_000, 4, generator=generator, dtype=torch.double) * target.sds[0]
    assert target.found(own + target.centres[0])[0] > 0.99
    assert target.found(own + target.centres[1])[1] > 0.99


def test_minibatches_average_to_the_full_loss() -> None:
    for target in (linear_regression(4, 500, 0), logistic_regression(1)):
        weights = target.mean + 0.1
        values = [float(loss(weights)) for loss in target.losses(2_000)]
        assert sum(values) / len(values) == pytest.approx(float(target.full(weights)), rel=0.05)
        assert len(set(values)) > 1_000
        values = [float(loss(weights)) for loss in without_noise(target).losses(3)]
        assert values == [float(target.full(weights))] * 3
