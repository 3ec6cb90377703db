"""SGLD and pSGLD: exact stationary variances, known posteriors, the price of minibatch noise."""

from __future__ import annotations

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
from tsbnn.inference import PSGLD, SGLD

N = 1000
PLAIN = SGLD(prior=STANDARD, warm_start=0.0, burn_in=0.5)
RESCALED = PSGLD(prior=STANDARD, warm_start=0.0, burn_in=0.5)
# Posterior variance 1/N: a loss of curvature 1 per observation.
UNIT = torch.eye(1).double() * N


@pytest.mark.parametrize("rate", [0.1, 0.8])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_variance_on_a_quadratic_is_that_of_the_closed_form(
    rate: float, temperature: float
) -> None:
    method = PLAIN.replace(learning_rate=rate, temperature=temperature)
    optimizer = run_chains(method, gaussian(UNIT, N), (2000, 1), N, 150)
    variance = float(kept_states(optimizer, 1).square().mean()) * N / temperature
    assert variance == pytest.approx(1.0 / (1.0 - rate / 2.0), rel=0.06)


@pytest.mark.parametrize(
    "method", [PLAIN.replace(learning_rate=0.8), RESCALED.replace(learning_rate=0.02)]
)
@pytest.mark.parametrize("start", [0.0, 2.0])
def test_covariance_of_a_correlated_gaussian(method: SGLD, start: float) -> None:
    precision = correlated_precision(5, 25.0)
    begin = torch.full((100, 5), start)
    optimizer = run_chains(method, gaussian(precision, N), (100, 5), N, 800, start=begin)
    assert covariance_error(kept_states(optimizer, 5), precision) < 0.15
    # The streamed moments are over all states, of each chain by itself.
    mean, variance = optimizer.posterior.mean, optimizer.posterior.variance
    squares = (variance + mean.square()).view(100, 5).mean(0).double()
    truth = torch.linalg.inv(precision).diagonal()
    assert float((squares / truth).sqrt().sub(1).abs().max()) < 0.1


def test_regression_with_minibatch_noise() -> None:
    target = Regression(8, 10_000)
    generator = torch.Generator().manual_seed(2)
    start = target.mean + target.variance.sqrt() * torch.randn(200, 8, generator=generator)
    method = PLAIN.replace(learning_rate=1e-3, burn_in=0.3)
    optimizer = run_chains(method, target, (200, 8), 10_000, 1500, start=start)
    states = kept_states(optimizer, 8)
    ratios = ((states - target.mean).square().mean(0) / target.variance).sqrt()
    assert float(ratios.sub(1).abs().max()) < 0.2


def test_inflation_by_minibatch_noise_halves_with_the_step() -> None:
    target = Regression(4, 10_000)
    generator = torch.Generator().manual_seed(2)
    start = target.mean + target.variance.sqrt() * torch.randn(500, 4, generator=generator)
    excess = []
    for rate, steps in ((8e-3, 375), (4e-3, 750)):
        method = PLAIN.replace(learning_rate=rate, burn_in=0.67)
        optimizer = run_chains(method, target, (500, 4), 10_000, steps, start=start)
        excess.append(target.variance_excess(optimizer))
        assert excess[-1] == pytest.approx(rate * 10_000 / 64, rel=0.12)
    assert excess[0] / excess[1] == pytest.approx(2.0, rel=0.15)


def test_the_preconditioner_serves_curvatures_far_apart() -> None:
    precision = torch.diag(torch.tensor([100.0, 1000.0, 10_000.0]).double())
    ratios = {}
    for method in (RESCALED.replace(learning_rate=2e-3), PLAIN.replace(learning_rate=0.02)):
        optimizer = run_chains(method, gaussian(precision, N), (200, 3), N, 400)
        variance = kept_states(optimizer, 3).square().mean(0) * precision.diagonal()
        ratios[method.name] = variance
    assert float(ratios["psgld"].sub(1).abs().max()) < 0.2
    # As many steps, and a discretisation as coarse for the stiffest weight: SGLD does not arrive.
    assert float(ratios["sgld"][0]) < 0.8


def test_a_metric_that_adapts_while_sampling_is_biased_however_small_the_step() -> None:
    quick = RESCALED.replace(adapts_while_sampling=True, smoothing=0.5)
    variances = []
    for method in (quick, RESCALED):
        smaller = method.replace(learning_rate=3e-3)
        optimizer = run_chains(smaller, gaussian(UNIT, N), (1000, 1), N, 300)
        variances.append(float(kept_states(optimizer, 1).square().mean()) * N)
    assert variances[0] > 1.2
    assert variances[1] == pytest.approx(1.0, abs=0.12)


def test_moments_equal_those_of_an_independent_library() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = pytest.importorskip("posteriors").sgmcmc.sgld
    precision, rate, chains, steps = correlated_precision(3, 5.0), 5.0, 1000, 120
    losses = gaussian(precision, N)
    optimizer = run_chains(PLAIN.replace(learning_rate=rate), losses, (chains, 3), N, steps)

    def log_posterior(weights: torch.Tensor, _: object) -> tuple[torch.Tensor, torch.Tensor]:
        nothing = torch.zeros(())
        likelihood = -N * losses(weights, torch.Generator()).sum()
        return likelihood - 0.5 * weights.square().sum(), nothing

    transform = oracle.build(log_posterior, lr=rate / N)
    state = transform.init(torch.zeros(chains, 3))
    squares = torch.zeros(3, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for step in range(steps):
            state, _ = transform.update(state, None)
            if step >= steps // 2:
                squares += state.params.T @ state.params / (chains * (steps - steps // 2))
    states = kept_states(optimizer, 3).float()
    own = states.T @ states / len(states)
    error = torch.linalg.matrix_norm(own - squares, 2) / torch.linalg.matrix_norm(squares, 2)
    assert float(error) < 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smoothing": 1.0}, "smoothing must be from 0 to below 1, not 1.0"),
        ({"regularisation": 0.0}, "regularisation must be positive, not 0.0"),
        ({"adapts_while_sampling": 1}, "adapts_while_sampling must be True or False, not 1"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PSGLD(**settings)
