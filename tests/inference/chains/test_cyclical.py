"""Cyclical SG-MCMC: its schedule, what it keeps, and that it leaves a mode."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.inference.chains.targets import (
    STANDARD,
    correlated_precision,
    covariance_error,
    gaussian,
    kept_states,
    run_chains,
)
from tests.inference.scenarios import Weights
from tsbnn.inference import SGLD, CyclicalSGMCMC, IsotropicPrior

N = 1000


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_covariance_of_a_correlated_gaussian(temperature: float) -> None:
    precision = correlated_precision(5, 25.0)
    method = CyclicalSGMCMC(
        prior=STANDARD,
        learning_rate=8.0,
        exploration=0.2,
        warm_start=0.0,
        temperature=temperature,
    )
    start = torch.full((100, 5), 2.0)
    optimizer = run_chains(method, gaussian(precision, N), (100, 5), N, 800, start=start)
    states = kept_states(optimizer, 5)
    assert covariance_error(states, precision / temperature) < 0.15


def test_cycles_of_cosines_explore_without_noise_and_keep_the_rest() -> None:
    method = CyclicalSGMCMC(
        prior=STANDARD, learning_rate=2.0, warm_start=0.2, burn_in=0.25, cycles=4, num_samples=10
    )
    module = Weights(2)
    optimizer = method.optimizer(module, num_observations=N, total_steps=100)
    positions, rates, exploring = [], [], []
    start = optimizer.generator.get_state()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (module.weights - 1.0).square().sum()
        loss.backward()
        return loss

    for step in range(100):
        rates.append(optimizer.learning_rate())
        exploring.append(optimizer.exploring)
        optimizer.step(closure)
        positions.append(optimizer._vectors["position"].clone())
        if step == 35:
            assert torch.equal(optimizer.generator.get_state(), start)
    assert not torch.equal(optimizer.generator.get_state(), start)
    cycle = [1.0 + math.cos(math.pi * k / 20) for k in range(20)]
    assert rates[20:] == pytest.approx(cycle * 4)
    assert exploring[20:] == ([True] * 16 + [False] * 4) * 4
    # The first cycle is burn-in; of the other three the last four states count.
    states = torch.stack([positions[s] for s in (*range(56, 60), *range(76, 80), *range(96, 100))])
    assert optimizer.posterior.num_states == 12
    torch.testing.assert_close(optimizer.posterior.mean, states.mean(0))
    torch.testing.assert_close(optimizer.posterior.kept, states[1::2])


def test_it_visits_two_modes_where_a_steady_chain_stays_in_one() -> None:
    def wells(weights: Tensor, generator: torch.Generator) -> Tensor:
        """Wells at -1 and 1, a barrier of 100 T/N between them; noisy gradients."""
        noise = 0.1 * torch.randn(weights.shape, generator=generator)
        return (0.01 * (weights.square() - 1.0).square() + noise * weights).sum(1)

    wide, start = IsotropicPrior(100.0), torch.ones(100, 1)
    cyclical = CyclicalSGMCMC(prior=wide, learning_rate=3.0, warm_start=0.0, cycles=8)
    # The largest step that the cycles sample with.
    steady = SGLD(prior=wide, learning_rate=0.29, warm_start=0.0)
    visited = []
    for method in (cyclical, steady):
        optimizer = run_chains(method, wells, (100, 1), 10_000, 1200, start=start)
        kept = optimizer.posterior.kept
        assert float((kept.abs() - 1.0).abs().mean()) < 0.3
        visited.append(float(((kept > 0).any(0) & (kept < 0).any(0)).float().mean()))
    assert visited[0] > 0.95
    assert visited[1] < 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cycles": 0}, "cycles must be an integer of at least 1, not 0"),
        ({"exploration": 1.0}, "exploration must be from 0 to below 1, not 1.0"),
        ({"burn_in_steps": 5}, "burn_in_steps must be left at 1000 under cyclical.*, not 5"),
        ({"friction": 2.0}, "friction must be above 0 and at most 1, not 2.0"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CyclicalSGMCMC(**settings)
