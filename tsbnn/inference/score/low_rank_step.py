r"""The proximal step of a low-rank Gaussian, its gradients written out: the fast path.

For one draw :math:`m + \delta` with score :math:`\hat s`, and a member with diagonal :math:`d'`,
relative factor :math:`\tilde U'`, covariance :math:`\Sigma'` and precision :math:`P'`, let
:math:`w = P' \delta`, :math:`R = -w - \hat s` and :math:`v = P' \Sigma_t R`. Then

.. math:: \partial S / \partial u = -v \circ \delta - w \circ \Sigma' v, \qquad
          \partial S / \partial A = 2 \left[ (d' \circ v) (\tilde U'^\top (d' \circ w))^\top
          + (d' \circ w) (\tilde U'^\top (d' \circ v))^\top \right]

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
    relative = factor * inverse
    squares = relative.square().sum(0)
    rate = 0.5 / ((1.0 + squares) * (1.0 + strength))
    factor_rate = 0.125 / (1.0 + factor_strength)
    log_precision = torch.zeros_like(scale)
    excess, factor_noise = torch.empty_like(scale), scale.new_zeros(())
    # The relative factor's move is rows.T @ columns.
    columns, rows = factor.new_zeros(0, len(scale)), factor.new_zeros(0, posterior.rank)
    for inner_step in range(inner_steps):
        own_scale, own_inverse = scale, inverse
        if inner_step > 0:
            shrinkage = (-0.5 * log_precision).exp_()
            own_scale, own_inverse = scale * shrinkage, inverse / shrinkage
        capacitance = relative @ relative.T
        capacitance.diagonal().add_(1.0)
        w = _solve(offset, own_inverse, relative, capacitance)
        v = residual = (w + scores).neg_()
        if inner_step > 0:
            spread = (scale.square() * residual).addmv_(factor.T, factor @ residual)
            v = _solve(spread, own_inverse, relative, capacitance)
        columns_now = torch.stack([v, w]).mul_(own_scale)
        along = columns_now @ relative.T
        # Sigma' v = d' (d' v + U' U'.T d' v), U' relative.
        image = torch.addmv(columns_now[0], relative.T, along[0]).mul_(own_scale)
        gradient = image.mul_(w).addcmul_(v, offset).neg_()
        new_columns, new_rows = columns_now.mul_(2.0), along.flip(0)
        if inner_step == 0:
            norms = _squared_norms(new_columns, new_rows)
            excess.copy_(gradient).mul_(0.5)
            factor_noise = 0.25 * norms.sum()
        else:
            root = shrinkage.reciprocal_()
            change = (root.square() - 1.0).mul_(0.5).addcmul_(squares, root * (root - 1.0))
            gradient += change.mul_(4.0 * strength)
            new_columns = torch.cat([new_columns, columns * (8.0 * factor_strength)])
            new_rows = torch.cat([new_rows, rows])
            norms = _squared_norms(new_columns, new_rows)
        step = gradient.mul_(rate)
        log_precision -= step.mul_(shortening(step.abs()))
        lengths = norms.clamp_(min=0.0).sqrt_().mul_(factor_rate)
        new_columns *= shortening(lengths).mul_(-factor_rate)
        relative.addmm_(new_rows.T, new_columns)
        columns, rows = torch.cat([columns, new_columns]), torch.cat([rows, new_rows])
    scale.mul_(log_precision.mul_(-0.5).exp_())
    torch.mul(relative, scale, out=factor)
    return excess, factor_noise


def _solve(vector: Tensor, inverse: Tensor, relative: Tensor, capacitance: Tensor) -> Tensor:
    """Return the precision matrix times a vector, ``num_weights``."""
    whitened = vector * inverse
    inner = torch.linalg.solve(capacitance, relative @ whitened)
    return whitened.addmv_(relative.T, inner, alpha=-1.0).mul_(inverse)


def _squared_norms(columns: Tensor, rows: Tensor) -> Tensor:
    """Return the squared length of each weight's part of ``rows.T @ columns``, ``num_weights``."""
    return ((rows @ rows.T) @ columns).mul_(columns).sum(0)
