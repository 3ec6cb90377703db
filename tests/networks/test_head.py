"""Densities without checks are torch's, samples have the right law, gaps cost nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gluonts.torch.distributions import (
    BetaOutput,
    DistributionOutput,
    GammaOutput,
    ImplicitQuantileNetworkOutput,
    ISQFOutput,
    LaplaceOutput,
    NegativeBinomialOutput,
    NormalOutput,
    PiecewiseLinearOutput,
    PoissonOutput,
    QuantileOutput,
    StudentTOutput,
)
from scipy import stats
from torch import Tensor
from torch.distributions import Normal

from tests.networks.gluonts_pairs import HEADS, targets
from tsbnn.networks import head as heads


def arguments(head: DistributionOutput, *shape: int, seed: int = 0) -> list[Tensor]:
    torch.manual_seed(seed)
    raw = [torch.randn(*shape, size, requires_grad=True) for size in head.args_dim.values()]
    return list(head.domain_map(*raw))


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("head", HEADS)
def test_losses_are_gluonts(head: Any, beta: float) -> None:
    head = head(beta=beta)
    args = arguments(head, 3, 5)
    # Beta lives on (0, 1): only there scaled by 1.
    scale = torch.ones(3, 1) if isinstance(head, BetaOutput) else torch.tensor([[0.5], [2], [9]])
    loc = torch.zeros(3, 1)
    target = targets(head, 3, 5)
    expected = head.loss(target, [arg.clone() for arg in args], loc=loc, scale=scale)
    observed = torch.ones(3, 5)
    found = heads.point_losses(head, args, target, observed, loc, scale)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", [StudentTOutput, NormalOutput, LaplaceOutput])
def test_location_and_scale_shift_and_stretch(head: Any) -> None:
    head = head()
    args = arguments(head, 3, 5)
    loc, scale = torch.tensor([[-3.0], [0], [50]]), torch.tensor([[0.5], [2], [9]])
    target = torch.randn(3, 5) * scale + loc
    expected = head.loss(target, args, loc=loc, scale=scale)
    found = heads.point_losses(head, args, target, torch.ones(3, 5), loc, scale)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("head", HEADS)
def test_unobserved_points_cost_nothing_whatever_stands_there(head: Any, value: float) -> None:
    head = head()
    raw = [torch.randn(2, 4, size, requires_grad=True) for size in head.args_dim.values()]
    target = targets(head, 2, 4)
    target[0, 1:3] = value
    observed = torch.ones(2, 4)
    observed[0, 1:3] = 0.0
    scale = torch.ones(2, 1) if isinstance(head, BetaOutput) else torch.tensor([[1e-4], [3e5]])
    args = head.domain_map(*raw)
    losses = heads.point_losses(head, args, target, observed, torch.zeros(2, 1), scale)
    assert torch.equal(losses[0, 1:3], torch.zeros(2))
    assert losses.isfinite().all()
    losses.sum().backward()
    for tensor in raw:
        assert tensor.grad.isfinite().all()
        assert torch.equal(tensor.grad[0, 1:3], torch.zeros_like(tensor.grad[0, 1:3]))
        assert (tensor.grad[1].abs() > 0).any()


def test_weights_multiply() -> None:
    head = StudentTOutput()
    args, target = arguments(head, 2, 4), torch.randn(2, 4)
    window = torch.zeros(2, 1), torch.ones(2, 1)
    whole = heads.point_losses(head, args, target, torch.ones(2, 4), *window)
    half = heads.point_losses(head, args, target, torch.full((2, 4), 0.5), *window)
    torch.testing.assert_close(half, whole / 2)


@pytest.mark.parametrize(
    ("head", "value"), [(NegativeBinomialOutput, -1.0), (GammaOutput, -1.0), (BetaOutput, 1.5)]
)
def test_an_observed_value_outside_of_the_support_is_an_error(head: Any, value: float) -> None:
    head = head()
    target = torch.full((1, 2), value)
    message = (
        f"targets between {value:g} and {value:g}.* support of distr_output={type(head).__name__}"
    )
    with pytest.raises(ValueError, match=message):
        heads.point_losses(
            head,
            arguments(head, 1, 2),
            target,
            torch.ones(1, 2),
            torch.zeros(1, 1),
            torch.ones(1, 1),
        )


@pytest.mark.parametrize("df", [2.05, 3.0, 30.0, 1e4])
def test_students_t_samples_have_their_law(df: float) -> None:
    """Kolmogorov-Smirnov against scipy."""
    torch.manual_seed(0)
    shape = (20_000,)
    args = [torch.full(shape, number) for number in (df, 0.7, 1.5)]
    loc, scale = torch.full(shape, -2.0), torch.full(shape, 3.0)
    samples = heads.sample(StudentTOutput(), args, loc, scale).double().numpy()
    law = stats.t(df, loc=0.7 * 3 - 2, scale=1.5 * 3)
    assert stats.kstest(samples, law.cdf).pvalue > 0.01
    # The tails as well: the share beyond the 0.1 % quantiles, within four standard errors.
    share = np.mean(np.abs(samples - law.mean()) > law.ppf(0.9995) - law.mean())
    assert abs(share - 0.001) < 4 * np.sqrt(0.001 / shape[0])


@pytest.mark.parametrize("head", [head for head in HEADS if head is not StudentTOutput])
def test_samples_have_the_mean_and_variance_of_their_distribution(head: Any) -> None:
    head = head()
    count = 20_000
    args = [arg.detach() for arg in arguments(head, 1, 3)]
    args = [arg.expand(count, 3) for arg in args]
    loc, scale = torch.zeros(count, 1), torch.full((count, 1), 2.0)
    torch.manual_seed(1)
    samples = heads.sample(head, args, loc, scale).double()
    law = heads.distribution(head, args, loc, scale)
    spread = law.variance[0].double().sqrt()
    assert samples.shape == (count, 3)
    assert float(((samples.mean(0) - law.mean[0]) / spread).abs().max()) < 4 / count**0.5
    # The error of a standard deviation: kurtosis up to 9 is allowed for.
    assert float((samples.std(0) / spread - 1).abs().max()) < 4 * (8 / 4 / count) ** 0.5


class NearlyNormal(StudentTOutput):
    """A head of a user's own, with another density and other samples than its parent."""

    @classmethod
    def domain_map(cls, *args: Tensor) -> tuple[Tensor, ...]:
        df, centre, spread = super().domain_map(*args)
        return df + 1e4, centre, spread

    def _base_distribution(self, args: Any) -> Normal:
        return Normal(*args[1:])


def test_a_users_own_head_is_asked_itself() -> None:
    head = NearlyNormal()
    heads.check_head(head, "mean")
    args = [torch.full((50_000,), number) for number in (2.1, 0.0, 1.0)]
    window = torch.zeros(50_000), torch.ones(50_000)
    torch.manual_seed(0)
    samples = heads.sample(head, args, *window)
    # Student's t with 2.1 degrees of freedom has a standard deviation of 4.6.
    assert abs(float(samples.std()) - 1) < 0.02
    losses = heads.point_losses(head, args, torch.ones(50_000), torch.ones(50_000), *window)
    torch.testing.assert_close(losses[0], -Normal(0.0, 1.0).log_prob(torch.tensor(1.0)))


class Nowhere(Normal):
    """Has a density and does not say where it lives."""

    @property
    def support(self) -> Any:
        raise NotImplementedError


class NowhereOutput(NormalOutput):
    distr_cls = Nowhere


@pytest.mark.parametrize("scaling", ["mean", "std", None])
def test_a_head_that_does_not_say_its_support(scaling: str | None) -> None:
    heads.check_head(NowhereOutput(), scaling)
    assert heads.support(NowhereOutput()) is None


def test_arguments_are_not_changed_in_place() -> None:
    for head in (PoissonOutput(), NegativeBinomialOutput()):
        args = [arg.detach() for arg in arguments(head, 2, 3)]
        before = [arg.clone() for arg in args]
        window = torch.zeros(2, 1), torch.full((2, 1), 7.0)
        heads.sample(head, args, *window)
        heads.point_losses(head, args, torch.ones(2, 3), torch.ones(2, 3), *window)
        for one, other in zip(args, before, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (QuantileOutput([0.1, 0.5, 0.9]), r"QuantileOutput: its loss is not a log-likelihood"),
        (ImplicitQuantileNetworkOutput(), r"ImplicitQuantileNetworkOutput: its loss is not"),
        (PiecewiseLinearOutput(5), r"PiecewiseLinearOutput: .*no log_prob"),
        (ISQFOutput(2, [0.1, 0.5, 0.9]), r"ISQFOutput: .*no log_prob"),
        (None, r"NoneType: its loss is not"),
    ],
)
def test_heads_without_a_likelihood_are_refused(head: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"distr_output={message}.*StudentTOutput"):
        heads.check_head(head, "mean")


@pytest.mark.parametrize(
    ("head", "scaling", "right"),
    [
        (GammaOutput(), "std", '"mean" or None'),
        (BetaOutput(), "std", "None"),
        # Of the targets over the mean of their window many are above 1.
        (BetaOutput(), "mean", "None"),
    ],
)
def test_heads_that_scaled_values_leave(head: DistributionOutput, scaling: str, right: str) -> None:
    message = f'scaling="{scaling}" with distr_output=.* Pass scaling={right}, or'
    with pytest.raises(ValueError, match=message):
        heads.check_head(head, scaling)
    heads.check_head(head, None)
    heads.check_head(GammaOutput(), "mean")


@pytest.mark.parametrize(
    "head", [StudentTOutput(), NormalOutput(), PoissonOutput(), NegativeBinomialOutput()]
)
def test_other_heads_can_be_standardised(head: DistributionOutput) -> None:
    heads.check_head(head, "std")
