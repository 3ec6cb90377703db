"""SGHMC: exact stationary variances, what friction does, and the estimate of the noise."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from tests.inference.chains.targets import (
    STANDARD,
    Regression,
    correlated_precision,
    covariance_error,
    gaussian,
    kept_states,
    run_chains,
)
from tsbnn.inference import SGHMC, SGLD

N = 1000
PLAIN = SGHMC(prior=STANDARD, warm_start=0.0, burn_in=0.5)
UNIT = torch.eye(1).double() * N


@pytest.mark.parametrize(("rate", "friction"), [(0.8, 0.5), (8.0, 0.1), (0.8, 1.0)])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_variance_on_a_quadratic_is_that_of_the_closed_form(
    rate: float, friction: float, temperature: float
) -> None:
    method = PLAIN.replace(learning_rate=rate, friction=friction, temperature=temperature)
    optimizer = run_chains(method, gaussian(UNIT, N), (2000, 1), N, 150)
    variance = float(kept_states(optimizer, 1).square().mean()) * N / temperature
    expected = 1.0 / (1.0 - friction * rate / (2.0 * (2.0 - friction)))
    assert variance == pytest.approx(expected, rel=0.06)


def test_friction_one_is_sgld() -> None:
    settings = {"prior": STANDARD, "learning_rate": 0.5, "warm_start": 0.0, "burn_in": 0.5}
    chains = [
        run_chains(method, gaussian(UNIT, N), (50, 1), N, 40)
        for method in (SGHMC(friction=1.0, **settings), SGLD(**settings))
    ]
    torch.testing.assert_close(*(chain.posterior.kept for chain in chains))


def test_momentum_stays_stable_where_sgld_does_not() -> None:
    method = PLAIN.replace(learning_rate=4.0)
    stable = run_chains(method, gaussian(UNIT, N), (20, 1), N, 200)
    assert float(stable.posterior.variance.mean()) < 2.0 / N
    wild = run_chains(method.replace(friction=1.0), gaussian(UNIT, N), (20, 1), N, 30)
    assert float(wild.posterior.variance.min()) > 1e6 / N


def test_covariance_of_a_correlated_gaussian() -> None:
    precision = correlated_precision(5, 25.0)
    method = PLAIN.replace(learning_rate=4.0)
    start = torch.full((100, 5), 2.0)
    optimizer = run_chains(method, gaussian(precision, N), (100, 5), N, 600, start=start)
    assert covariance_error(kept_states(optimizer, 5), precision) < 0.15


def test_inflation_by_minibatch_noise_halves_with_the_step_or_is_taken_off() -> None:
    target = Regression(4, 10_000)
    generator = torch.Generator().manual_seed(2)
    start = target.mean + target.variance.sqrt() * torch.randn(400, 4, generator=generator)

    def excess(rate: float, steps: int, estimate: bool = False) -> float:
        method = PLAIN.replace(learning_rate=rate, burn_in=0.67, noise_estimate=estimate)
        optimizer = run_chains(method, target, (400, 4), 10_000, steps, start=start)
        return target.variance_excess(optimizer)

    coarse, fine = excess(8e-3, 375), excess(4e-3, 750)
    assert coarse == pytest.approx(8e-3 * 10_000 / 64, rel=0.15)
    assert coarse / fine == pytest.approx(2.0, rel=0.2)
    assert abs(excess(4e-3, 600, estimate=True)) < 0.12


def test_moments_equal_those_of_an_independent_library() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = pytest.importorskip("posteriors").sgmcmc.sghmc
    precision, rate, friction, chains, steps = correlated_precision(3, 5.0), 5.0, 0.2, 1000, 160
    losses = gaussian(precision, N)
    method = PLAIN.replace(learning_rate=rate, friction=friction)
    optimizer = run_chains(method, losses, (chains, 3), N, steps)

    def log_posterior(weights: torch.Tensor, _: object) -> tuple[torch.Tensor, torch.Tensor]:
        nothing = torch.zeros(())
        likelihood = -N * losses(weights, torch.Generator()).sum()
        return likelihood - 0.5 * weights.square().sum(), nothing

    # Its momenta have variance 1, ours T/N; its friction is per unit of time, ours per step.
    step = math.sqrt(friction * rate / N)
    transform = oracle.build(log_posterior, lr=step, alpha=friction / step, momenta=0.0)
    state = transform.init(torch.zeros(chains, 3))
    squares = torch.zeros(3, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for index in range(steps):
            state, _ = transform.update(state, None)
            if index >= steps // 2:
                squares += state.params.T @ state.params / (chains * (steps - steps // 2))
    states = kept_states(optimizer, 3).float()
    own = states.T @ states / len(states)
    error = torch.linalg.matrix_norm(own - squares, 2) / torch.linalg.matrix_norm(squares, 2)
    assert float(error) < 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"friction": 0.0}, "friction must be above 0 and at most 1, not 0.0"),
        ({"friction": 1.5}, "friction must be above 0 and at most 1, not 1.5"),
        ({"noise_estimate": None}, "noise_estimate must be True or False, not None"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SGHMC(**settings)
