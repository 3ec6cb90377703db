r"""The proximal step of a low-rank Gaussian, its gradients written out: the fast path.

All is written in units of the frozen :math:`d_t`: with the draw's offset
:math:`\xi = \delta / d_t`, the score :math:`\varsigma = d_t \circ \hat s`, and for the member with
log precisions u and relative factor :math:`\tilde U'`, :math:`k = e^{u/2}` and
:math:`B = I - \tilde U' M'^{-1} \tilde U'^\top` (its precision in units of its own
:math:`d' = d_t / k`), let

.. math:: \tilde w = B (k \circ \xi), \qquad t = -k \circ \tilde w - \varsigma, \qquad
          \tilde v = B \left[ k \circ (t + \tilde U_t \tilde U_t^\top t) \right] .

Then S, the weighted squared distance of the scores, has the gradients

.. math:: \partial S / \partial u = -\tilde v \circ k \circ \xi
          - \tilde w \circ (\tilde v + \tilde U' \tilde U'^\top \tilde v), \qquad
          \partial S / \partial A = 2 \left[ \tilde v\, (\tilde U'^\top \tilde w)^\top
          + \tilde w\, (\tilde U'^\top \tilde v)^\top \right] .

So every inner gradient of the factor is of rank two, and only its two columns are kept. All
projections on the factor follow from :math:`\tilde U' \! \,^\top \tilde w = M'^{-1} \tilde U'^\top
(k \circ \xi)`, its like for :math:`\tilde v`, and a few sums of ``rank x rank`` that the step
before takes along, so that an inner step is one pass over blocks of weights. The result is that of
:func:`~tsbnn.inference.score.proximal.proximal_step`, which differentiates automatically.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tsbnn.inference.blocks import blocks
from tsbnn.inference.posteriors import LowRankGaussian
from tsbnn.inference.posteriors.low_rank import reciprocal
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
        :math:`\delta` and :math:`\hat s`, ``num_weights``; both are overwritten.
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
    steps = _InnerSteps(posterior, offset, scores, strength, factor_strength, inner_steps)
    for inner_step in range(inner_steps):
        steps.take(inner_step)
    return steps.excess, steps.factor_noise


class _InnerSteps:
    """Inner steps on the relative factor, which lies in the posterior's factor meanwhile.

    Everything has the weights last, ``rank x num_weights``, as the factor is stored.
    """

    def __init__(
        self,
        posterior: LowRankGaussian,
        offset: Tensor,
        scores: Tensor,
        strength: Tensor,
        factor_strength: Tensor,
        inner_steps: int,
    ) -> None:
        rank = posterior.rank
        self.scale, self.relative, self.parts = posterior.scale, posterior.factor.T, blocks(offset)
        self.offset, self.scores, self.last = offset, scores, inner_steps - 1
        self.strength, self.factor_strength = strength.expand_as(offset), factor_strength
        self.excess, self.squares = torch.empty_like(offset), torch.empty_like(offset)
        # exp(u / 2), with u the log precision's change.
        self.root = torch.ones_like(offset)
        self.factor_noise = offset.new_zeros(())
        # Two columns a step; the relative factor's move so far is rows.T @ columns.
        self.columns, self.rows = (
            offset.new_empty(2 * self.last, len(offset)),
            offset.new_empty(0, rank),
        )
        self.scratch = offset.new_empty(2 * inner_steps, len(offset[self.parts[0]]))
        # Products of the factor, its stretched change and its stretch with the factor and k xi.
        self.products = offset.new_zeros(3, rank, rank + 1)
        self.frozen_scores, self.scored = offset.new_zeros(2, rank)
        ones = offset.new_ones(rank)
        for part in self.parts:
            inverse = reciprocal(self.scale[part])
            relative = self.relative[:, part].mul_(inverse)
            torch.mv(relative.square().T, ones, out=self.squares[part])
            offset[part] *= inverse
            scores[part] *= self.scale[part]
            self._add_products(0, relative, relative, offset[part])
            self.frozen_scores.addmv_(relative, scores[part])

    def take(self, inner_step: int) -> None:
        """Take one step of both coordinates."""
        rank = len(self.relative)
        capacitance, change = self.products[:2, :, :rank]
        eye = torch.eye(rank, dtype=capacitance.dtype, device=capacitance.device)
        # Unlike `inv` this does not wait for an accelerator; the matrix is at least the unit.
        inverse = torch.linalg.inv_ex(capacitance + eye).inverse
        along_w = inverse @ self.products[0, :, rank]
        # U_t.T t, and U'.T v; to first order the two are -along_w, which keeps them exact.
        apart, stretched = self.products[1:, :, rank] - self.products[1:, :, :rank] @ along_w
        target = -(along_w + apart + self.frozen_scores)
        along_v = target
        if inner_step > 0:
            image = (change.T + capacitance) @ target - (along_w + stretched + self.scored)
            along_v = inverse @ image
        rows = torch.cat([self.rows, torch.stack([along_w, along_v])])
        # The factor's gradient is (weights * rows).T @ columns: penalty and squared distance.
        weights, kept = rows.new_full((len(rows), 1), 2.0), rows.new_zeros(len(rows), 1)
        weights[:-2], kept[:-2] = 8.0 * self.factor_strength, 1.0
        self.products, self.scored = torch.zeros_like(self.products), torch.zeros_like(along_w)
        for part in self.parts:
            self._move(part, target, rows, weights, kept)
        self.rows = rows

    def _add_products(self, place: int, matrix: Tensor, relative: Tensor, offset: Tensor) -> None:
        """Add a block's products with the factor and the offset."""
        products, rank = self.products[place], len(relative)
        products[:, :rank].addmm_(matrix, relative.T)
        products[:, rank].addmv_(matrix, offset)

    def _move(
        self, part: slice, target: Tensor, rows: Tensor, weights: Tensor, kept: Tensor
    ) -> None:
        """Move a block of both coordinates, given all products with the whole factor."""
        relative, root, squares = self.relative[:, part], self.root[part], self.squares[part]
        count, (along_w, along_v) = len(self.rows), rows[-2:]
        # The columns so far, v and w of this step: a block's own, where the next step needs none.
        columns = self.scratch[: count + 2, : len(self.offset[part])]
        before, v, w = columns[:count], columns[count], columns[count + 1]
        before.copy_(self.columns[:count, part])
        frozen = torch.addmm(relative, self.rows.T, before, alpha=-1.0)
        offset = self.offset[part] * root
        torch.addmv(offset, relative.T, along_w, alpha=-1.0, out=w)
        torch.addcmul(self.scores[part], root, w, out=v).neg_()
        if len(before) > 0:
            v.addmv_(frozen.T, target).mul_(root).addmv_(relative.T, along_v, alpha=-1.0)
        gradient = torch.addmv(v, relative.T, along_v).mul_(w).addcmul_(v, offset).neg_()
        rows = weights * rows
        norms = ((rows @ rows.T @ columns).mul_(columns).T @ torch.ones_like(rows[:, 0])).clamp_(
            0.0
        )
        if len(before) == 0:
            torch.mul(gradient, 0.5, out=self.excess[part])
            self.factor_noise.add_(norms.sum(), alpha=0.25)
        else:
            penalty = (root - 1.0).mul_(root * squares).add_(root.square().sub_(1.0), alpha=0.5)
            gradient.addcmul_(penalty, self.strength[part], value=4.0)
        step = gradient.mul_(0.5).div_((squares + 1.0).mul_(self.strength[part] + 1.0))
        root.mul_(step.mul_(shortening(step.abs())).mul_(-0.5).exp_())
        rate = 0.125 / (1.0 + self.factor_strength)
        rates = shortening(norms.sqrt_().mul_(rate)).mul_(-rate)
        relative.addmm_(rows.T, columns * rates)
        if len(before) == len(self.columns):
            relative.mul_(self.scale[part].div_(root))
            return
        columns.mul_(torch.addcmul(kept, weights, rates))
        self.columns[: len(columns), part] = columns
        torch.mul(self.offset[part], root, out=offset)
        change, stretch = frozen.mul_(root).sub_(relative), relative * (root.square() - 1.0)
        for place, matrix in enumerate((relative, change, stretch)):
            self._add_products(place, matrix, relative, offset)
        self.scored.addmv_(relative, self.scores[part] * root)
