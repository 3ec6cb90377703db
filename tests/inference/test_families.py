"""Score VI and the ELBO with every family: the proximal step, correlations, several modes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.inference.other_targets import two_modes
from tests.inference.scenarios import (
    Weights,
    correlated_gaussian,
    covariance,
    covariance_error,
    infer,
    linear_regression,
)
from tsbnn.inference import (
    ELBOVI,
    InferenceMethod,
    IsotropicPrior,
    LowRankGaussian,
    MeanFieldGaussian,
    MixtureGaussian,
    ProximalScoreVI,
    method,
)
from tsbnn.inference.score import precision_factors_, proximal_step
from tsbnn.inference.score.low_rank_step import low_rank_step_

STANDARD = IsotropicPrior(1.0)
SIZE = 8


def frozen() -> MeanFieldGaussian:
    generator = torch.Generator().manual_seed(0)
    mean, log_precision = torch.randn(2, SIZE, dtype=torch.float64, generator=generator)
    return MeanFieldGaussian(mean, log_precision.exp())


def pair(
    posterior: MeanFieldGaussian, curvature: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Draws one sd from the mean on either side, and the scores of a quadratic target there."""
    signs = torch.where(torch.arange(SIZE) % 2 == 0, 1.0, -1.0).to(curvature)
    offset = signs * posterior.precision.rsqrt()
    draws = torch.stack([posterior.mean + offset, posterior.mean - offset])
    scores = torch.stack([gradient - curvature * offset, gradient + curvature * offset])
    return draws, scores


def gradient_step(shift: float, strength: float, inner_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean's move in sds and log precision ratio by inner steps, and the latter's closed form."""
    posterior = frozen()
    ratio = torch.linspace(-1.0, 3.0, SIZE, dtype=torch.float64)
    curvature = ratio * posterior.precision
    gradient = shift * posterior.precision.sqrt()
    draws, scores = pair(posterior, curvature, gradient)
    strengths = dict.fromkeys(posterior.fisher(), torch.tensor(strength, dtype=torch.float64))
    member, _ = proximal_step(posterior, draws, scores, strengths, inner_steps)
    closed = ratio - 1.0
    precision_factors_(closed, [closed], torch.tensor([strength], dtype=torch.float64))
    move = (member.mean - posterior.mean) * posterior.precision.sqrt()
    return move, (member.precision / posterior.precision).log(), closed.log()


@pytest.mark.parametrize("strength", [5.0, 20.0, 500.0])
def test_inner_steps_converge_to_the_closed_form_as_the_mean_stands_still(strength: float) -> None:
    errors = []
    for shift in (0.5, 0.05, 0.005):
        move, found, closed = gradient_step(shift, strength, inner_steps=400)
        # m <- m + sigma^2 g / (rho + 2c), exact in the mean.
        torch.testing.assert_close(move, shift / (found.exp() + 2 * strength), rtol=1e-6, atol=0)
        errors.append(float((found - closed).abs().max()))
    # The closed form leaves out terms quadratic in the mean's move.
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-4 * errors[0] * 1.5
    assert errors[2] < 1e-5


def test_few_inner_steps_are_near_and_more_are_nearer() -> None:
    errors = {}
    for inner_steps in (1, 2, 8):
        _, found, closed = gradient_step(0.0, 20.0, inner_steps)
        errors[inner_steps] = float((found - closed).abs().max())
    assert errors[8] < errors[2] < errors[1]
    assert errors[2] < 0.02


@pytest.mark.parametrize("ratio", [-1e4, 1e4])
def test_an_outlier_changes_no_precision_by_more_than_a_factor_of_two(ratio: float) -> None:
    posterior = frozen()
    closed = torch.full((SIZE,), ratio - 1.0, dtype=torch.float64)
    precision_factors_(closed, [closed], torch.tensor([20.0], dtype=torch.float64))
    expected = torch.full_like(closed, 2.0 if ratio > 0 else 0.5)
    torch.testing.assert_close(closed, expected)
    draws, scores = pair(posterior, ratio * posterior.precision, torch.zeros(()))
    strengths = {"log_precision": torch.tensor(20.0, dtype=torch.float64)}
    member, _ = proximal_step(posterior, draws, scores, strengths, inner_steps=2)
    change = (member.precision / posterior.precision).log().abs()
    # Each inner step is bounded alone; the second one sees the penalty and goes no further.
    assert change.max() < 2 * math.log(2.0) + 1e-9
    assert change.min() > 0.5


@pytest.mark.parametrize("inner_steps", [2, 3])
def test_the_fast_low_rank_step_is_the_one_by_automatic_differentiation(inner_steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_scale, offset, scores = torch.randn(4, SIZE, dtype=torch.float64, generator=generator)
    factor = torch.randn(SIZE, 3, dtype=torch.float64, generator=generator)
    scale = log_scale.exp()
    scale[0], factor[0], offset[0] = 0.0, 0.0, 0.0
    posterior = LowRankGaussian(mean, scale, factor)
    strength = torch.linspace(2.0, 50.0, SIZE, dtype=torch.float64)
    factor_strength = torch.tensor(5.0, dtype=torch.float64)
    scores *= 10.0
    member, gradients = proximal_step(
        posterior,
        (mean + offset)[None],
        scores[None],
        {"log_precision": strength, "factor": factor_strength},
        inner_steps,
    )
    before = posterior.scale.clone()
    excess, noise = low_rank_step_(
        posterior, offset, scores, strength, factor_strength, inner_steps
    )
    torch.testing.assert_close(posterior.scale, member.scale)
    torch.testing.assert_close(posterior.factor, member.factor)
    torch.testing.assert_close(excess, 0.5 * gradients["log_precision"])
    torch.testing.assert_close(noise, 0.25 * gradients["factor"].square().sum())
    assert float((posterior.scale / before - 1)[1:].abs().max()) > 1e-2


def test_score_vi_by_inner_steps_reaches_the_same_posterior() -> None:
    target = linear_regression(10, 5_000, 0)
    closed = infer(target, ProximalScoreVI(prior=STANDARD), 2_000)
    inner = infer(target, ProximalScoreVI(prior=STANDARD, inner_steps=2), 2_000)
    ratio = (inner.posterior.variance / closed.posterior.variance).sqrt()
    assert float((ratio - 1).abs().max()) < 0.08
    assert not torch.equal(ratio, torch.ones_like(ratio))


@pytest.mark.parametrize(
    ("inference", "steps"),
    [
        (ProximalScoreVI(prior=STANDARD, family="low_rank", rank=5, warm_start=0.3), 2_000),
        (
            ELBOVI(
                prior=STANDARD,
                family="low_rank",
                rank=5,
                warm_start=0.3,
                scale_learning_rate=1e-2,
                antithetic=True,
            ),
            3_500,
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_low_rank_sees_correlations_that_mean_field_cannot(
    inference: InferenceMethod, steps: int
) -> None:
    target = correlated_gaussian(10, 25.0, 1)
    optimizer = infer(target, inference, steps)
    exact = torch.linalg.inv(target.precision)
    mean_field = torch.diag(target.mean_field_sd.square())
    gap = float(
        torch.linalg.matrix_norm(mean_field - exact, 2) / torch.linalg.matrix_norm(exact, 2)
    )
    assert covariance_error(optimizer.posterior, target) < 0.6 * gap
    true_sd, found_sd = exact.diagonal().sqrt(), optimizer.posterior.variance.double().sqrt()
    assert float((found_sd / true_sd).min()) > 0.8 > float((target.mean_field_sd / true_sd).min())


def test_low_rank_score_vi_is_stable_where_noise_is_large() -> None:
    target = linear_regression(300, 10_000, 0)
    method = ProximalScoreVI(prior=STANDARD, family="low_rank", rank=3)
    optimizer = infer(target, method, 1_500)
    ratio = optimizer.posterior.variance.double().sqrt() / target.mean_field_sd
    assert float(ratio.min()) > 0.7
    assert float(ratio.max()) < 1.5
    assert optimizer.method_diagnostics()["factor_strength"] > 1_000


MIXTURES: list[tuple[InferenceMethod, int]] = [
    (ProximalScoreVI(prior=STANDARD, family="mixture", warm_start=0.3), 600),
    (ELBOVI(prior=STANDARD, family="mixture", warm_start=0.3, antithetic=True), 1_200),
]


@pytest.mark.parametrize(("inference", "steps"), MIXTURES, ids=["score", "elbo"])
def test_mixtures_find_both_modes_with_their_weights(
    inference: InferenceMethod, steps: int
) -> None:
    target = two_modes(3, 0)
    optimizer = infer(target, inference, steps)
    posterior = optimizer.posterior
    assert isinstance(posterior, MixtureGaussian)
    assert optimizer.gradient_evaluations == inference.evaluations(steps)
    distances = (posterior.means.double()[:, None] - target.centres).norm(dim=-1)
    nearest = distances.argmin(1)
    assert float(distances.min(1).values.max()) < 0.5
    shares = torch.zeros(2).index_add_(0, nearest, posterior.component_weights)
    torch.testing.assert_close(shares, target.shares.float(), rtol=0.1, atol=0)
    heaviest = posterior.means[posterior.heaviest]
    assert torch.equal(optimizer.resting_weights, heaviest)
    spread = covariance(posterior)
    expected = torch.linalg.inv(target.precision)
    torch.testing.assert_close(spread, expected.to(spread), rtol=0.1, atol=0.02)


def test_equal_component_weights_stay_equal() -> None:
    settings: dict[str, Any] = {"component_weights": "equal", "num_components": 2}
    inference = ProximalScoreVI(prior=STANDARD, family="mixture", **settings)
    optimizer = infer(two_modes(3, 0), inference, 200)
    assert isinstance(optimizer.posterior, MixtureGaussian)
    torch.testing.assert_close(optimizer.posterior.component_weights, torch.full((2,), 0.5))


def test_components_of_a_network_start_at_opposite_initialisations() -> None:
    module = nn.Linear(4, 3)
    inference = ProximalScoreVI(family="mixture", num_components=3)
    optimizer = inference.optimizer(
        module, num_observations=10, generator=torch.Generator().manual_seed(0)
    )
    assert isinstance(optimizer.posterior, MixtureGaussian)
    first, second, third = optimizer.posterior.means
    torch.testing.assert_close(first, torch.cat([module.weight.flatten(), module.bias]).detach())
    assert torch.equal(second, -third)
    assert 0 < float(second.abs().max()) <= 0.5


@pytest.mark.parametrize("name", ["score", "elbo"])
def test_a_deterministic_part_stays_so_in_every_family(name: str) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    data = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    for family in ("low_rank", "mixture"):
        inference = method(name, family=family, bayesian_parameters=("2.*",), num_components=1)
        optimizer = inference.optimizer(module, num_observations=100, total_steps=200)
        for _ in range(200):

            def closure(optimizer=optimizer) -> Tensor:
                optimizer.zero_grad()
                loss = (module(data) - data.sum(1, keepdim=True)).square().mean()
                loss.backward()
                return loss

            optimizer.step(closure)
        variance = optimizer.posterior.variance
        assert bool((variance[:16] == 0).all())
        assert bool((variance[16:] > 0).all())
        assert bool(torch.isfinite(optimizer.posterior.mean).all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "flow"}, "family must be one of mean_field, low_rank, mixture, not 'flow'"),
        ({"rank": 0}, "rank must be an integer of at least 1, not 0"),
        ({"num_components": 1.5}, "num_components must be an integer of at least 1, not 1.5"),
        ({"component_weights": "bic"}, "component_weights must be one of elbo, equal, not 'bic'"),
        ({"inner_steps": 1}, "inner_steps must be None or an integer of at least 2, not 1"),
        ({"family": "low_rank", "antithetic": False}, "antithetic must be True with family='low_"),
        ({"family": "low_rank", "metric": "variance"}, "metric must be 'adam' with family='low_ra"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProximalScoreVI(**settings)


def test_the_rank_is_that_of_the_settings() -> None:
    inference = ELBOVI(family="low_rank", rank=2)
    optimizer = inference.optimizer(Weights(5), num_observations=10)
    assert isinstance(optimizer.posterior, LowRankGaussian)
    assert optimizer.posterior.to_config() == {"family": "low_rank", "num_weights": 5, "rank": 2}
