"""Variational online Newton: its update against the papers' formulas, and known posteriors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.inference.scenarios import (
    Weights,
    correlated_gaussian,
    infer,
    linear_regression,
    mean_errors,
    sd_ratios,
)
from tsbnn.inference import IsotropicPrior, NaturalELBOVI
from tsbnn.inference.optimizer import BayesianOptimizer

# Best for the conjugate targets, where nothing is gained by starting the mean first.
CALM = NaturalELBOVI(prior=IsotropicPrior(1.0), warm_start=0.0)
N, TEMPERATURE, PRIOR = 50, 2.0, 0.7


def quartic(weights: Tensor) -> Tensor:
    return (weights - 1.0).pow(4).sum() + weights[0] * weights[1]


def gradient(weights: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(quartic(weights.requires_grad_()), weights)
    return found


def run(optimizer: BayesianOptimizer, module: Weights, steps: int) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = quartic(module.weights)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)


@pytest.mark.parametrize("antithetic", [False, True])
def test_a_step_is_that_of_the_papers(antithetic: bool) -> None:
    module = Weights(3, torch.float64)
    module.weights.data = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    method = NaturalELBOVI(
        prior=IsotropicPrior(PRIOR),
        temperature=TEMPERATURE,
        schedule="constant",
        curvature_rate=0.2,
        averaging=0.0,
        antithetic=antithetic,
        probe_steps=2,
    )
    optimizer = method.optimizer(
        module, num_observations=N, generator=torch.Generator().manual_seed(3)
    )
    run(optimizer, module, 2)
    assert optimizer.ready
    mean, precision = optimizer.posterior.mean.clone(), optimizer.posterior.precision.clone()
    momentum = optimizer._vectors["momentum"].clone()
    copied = torch.Generator()
    copied.set_state(optimizer.generator.get_state())
    noise = torch.randn(3, dtype=torch.float64, generator=copied)
    run(optimizer, module, 1)

    # In the papers' units: per observation, N/T observations, prior precision delta times these.
    size, sigma = N / TEMPERATURE, precision.rsqrt()
    delta = 1.0 / (PRIOR**2 * N)
    h = precision / size - delta
    signs = [1.0, -1.0] if antithetic else [1.0]
    draws = [gradient(mean + sign * sigma * noise) for sign in signs]
    g_hat = sum(draws) / len(signs)
    h_hat = sum(sign * g * noise / sigma for sign, g in zip(signs, draws, strict=True)) / len(signs)
    beta1, beta2 = 0.9, 0.8
    momentum = beta1 * momentum + (1 - beta1) * (g_hat + delta * mean)
    h = (
        beta2 * h
        + (1 - beta2) * h_hat
        + 0.5 * (1 - beta2) ** 2 * (h - h_hat).square() / (h + delta)
    )
    mean = mean - 0.05 * momentum / (1 - beta1**3) / (h + delta)
    torch.testing.assert_close(optimizer.posterior.precision, size * (h + delta))
    torch.testing.assert_close(optimizer.posterior.mean, mean)


def test_precisions_stay_positive_whatever_the_curvature() -> None:
    module = Weights(2)
    method = CALM.replace(curvature_rate=0.9, averaging=0.0, probe_steps=1)
    generator = torch.Generator().manual_seed(0)
    optimizer = method.optimizer(module, num_observations=10_000, generator=generator)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -module.weights.square().sum()
        loss.backward()
        return loss

    for _ in range(20):
        optimizer.step(closure)
        assert bool((optimizer.posterior.precision > 0).all())


@pytest.mark.parametrize("metric", ["variance", "adam"])
def test_correlated_gaussian(metric: str) -> None:
    target = correlated_gaussian(20, 100.0, 0)
    method = CALM.replace(metric=metric, natural_rate=0.2, learning_rate=2e-2)
    optimizer = infer(target, method, 2_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.08
    assert float(mean_errors(optimizer, target).mean()) < 0.1


def test_temperature_scales_the_spread() -> None:
    target = correlated_gaussian(5, 10.0, 0, temperature=4.0)
    optimizer = infer(target, CALM.replace(temperature=4.0), 2_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.06


@pytest.mark.parametrize(("num_observations", "mean_error"), [(10_000, 0.6), (100_000, 2.0)])
def test_regression_with_minibatch_noise(num_observations: int, mean_error: float) -> None:
    target = linear_regression(20, num_observations, 0)
    optimizer = infer(target, CALM.replace(natural_rate=0.02), 2_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.10
    assert float(mean_errors(optimizer, target).mean()) < mean_error


def test_single_draws_need_a_slower_curvature() -> None:
    target = linear_regression(20, 10_000, 0)
    slow = CALM.replace(antithetic=False, curvature_rate=1e-3)
    paired, single = infer(target, CALM, 1_000), infer(target, slow, 2_000)
    error = [float((sd_ratios(o, target) - 1).abs().mean()) for o in (paired, single)]
    assert 2 * error[0] < error[1] < 0.5


def test_weights_without_a_spread_move_by_adam() -> None:
    module = torch.nn.Linear(2, 1)
    with torch.no_grad():
        module.weight.fill_(0.0)
        module.bias.fill_(0.0)
    method = CALM.replace(bayesian_parameters=("weight",), probe_steps=1, schedule="constant")
    generator = torch.Generator().manual_seed(0)
    optimizer = method.optimizer(module, num_observations=100, generator=generator)
    inputs = torch.ones(4, 2)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (module(inputs) - 3.0).square().mean()
        loss.backward()
        return loss

    for _ in range(4):
        optimizer.step(closure)
    assert optimizer.posterior.variance[2] == 0.0
    # Adam moves by its learning rate where the gradient keeps its sign.
    assert float(module.bias.detach()) == pytest.approx(4 * 5e-3, rel=0.1)
    assert float(module.weight.detach().min()) > 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"curvature_rate": 1.0}, "curvature_rate must be above 0 and below 1, not 1.0"),
        ({"metric": "fisher"}, "metric must be one of adam, variance, not 'fisher'"),
        ({"averaging": -1.0}, "averaging must be 0 or more, and finite, not -1.0"),
        ({"probe_steps": 0}, "probe_steps must be an integer of at least 1, not 0"),
        ({"natural_rate": 0.0}, "natural_rate must be positive, not 0.0"),
        ({"antithetic": 1}, "antithetic must be True or False, not 1"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NaturalELBOVI(**settings)


def test_evaluations_count_the_probe() -> None:
    assert NaturalELBOVI().evaluations(1000) == 500 + 2 * 500
    assert NaturalELBOVI(curvature_every=2).evaluations(1000) == 500 + 2 * 50 + 450 + 225
    assert NaturalELBOVI(antithetic=False).evaluations(1000) == 500 + 2 * 50 + 450
