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
    # Everything lies with the weights last: rank x num_weights, which is how the factor is stored.
    scale, factor = posterior.scale, posterior.factor.T
    inverse = torch.where(scale > 0, scale, torch.inf).reciprocal_()
    log_precision = torch.zeros_like(scale)
    excess, factor_noise = torch.empty_like(scale), scale.new_zeros(())
    rate, factor_rate = 0.5 / (1.0 + strength), 0.25 / (1.0 + factor_strength)
    # The factor's move is rows.T @ columns, in units of the scale.
    columns, rows = factor.new_zeros(0, len(scale)), factor.new_zeros(0, posterior.rank)
    for inner_step in range(inner_steps):
        if inner_step == 0:
            own_scale, own_inverse, relative = scale, inverse, factor * inverse
        else:
            shrinkage = (-0.5 * log_precision).exp_()
            own_scale, own_inverse = scale * shrinkage, inverse / shrinkage
            relative = factor * own_inverse
            relative.addmm_(rows.T, columns / shrinkage)
        capacitance = relative @ relative.T
        capacitance.diagonal().add_(1.0)
        w = _solve(offset, own_inverse, relative, capacitance)
        residual = (w + scores).neg_()
        v = residual
        if inner_step > 0:
            spread = (scale.square() * residual).addmv_(factor.T, factor @ residual)
            v = _solve(spread, own_inverse, relative, capacitance)
        pair = torch.stack([v, w])
        new_columns = pair * (2.0 * scale)
        pair.mul_(own_scale)
        gradient = (pair[0] * pair[1]).mul_(-2.0)
        # Row k of `new_rows` goes with row k of `new_columns`: v with U'w, w with U'v.
        new_rows = pair.flip(0) @ relative.T
        if inner_step == 0:
            norms = _squared_norms(new_columns, new_rows)
            excess.copy_(gradient).mul_(0.5)
            factor_noise = 0.25 * norms.sum()
        else:
            stretch = log_precision.exp()
            gradient += 2.0 * strength * (stretch - 1.0)
            stretch *= 2.0 * factor_strength
            gradient += stretch * _squared_norms(columns, rows)
            new_columns = torch.cat([new_columns, columns * stretch.mul_(2.0)])
            new_rows = torch.cat([new_rows, rows])
            norms = _squared_norms(new_columns, new_rows)
        step = gradient.mul_(rate)
        log_precision -= step.mul_(shortening(step.abs()))
        lengths = norms.clamp_(min=0.0).sqrt_().mul_(factor_rate)
        new_columns *= shortening(lengths).mul_(-factor_rate)
        columns, rows = torch.cat([columns, new_columns]), torch.cat([rows, new_rows])
    factor.addmm_(rows.T, columns.mul_(scale))
    scale.mul_(log_precision.mul_(-0.5).exp_())
    return excess, factor_noise


def _solve(vector: Tensor, inverse: Tensor, relative: Tensor, capacitance: Tensor) -> Tensor:
    """Return the precision matrix times a vector, ``num_weights``."""
    whitened = vector * inverse
    inner = torch.linalg.solve(capacitance, relative @ whitened)
    return whitened.addmv_(relative.T, inner, alpha=-1.0).mul_(inverse)


def _squared_norms(columns: Tensor, rows: Tensor) -> Tensor:
    """Return the squared length of each weight's part of ``rows.T @ columns``, ``num_weights``."""
    return ((rows @ rows.T) @ columns).mul_(columns).sum(0)
