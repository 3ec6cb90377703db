r"""The proximal step of a low-rank Gaussian, its gradients written out: the fast path.

For one draw :math:`m + \delta` with score :math:`\hat s`, and a member with diagonal :math:`d'`,
factor :math:`U'` and :math:`P' = \Sigma'^{-1}`, let :math:`w = P' \delta`,
:math:`R = -w - \hat s` and :math:`v = P' \Sigma_t R`. Then

.. math:: \partial S / \partial u = -2\, d'^2 \circ v \circ w, \qquad
          \partial S / \partial A = 2 \operatorname{diag}(d)
          \left[ v (U'^\top w)^\top + w (U'^\top v)^\top \right]

for :math:`S = R^\top \Sigma_t R`. So every inner gradient of the factor is of rank two, and only
its two columns are kept: the large matrix is read a few times and written once. The result is that
of :func:`~tsbnn.inference.score.proximal.proximal_step`, which differentiates automatically.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tsbnn.inference.posteriors import LowRankGaussian
from tsbnn.inference.score.proximal import shortening


def low_rank_step_(
    posterior: LowRankGaussian,
    offset: Tensor,
    scores: Tensor,
    strength: Tensor,
    factor_strength: Tensor,
    inner_steps: int,
) -> tuple[Tensor, Tensor]:
    r"""Move scale and factor of ``posterior`` by one proximal step, in place.

    Parameters
    ----------
    posterior
        :math:`q_t`, changed to the next member.
    offset, scores
        :math:`\delta` and :math:`\hat s`, ``num_weights``.
    strength
        c of the log precisions, ``num_weights`` or 0-dim.
    factor_strength
        c of the factor, 0-dim.
    inner_steps
        Number of gradient steps, at least 2.

    Returns
    -------
    excess, factor_noise
        Half the first gradient of S with respect to u, ``num_weights``, and a quarter of the
        squared norm of that with respect to the factor, 0-dim.
    """
    scale, factor = posterior.scale, posterior.factor
    inverse = torch.where(scale > 0, scale, torch.inf).reciprocal()
    log_precision = torch.zeros_like(scale)
    # The factor's move is columns @ rows, in units of the scale.
    columns, rows = factor.new_zeros(len(scale), 0), factor.new_zeros(0, posterior.rank)
    excess, factor_noise = torch.empty_like(scale), scale.new_zeros(())
    for inner_step in range(inner_steps):
        shrinkage = (-0.5 * log_precision).exp_()
        own_scale, own_inverse = scale * shrinkage, inverse / shrinkage
        relative = factor * own_inverse.unsqueeze(-1)
        relative.addmm_(columns / shrinkage.unsqueeze(-1), rows)
        capacitance = relative.T @ relative
        capacitance.diagonal().add_(1.0)
        w = _solve(offset, own_inverse, relative, capacitance)
        residual = (w + scores).neg_()
        if inner_step == 0:
            v = residual
        else:
            spread = (scale.square() * residual).addmv_(factor, factor.T @ residual)
            v = _solve(spread, own_inverse, relative, capacitance)
        pair = torch.stack([own_scale * w, own_scale * v], dim=1)
        along = relative.T @ pair
        gradient = (pair[:, 0] * pair[:, 1]).mul_(-2.0)
        new_columns, new_rows = torch.stack([v, w], dim=1).mul_(2.0 * scale.unsqueeze(-1)), along.T
        if inner_step == 0:
            norms = _squared_norms(new_columns, new_rows)
            excess.copy_(gradient).mul_(0.5)
            factor_noise = 0.25 * norms.sum()
        else:
            stretch = log_precision.exp()
            gradient += 2.0 * strength * (stretch - 1.0)
            gradient += 2.0 * factor_strength * stretch * _squared_norms(columns, rows)
            penalty = columns * (4.0 * factor_strength * stretch).unsqueeze(-1)
            new_columns = torch.cat([new_columns, penalty], dim=1)
            new_rows = torch.cat([new_rows, rows])
            norms = _squared_norms(new_columns, new_rows)
        step = gradient.mul_(0.5 / (1.0 + strength))
        log_precision -= step * shortening(step.abs())
        rate = 0.25 / (1.0 + factor_strength)
        lengths = norms.clamp_(min=0.0).sqrt_().mul_(rate)
        new_columns.mul_((-rate * shortening(lengths)).unsqueeze(-1))
        columns, rows = torch.cat([columns, new_columns], dim=1), torch.cat([rows, new_rows])
    factor.addmm_(columns.mul_(scale.unsqueeze(-1)), rows)
    scale.mul_(log_precision.mul_(-0.5).exp_())
    return excess, factor_noise


def _solve(vector: Tensor, inverse: Tensor, relative: Tensor, capacitance: Tensor) -> Tensor:
    """Return the precision matrix times a vector, ``num_weights``."""
    whitened = vector * inverse
    inner = torch.linalg.solve(capacitance, relative.T @ whitened)
    return whitened.addmv_(relative, inner, alpha=-1.0).mul_(inverse)


def _squared_norms(columns: Tensor, rows: Tensor) -> Tensor:
    """Return the squared lengths of the rows of ``columns @ rows``."""
    return ((columns @ (rows @ rows.T)) * columns).sum(1)
