r"""Densities and samples of a distribution head, without the argument checks of torch where safe.

With location l and scale s of a window, a head on the real line describes :math:`(y-l)/s`, so

.. math:: -\log p(y) = \log s - \log p_0\!\left(\frac{y-l}{s}\right).

``torch.distributions`` checks every argument and value, which costs more than the formula and
makes a GPU wait for the CPU at each step. On the real line nothing can lie outside the support, so
Student-t, normal and Laplace heads are computed without; all others go through GluonTS as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from gluonts.torch.distributions import (
    DistributionOutput,
    LaplaceOutput,
    NormalOutput,
    StudentTOutput,
)
from gluonts.torch.distributions.output import Output, PtArgProj
from gluonts.torch.modules.lambda_layer import LambdaLayer
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn import functional

_REAL_LINE = (StudentTOutput, NormalOutput, LaplaceOutput)


class JoinedProjection(PtArgProj):
    """GluonTS's projection to a head's arguments, its few columns in one matrix product."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Arguments of the head from outputs ``... x width``."""
        weight = torch.cat([layer.weight for layer in self.proj])
        bias = torch.cat([layer.bias for layer in self.proj])
        joined = functional.linear(x, weight, bias)
        args: tuple[Tensor, ...] = self.domain_map(
            *joined.split(list(self.args_dim.values()), dim=-1)
        )
        return args


def projection(head: DistributionOutput, width: int) -> nn.Module:
    """Projection from outputs of this width to the arguments of a head, with GluonTS's names."""
    if type(head).get_args_proj is not Output.get_args_proj:
        own: nn.Module = head.get_args_proj(width)
        return own
    return JoinedProjection(width, head.args_dim, LambdaLayer(head.domain_map))


def check_head(head: Any, scaling: str | None) -> None:
    """Refuse a head that is no likelihood of one number, or that cannot be shifted.

    Raises
    ------
    ValueError
        For heads whose loss is no log-likelihood (quantiles, implicit quantiles), whose
        distribution has no density, of vectors; for ``scaling="std"`` heads that live on a part of
        the real line only: shifted by the mean, most of the data would lie outside; and for
        ``scaling="mean"`` heads with an upper bound, beyond which scaled values lie.
    """
    name = type(head).__name__
    if not isinstance(head, DistributionOutput) or type(head).loss is not DistributionOutput.loss:
        raise ValueError(
            f"distr_output={name}: its loss is not a log-likelihood. Pass a distribution head, "
            "e.g. StudentTOutput()"
        )
    if head.event_shape != ():
        raise ValueError(
            f"distr_output={name} of event shape {tuple(head.event_shape)}: expected a "
            "distribution of one number, e.g. StudentTOutput()"
        )
    if type(head) in _REAL_LINE:
        return
    if not has_density(head):
        raise ValueError(
            f"distr_output={name}: its distribution has no log_prob. Pass a distribution head "
            "with a density, e.g. StudentTOutput()"
        )
    is_shifted = type(head).distribution is DistributionOutput.distribution
    lives_on = _support(head)
    is_bounded = hasattr(lives_on, "upper_bound")
    is_part = lives_on not in (None, constraints.real)
    leaves = {"std": is_part, "mean": is_bounded, None: False}
    if is_shifted and leaves[scaling]:
        right = "None" if is_bounded else '"mean" or None'
        raise ValueError(
            f'scaling="{scaling}" with distr_output={name}: the head lives on {lives_on}, and '
            f"scaled values do not. Pass scaling={right}, or a head on the real line, e.g. "
            "StudentTOutput()"
        )


def support(head: Any) -> constraints.Constraint | None:
    """What a head's targets must be at any scale of their window: positive, or whole numbers.

    None for anything (the real line), and where it depends on the scale (other bounds).
    """
    if not isinstance(head, DistributionOutput) or type(head) in _REAL_LINE or head.event_shape:
        return None
    found = _support(head)
    known = constraints.nonnegative_integer, constraints.nonnegative, constraints.positive
    return found if found in known else None


def has_density(head: DistributionOutput) -> bool:
    """Say whether the distribution of a head of one number has a ``log_prob``."""
    try:
        # Whether there is a density, not whether this value has one.
        _of_ones(head).log_prob(torch.full((1,), float(head.value_in_support)))
    except ValueError:
        return True
    except NotImplementedError:
        return False
    return True


def _support(head: DistributionOutput) -> constraints.Constraint | None:
    """The support at scale 1, None where the distribution does not say."""
    try:
        found: constraints.Constraint | None = _of_ones(head).support
    except NotImplementedError:
        return None
    return found


def _of_ones(head: DistributionOutput) -> Distribution:
    # Ones: some heads take absolute values for positive arguments, and 0 has none.
    args = head.domain_map(*(torch.ones(1, size) for size in head.args_dim.values()))
    return head.distribution(args)


def distribution(
    head: DistributionOutput, args: Sequence[Tensor], loc: Tensor, scale: Tensor
) -> Distribution:
    """GluonTS's distribution of targets, in target units.

    The arguments are copied: some heads of GluonTS scale theirs in place.
    """
    return head.distribution([arg.clone() for arg in args], loc=loc, scale=scale)


def point_losses(
    head: DistributionOutput,
    args: Sequence[Tensor],
    target: Tensor,
    observed: Tensor,
    loc: Tensor,
    scale: Tensor,
) -> Tensor:
    """Weighted negative log-likelihood of each point, in nats.

    Parameters
    ----------
    head
        The distribution head. With a ``beta`` above 0 the values are those of the beta-NLL.
    args
        Its arguments, ``... x time`` (perhaps with more dimensions in front than ``target``).
    target, observed
        Values in target units and their weights, each ``batch x time``. A point of weight 0 gives
        0 and no gradient, whatever its value: NaN, or outside of the head's support.
    loc, scale
        ``batch x 1``, in target units.

    Raises
    ------
    ValueError
        If an observed value lies outside the support of a head that has bounds.
    """
    # Under autocast the arguments are bfloat16, too coarse for densities.
    args = [arg.to(target.dtype) for arg in args]
    is_observed = observed > 0
    if type(head) not in _REAL_LINE or head.beta > 0:
        inside = head.value_in_support * scale if type(head) not in _REAL_LINE else loc
        values = torch.where(is_observed, target, inside)
        described = distribution(head, args, loc, scale)
        try:
            nll = -described.log_prob(values)
        except ValueError as error:
            # torch's message is a list of all values.
            base = getattr(described, "base_dist", described)
            divided = "" if base is described else ", divided by the scale of their window,"
            raise ValueError(
                f"targets between {values.min():g} and {values.max():g}{divided} lie outside the "
                f"support of distr_output={type(head).__name__}, {base.support}: pass another "
                "head, e.g. StudentTOutput()"
            ) from error
        # Some heads of GluonTS never set their beta to a number.
        if isinstance(head.beta, float | int) and head.beta > 0:
            variance = distribution(head, args, loc, scale).variance
            nll = nll * variance.detach() ** head.beta
        return nll * observed
    values = (torch.where(is_observed, target, loc) - loc) / scale
    return (scale.log() + _standard_nll(head, args, values)) * observed


def _standard_nll(head: DistributionOutput, args: Sequence[Tensor], value: Tensor) -> Tensor:
    if isinstance(head, StudentTOutput):
        return student_t_nll(args[0], args[1], args[2], value)
    nll: Tensor = -head.distr_cls(*args, validate_args=False).log_prob(value)
    return nll


def student_t_nll(df: Tensor, loc: Tensor, scale: Tensor, value: Tensor) -> Tensor:
    r"""Negative log-density of Student's t distribution, in nats.

    .. math:: \log s + \tfrac12 \log(\pi\nu) + \log\Gamma(\tfrac\nu2)
              - \log\Gamma(\tfrac{\nu+1}2) + \tfrac{\nu+1}2 \log\!\left(1 + \tfrac{z^2}\nu\right),
              \qquad z = \frac{y - l}{s}.
    """
    half = 0.5 * df
    z = (value - loc) / scale
    return (
        (0.5 * math.log(math.pi) + scale.log() + 0.5 * df.log())
        + (half.lgamma() - (half + 0.5).lgamma())
        + (half + 0.5) * torch.log1p(z * z / df)
    )


def sample(head: DistributionOutput, args: Sequence[Tensor], loc: Tensor, scale: Tensor) -> Tensor:
    r"""One sample for each entry of the arguments, in target units, from torch's global state.

    Student's t comes from two uniforms without rejection,

    .. math:: t = \sqrt{\nu\,(u^{-2/\nu} - 1)}\,\cos 2\pi v

    (Bailey, "Polar generation of random variates with the t-distribution", Mathematics of
    Computation 62, 1994): faster than a normal over a gamma, and as the number of random numbers
    does not depend on :math:`\nu`, arguments that differ by rounding give paths that do no more.
    """
    # Under autocast the arguments are bfloat16, too coarse for paths.
    args = [arg.to(scale.dtype) for arg in args]
    if type(head) is StudentTOutput:
        df, centre, spread = args
        minus_log_u = torch.empty_like(df).exponential_()
        angle = torch.rand_like(df).mul_(2 * math.pi)
        radius = torch.expm1(2 * minus_log_u / df).mul_(df).sqrt_()
        return (centre + spread * radius * angle.cos_()) * scale + loc
    if type(head) is NormalOutput:
        centre, spread = args
        return (centre + spread * torch.randn_like(centre)) * scale + loc
    return distribution(head, args, loc, scale).sample()
