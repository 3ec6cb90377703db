"""Alpha-divergence: its gradient against autograd, the ELBO as its limit, known optima."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.distributions import Normal

from tests.inference.scenarios import (
    Target,
    Weights,
    correlated_gaussian,
    infer,
    linear_regression,
    mean_errors,
    sd_ratios,
)
from tsbnn.inference import ELBOVI, AlphaDivergence, IsotropicPrior, method

STANDARD = IsotropicPrior(1.0)
CALM = AlphaDivergence(prior=STANDARD, warm_start=0.0, scale_learning_rate=1e-2)
N, TEMPERATURE, PRIOR = 50, 2.0, 0.7


def quartic(weights: Tensor) -> Tensor:
    return 0.01 * (weights - 1.0).pow(4).sum() + 0.1 * weights[0] * weights[1]


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("site", [5.0, None])
def test_gradients_equal_those_of_autograd(antithetic: bool, site: float | None) -> None:
    module = Weights(3, torch.float64)
    module.weights.data = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    inference = AlphaDivergence(
        prior=IsotropicPrior(PRIOR),
        temperature=TEMPERATURE,
        alpha=0.7,
        initial_scale=0.5,
        antithetic=antithetic,
        observations_per_site=site,
    )
    generator = torch.Generator().manual_seed(3)
    optimizer = inference.optimizer(module, num_observations=N, generator=generator)
    mean = module.weights.detach().clone().requires_grad_()
    log_scale = optimizer._vectors["log_scale"].clone().requires_grad_()
    source = torch.Generator().manual_seed(3)
    noises: list[Tensor] = []
    for k in range(4):
        paired = antithetic and k % 2 == 1
        drawn = torch.randn(3, dtype=torch.float64, generator=source) if not paired else -noises[-1]
        noises.append(drawn)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = quartic(module.weights)
        loss.backward()
        return loss

    optimizer.step(closure)

    size = N if site is None else site
    sites = N / size
    prior = Normal(torch.zeros(3, dtype=torch.float64), PRIOR)
    scale = log_scale.exp()
    frozen = Normal(mean.detach(), scale.detach())
    brackets, regularisers = [], []
    for noise in noises:
        weights = mean + scale * noise
        regulariser = (prior.log_prob(weights) / TEMPERATURE - frozen.log_prob(weights)).sum()
        brackets.append(-size * quartic(weights) / TEMPERATURE + regulariser / sites)
        regularisers.append(regulariser)
    energy = -sites / 0.7 * torch.logsumexp(0.7 * torch.stack(brackets), 0)
    # Under uniform weights the regulariser's part is exact instead of sampled.
    exact = -((mean.square() + scale.square()) / (2 * PRIOR**2 * TEMPERATURE)) + log_scale
    objective = energy + torch.stack(regularisers).mean() - exact.sum()
    (objective * TEMPERATURE / N).backward()
    # After one step Adam's momentum is a tenth of the gradient.
    torch.testing.assert_close(optimizer._vectors["momentum"], 0.1 * mean.grad)
    torch.testing.assert_close(optimizer._vectors["scale_momentum"], 0.1 * log_scale.grad)
    assert 1.0 < float(optimizer.effective_draws) < 3.99


@pytest.mark.parametrize("paired", [False, True])
def test_the_limit_is_the_elbo(paired: bool) -> None:
    target = linear_regression(5, 1_000, 0)
    settings = {"prior": STANDARD, "warm_start": 0.25, "antithetic": paired}
    inference = AlphaDivergence(alpha=1e-9, num_draws=2 if paired else 1, **settings)
    # The same seed again: the scenario's minibatches come from a generator of its own.
    elbo = infer(linear_regression(5, 1_000, 0), ELBOVI(**settings), 100, dtype=torch.float64)
    alpha = infer(target, inference, 100, dtype=torch.float64)
    torch.testing.assert_close(alpha.posterior.mean, elbo.posterior.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        alpha.posterior.variance, elbo.posterior.variance, atol=0.0, rtol=1e-4
    )


def optimal_sds(target: Target, alpha: float) -> Tensor:
    r"""Minimise :math:`-\log \int p^\alpha q^{1-\alpha} / (\alpha (1 - \alpha))` over sds."""
    precision = target.precision.numpy()
    if alpha == 1.0:
        return torch.as_tensor(np.sqrt(np.diag(np.linalg.inv(precision))))

    def divergence(log_sds: np.ndarray) -> float:
        own = np.exp(-2 * log_sds)
        mixed = alpha * precision + (1 - alpha) * np.diag(own)
        overlap = (1 - alpha) * np.log(own).sum() - np.linalg.slogdet(mixed)[1]
        return -0.5 * overlap / (alpha * (1 - alpha))

    start = -0.5 * np.log(np.diag(precision))
    return torch.as_tensor(np.exp(minimize(divergence, start, tol=1e-10).x))


# With alpha = 1 the weights are heavy-tailed: 16 draws leave the sds about 10 % short.
@pytest.mark.parametrize(("alpha", "tolerance"), [(0.5, 0.05), (1.0, 0.15)])
def test_one_site_finds_the_optimum_of_its_divergence(alpha: float, tolerance: float) -> None:
    target = correlated_gaussian(2, 10.0, 2)
    expected = optimal_sds(target, alpha)
    assert float((expected / target.mean_field_sd).min()) > 1.25
    inference = CALM.replace(
        alpha=alpha,
        observations_per_site=None,
        num_draws=16,
        initial_scale=0.1,
        learning_rate=3e-2,
        scale_learning_rate=3e-2,
        warm_start=0.4,
    )
    optimizer = infer(target, inference, 400)
    found = optimizer.posterior.variance.sqrt().double()
    assert float((found / expected - 1).abs().max()) < tolerance
    assert float(mean_errors(optimizer, target).max()) < 0.1


@pytest.mark.parametrize(("site", "expected"), [(1.0, 1.0), (32.0, 0.5**-0.5)])
def test_sites_of_a_minibatch_widen_the_posterior(site: float, expected: float) -> None:
    # At the optimum the squared site gradients take alpha n / B of the curvature away.
    target = linear_regression(5, 1_000, 0)
    inference = CALM.replace(
        observations_per_site=site,
        num_draws=2,
        warm_start=0.3,
        learning_rate=1e-2,
        scale_learning_rate=3e-2,
        initial_scale=0.05,
    )
    optimizer = infer(target, inference, 1_500)
    ratio = float(sd_ratios(optimizer, target).mean())
    assert ratio == pytest.approx(expected, rel=0.1)
    assert float(mean_errors(optimizer, target).mean()) < 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -0.5}, "alpha must be 0 or more, and finite, not -0.5"),
        ({"num_draws": 3}, "num_draws must be even for antithetic pairs, not 3"),
        ({"num_draws": 0}, "num_draws must be an integer of at least 1, not 0"),
        ({"observations_per_site": 0.0}, "observations_per_site must be positive or None, not 0"),
        ({"antithetic": "no"}, "antithetic must be True or False, not 'no'"),
        ({"scale_learning_rate": 0.0}, "scale_learning_rate must be positive, not 0.0"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method("alpha", **settings)
