"""Families with a score: densities, scores and divergences against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from tsbnn.inference.posteriors import (
    LowRankGaussian,
    MeanFieldGaussian,
    MixtureGaussian,
    VariationalFamily,
)

SIZE, RANK = 6, 2


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mean_field() -> MeanFieldGaussian:
    return MeanFieldGaussian(drawn(SIZE, seed=0), drawn(SIZE, seed=1).exp())


def low_rank() -> LowRankGaussian:
    return LowRankGaussian(
        drawn(SIZE, seed=0), (0.5 * drawn(SIZE, seed=1)).exp(), drawn(SIZE, RANK, seed=2)
    )


def mixture(distance: float = 1.0) -> MixtureGaussian:
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    means = distance * drawn(3, SIZE, seed=0)
    return MixtureGaussian(means, drawn(3, SIZE, seed=1).exp(), weights.log())


def oracle(family: VariationalFamily) -> torch.distributions.Distribution:
    if isinstance(family, LowRankGaussian):
        covariance = torch.diag(family.scale.square()) + family.factor @ family.factor.T
        return MultivariateNormal(family.mean, covariance)
    if isinstance(family, MixtureGaussian):
        parts = Independent(Normal(family.means, family.precisions.rsqrt()), 1)
        return MixtureSameFamily(Categorical(logits=family.log_weights), parts)
    assert isinstance(family, MeanFieldGaussian)
    return Independent(Normal(family.mean, family.precision.rsqrt()), 1)


FAMILIES = [mean_field(), low_rank(), mixture()]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.family)


@every_family
def test_densities_and_scores_are_those_of_an_independent_implementation(
    family: VariationalFamily,
) -> None:
    weights = drawn(5, SIZE, seed=7).requires_grad_()
    log_prob = oracle(family).log_prob(weights)
    torch.testing.assert_close(family.log_prob(weights), log_prob)
    (score,) = torch.autograd.grad(log_prob.sum(), weights)
    torch.testing.assert_close(family.score(weights.detach()), score)
    torch.testing.assert_close(family.score(weights.detach()[0]), score[0])


@every_family
def test_moments_and_draws(family: VariationalFamily) -> None:
    exact = oracle(family)
    torch.testing.assert_close(family.mean, exact.mean)
    torch.testing.assert_close(family.variance, exact.variance)
    draws = family.sample(200_000, torch.Generator().manual_seed(3))
    torch.testing.assert_close(draws.mean(0), exact.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(draws.var(0), exact.variance, atol=0, rtol=0.02)


def test_low_rank_draws_have_the_covariance_and_entropy() -> None:
    family = low_rank()
    exact = oracle(family)
    assert isinstance(exact, MultivariateNormal)
    draws = family.sample(200_000, torch.Generator().manual_seed(3))
    torch.testing.assert_close(draws.T.cov(), exact.covariance_matrix, atol=0.1, rtol=0)
    torch.testing.assert_close(family.entropy(), exact.entropy())
    vectors = drawn(4, SIZE, seed=5)
    expected = ((vectors @ exact.covariance_matrix) * vectors).sum(-1)
    torch.testing.assert_close(family.weighted_norm(vectors), expected)


def test_mixture_draws_are_stratified_over_components() -> None:
    draws = mixture(100.0).sample(10, torch.Generator().manual_seed(0))
    nearest = (draws[:, None] - mixture(100.0).means).square().sum(-1).argmin(-1)
    assert nearest.bincount().tolist() == [2, 5, 3]
    assert nearest.tolist() != sorted(nearest.tolist())


@every_family
def test_the_divergence_from_itself_vanishes_with_its_gradient(family: VariationalFamily) -> None:
    coordinates = {k: v.clone().requires_grad_() for k, v in family.coordinates().items()}
    member = family.moved(coordinates)
    parts = member.divergence(family)
    total = torch.stack([part.sum() for part in parts.values()]).sum()
    gradients = torch.autograd.grad(total, list(coordinates.values()))
    assert set(parts) == set(family.fisher()) == set(coordinates)
    assert all(part.shape == (SIZE,) for part in parts.values())
    torch.testing.assert_close(total, torch.zeros_like(total))
    for gradient in gradients:
        torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def moved(family: VariationalFamily, step: float) -> VariationalFamily:
    shifts = {
        name: step * drawn(*zero.shape, seed=10 + place)
        for place, (name, zero) in enumerate(family.coordinates().items())
    }
    return family.moved(shifts)


def total_divergence(member: VariationalFamily, frozen: VariationalFamily) -> Tensor:
    return torch.stack([part.sum() for part in member.divergence(frozen).values()]).sum()


def test_the_divergence_of_independent_gaussians_is_exact() -> None:
    family = mean_field()
    member = moved(family, 0.3)
    torch.testing.assert_close(
        total_divergence(member, family), kl_divergence(oracle(family), oracle(member))
    )


@pytest.mark.parametrize("step", [0.01, 0.3])
def test_the_divergence_with_latent_factors_is_an_upper_bound(step: float) -> None:
    family = low_rank()
    member = moved(family, step)
    exact = kl_divergence(oracle(family), oracle(member))
    assert float(exact) < float(total_divergence(member, family)) < 30 * float(exact)


@pytest.mark.parametrize(("distance", "gap"), [(1.0, 1.0), (100.0, 1e-3)])
def test_the_divergence_with_labels_bounds_and_meets_that_of_mixtures_apart(
    distance: float, gap: float
) -> None:
    family = mixture(distance)
    member = moved(family, 0.3)
    draws = family.sample(20_000, torch.Generator().manual_seed(0))
    values = family.log_prob(draws) - member.log_prob(draws)
    bound = total_divergence(member, family)
    error = 4 * values.std() / len(values) ** 0.5
    assert -error < bound - values.mean() < gap * bound + error


@every_family
def test_the_divergence_is_isotropic_to_second_order(family: VariationalFamily) -> None:
    """Half of the sum of F x^2, as the step sizes of inner steps assume."""
    step = 1e-3
    for name, zero in family.coordinates().items():
        shift = step * drawn(*zero.shape, seed=4)
        member = family.moved({**family.coordinates(), name: shift})
        shares = family.component_weights if isinstance(family, MixtureGaussian) else 1.0
        expected = 0.5 * (family.fisher()[name] * shift.square() * shares).sum()
        torch.testing.assert_close(
            total_divergence(member, family), expected, rtol=5e-3, atol=1e-12
        )


def test_overlap_is_what_other_components_leave() -> None:
    family = mixture(0.3)
    weights = drawn(SIZE, seed=3).requires_grad_()
    component = family.component(1).log_prob(weights) + family.log_weights[1]
    expected = component - family.log_prob(weights)
    (gradient,) = torch.autograd.grad(expected, weights)
    found = family.overlap(1, weights.detach())
    torch.testing.assert_close(found[0], expected.detach())
    torch.testing.assert_close(found[1], gradient)


def test_weights_without_a_spread_stay_out_of_densities() -> None:
    scale, factor = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([[1.0], [0.0], [0.5]])
    family = LowRankGaussian(torch.zeros(3), scale, factor)
    free = [0, 2]
    rest = LowRankGaussian(torch.zeros(2), scale[free], factor[free])
    point = torch.tensor([0.3, 9.0, -1.0])
    torch.testing.assert_close(family.log_prob(point), rest.log_prob(point[free]))
    assert float(family.score(point)[1]) == 0.0
    assert float(family.sample(2, torch.Generator().manual_seed(0))[1, 1]) == 0.0
    member = family.moved({name: zero + 0.1 for name, zero in family.coordinates().items()})
    assert float(member.scale[1]) == float(member.factor[1, 0]) == 0.0
    assert all(float(part[1]) == 0.0 for part in member.divergence(family).values())


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\), \(2,\) and \(3, 1\)"):
        LowRankGaussian(torch.zeros(3), torch.ones(2), torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"\(2, 3\), \(2, 3\) and \(3,\)"):
        MixtureGaussian(torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(3))
