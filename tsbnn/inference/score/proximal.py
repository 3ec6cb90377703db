r"""One proximal step: in closed form for independent Gaussians, by inner gradients for any family.

With :math:`q_t` frozen, draws :math:`\theta_s \sim q_t` and noisy scores :math:`\hat s_s` of the
target there, the next member of the family minimises

.. math:: J(q) = \frac1S \sum_s \| \nabla \log q(\theta_s) - \hat s_s \|^2_W
          + 4c\, \mathrm{KL}(q_t \,\|\, q), \qquad W = \mathrm{Cov}(q_t), \quad c = 1/(4\alpha).

Neither draws nor W depend on q, so the noise of the scores adds a constant to J.

No step changes a precision by more than a factor of two. With c at ten times the variance of r (see
:class:`ProximalScoreVI`) noise that is near normal never comes there. A network's curvature has
heavier tails: without the bound a single minibatch can throw a standard deviation far beyond the
prior's, where the network bends so much that it does not come back.

Source: M. Kim, "Large-scale Score-based Variational Posterior Inference for Bayesian Deep Neural
Networks", arXiv 2602.05873.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from tsbnn.inference.blocks import blocks
from tsbnn.inference.posteriors import VariationalFamily

Family = TypeVar("Family", bound=VariationalFamily)
# The logarithm of the largest factor by which a step changes a precision.
LARGEST_STEP = math.log(2.0)


def precision_factors_(excess: Tensor, parts: list[Tensor], strengths: Tensor) -> None:
    r"""Turn :math:`r - 1` into the factor of each precision, at most 2 and at least 1/2, in place.

    .. math:: \rho = \tfrac12 \left[ (r - c) + \sqrt{(r - c)^2 + 4c} \right]
              = \sqrt c \, \exp \operatorname{asinh} \frac{r - c}{2 \sqrt c} \; > 0

    minimises J over the precisions of independent Gaussians, to leading order in the mean's move;
    r is the target's curvature in units of the precision. The second form is stable for any r
    and c.

    Parameters
    ----------
    excess
        :math:`r - 1`, ``num_weights``; overwritten with :math:`\rho`.
    parts
        Views of ``excess``, one for each parameter tensor.
    strengths
        c of each tensor.
    """
    root = strengths.sqrt()
    torch._foreach_sub_(parts, list((strengths - 1.0).unbind()))
    torch._foreach_div_(parts, list((2.0 * root).unbind()))
    if excess.device.type == "cpu":
        one = excess.new_ones(())
        for block in blocks(excess):
            # asinh |x| = log(|x| + hypot(x, 1)); torch's own is ten times slower here.
            ratio = excess[block]
            sign = ratio.sign()
            ratio.abs_().add_(ratio.hypot(one)).log_().mul_(sign).exp_()
    else:
        # The same would take two vectors more.
        excess.asinh_().exp_()
    torch._foreach_mul_(parts, list(root.unbind()))
    excess.clamp_(math.exp(-LARGEST_STEP), math.exp(LARGEST_STEP))


def shortening(lengths: Tensor) -> Tensor:
    r"""Return :math:`\min(\operatorname{asinh} l, \log 2) / l`, by which steps of length l shorten.

    A step where it is small, and at most the largest one, as in the closed form; each weight's
    coordinates (a number, or a row) keep their direction.
    """
    # torch's asinh is ten times slower than these; below the bound the ratio is 1 up to 1e-4.
    lengths = lengths.clamp(min=1e-3)
    steps = lengths.square().add_(1.0).sqrt_().add_(lengths).log_()
    return steps.clamp_(max=LARGEST_STEP).div_(lengths)


def proximal_step(
    frozen: Family,
    draws: Tensor,
    scores: Tensor,
    strengths: Mapping[str, Tensor],
    inner_steps: int,
) -> tuple[Family, dict[str, Tensor]]:
    r"""Minimise J by gradient steps on the family's local coordinates; the network is not called.

    A coordinate x moves by :math:`\partial J / \partial x` over :math:`4 F (1 + c)`, about its
    second derivative (F is the family's ``fisher``), shortened by :func:`shortening` where the
    noise of a moment would carry it far. One step would make the penalty inert, whose gradient
    vanishes at :math:`q_t`; two see it.

    Parameters
    ----------
    frozen
        :math:`q_t`.
    draws, scores
        :math:`\theta_s` and :math:`\hat s_s`, ``S x num_weights``.
    strengths
        c for each coordinate that moves, the others stay: a tensor that broadcasts with
        ``num_weights``.
    inner_steps
        Number of steps, at least 2.

    Returns
    -------
    member, gradients
        The next member, and the gradients of J at ``frozen``, where only the scores have a part.
    """
    coordinates, fisher = frozen.coordinates(), frozen.fisher()
    first: dict[str, Tensor] = {}
    with torch.enable_grad():
        for _ in range(inner_steps):
            moving = {name: coordinates[name].detach().requires_grad_() for name in strengths}
            member = frozen.moved({**coordinates, **moving})
            objective = frozen.weighted_norm(member.score(draws) - scores).mean()
            for name, part in member.divergence(frozen).items():
                if name in strengths:
                    objective = objective + 4.0 * (strengths[name] * part).sum()
            gradients = torch.autograd.grad(objective, list(moving.values()))
            for (name, coordinate), gradient in zip(moving.items(), gradients, strict=True):
                first.setdefault(name, gradient)
                rate = 0.25 / fisher[name] / (1.0 + strengths[name])
                lengths = gradient.reshape(len(gradient), -1).norm(dim=1) * rate
                rate = (rate * shortening(lengths)).view(-1, *[1] * (gradient.ndim - 1))
                coordinates[name] = (coordinate - rate * gradient).detach()
    with torch.no_grad():
        return frozen.moved(coordinates), first
