"""Mean-field ELBO: its gradients against autograd, and known posteriors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from tests.inference.scenarios import (
    Weights,
    correlated_gaussian,
    infer,
    linear_regression,
    mean_errors,
    sd_ratios,
)
from tsbnn.inference import ELBOVI, IsotropicPrior

STANDARD = IsotropicPrior(1.0)
# Best for the conjugate targets, where nothing is gained by starting the mean first.
CALM = ELBOVI(prior=STANDARD, warm_start=0.0, scale_learning_rate=1e-2)
N, TEMPERATURE = 50, 2.0


def quartic(weights: Tensor) -> Tensor:
    return (weights - 1.0).pow(4).sum() + (weights[0] * weights[1]).sum()


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("sticking", [False, True])
def test_gradients_equal_those_of_autograd(antithetic: bool, sticking: bool) -> None:
    module = Weights(3, torch.float64)
    module.weights.data = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    method = ELBOVI(
        prior=IsotropicPrior(0.7),
        temperature=TEMPERATURE,
        initial_scale=0.5,
        antithetic=antithetic,
        sticking_the_landing=sticking,
    )
    optimizer = method.optimizer(
        module, num_observations=N, generator=torch.Generator().manual_seed(3)
    )
    mean = module.weights.detach().clone().requires_grad_()
    log_scale = optimizer._vectors["log_scale"].clone().requires_grad_()
    noise = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = quartic(module.weights)
        loss.backward()
        return loss

    optimizer.step(closure)

    signs = [1.0, -1.0] if antithetic else [1.0]
    prior = Normal(torch.zeros(3, dtype=torch.float64), 0.7)
    objective = torch.zeros((), dtype=torch.float64)
    for sign in signs:
        scale = log_scale.exp()
        weights = mean + sign * scale * noise
        objective = objective + quartic(weights) / len(signs)
        if sticking:
            frozen = Normal(mean.detach(), scale.detach())
            path = TEMPERATURE / N * frozen.log_prob(weights).sum()
            objective = objective + path / len(signs)
    scale = log_scale.exp()
    kl = kl_divergence(Normal(mean, scale), prior).sum()
    entropy = Normal(mean, scale).entropy().sum()
    if sticking:
        objective = objective + (kl + entropy) / N
    else:
        objective = objective + (kl + entropy) / N - TEMPERATURE / N * entropy
    objective.backward()
    # After one step Adam's momentum is a tenth of the gradient.
    torch.testing.assert_close(optimizer._vectors["momentum"], 0.1 * mean.grad)
    torch.testing.assert_close(optimizer._vectors["scale_momentum"], 0.1 * log_scale.grad)


def test_correlated_gaussian() -> None:
    target = correlated_gaussian(10, 100.0, 0)
    optimizer = infer(target, CALM.replace(antithetic=True), 5_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.06
    assert float(mean_errors(optimizer, target).mean()) < 0.1


def test_regression_with_minibatch_noise() -> None:
    target = linear_regression(20, 10_000, 0)
    optimizer = infer(target, CALM.replace(antithetic=True), 5_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.10
    assert float(mean_errors(optimizer, target).mean()) < 0.6


def test_single_draws_are_noisier() -> None:
    target = linear_regression(20, 10_000, 0)
    single = infer(target, CALM, 5_000)
    paired = infer(target, CALM.replace(antithetic=True), 2_500)
    error = [float((sd_ratios(o, target) - 1).abs().mean()) for o in (single, paired)]
    assert error[1] < 0.5 * error[0] < 0.2
