r"""Stochastic gradients of the ELBO for a low-rank-plus-diagonal Gaussian.

With :math:`\theta = m + d \circ (\varepsilon + \tilde U z)`, and
:math:`M = I + \tilde U^\top \tilde U`, the entropy is, up to a constant,
:math:`\sum_i \log d_i + \tfrac12 \log |M|`: its gradients are 1 for :math:`\log d` and
:math:`\tilde U M^{-1}` for the factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.averaging import AveragingOptimizer
from tsbnn.inference.blocks import blocks
from tsbnn.inference.elbo.mean_field import MOMENTS, ELBOOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import LowRankGaussian, normal, normal_

if TYPE_CHECKING:
    from tsbnn.inference.elbo.method import ELBOVI


class LowRankELBOOptimizer(ELBOOptimizer):
    r"""Adam on m, :math:`\log d` and :math:`\tilde U`; the posterior stores :math:`d` and U.

    The factor's columns start in random directions, small beside the diagonal: zero would be a
    saddle point.
    """

    method: ELBOVI
    posterior: LowRankGaussian  # type: ignore[assignment]
    # Norm of a starting column in units of d.
    INITIAL_NORM = 0.3

    def _build(self, module: nn.Module) -> None:
        values = self.flat.values
        log_scale = self._vectors["log_scale"] = self._initial_log_scale()
        relative = normal((len(values), self.method.rank), values, self.generator)
        relative.mul_(torch.isfinite(log_scale).unsqueeze(-1))
        relative.mul_(self.INITIAL_NORM / relative.norm(dim=0))
        # Stored column by column, like the posterior's factor.
        relative = relative.T.contiguous().T
        self._vectors["relative_factor"] = relative
        scale = log_scale.exp()
        self.posterior = LowRankGaussian(values.clone(), scale, relative * scale.unsqueeze(-1))
        for name in ("scale_momentum", "scale_second_moment"):
            self._vector(name)
        for name in ("factor_momentum", "factor_second_moment"):
            self._vectors[name] = torch.zeros_like(relative)

    def _take_average(self) -> None:
        AveragingOptimizer._take_average(self)
        torch.log(self.posterior.scale, out=self._vectors["log_scale"])
        self._vectors["relative_factor"].copy_(self.posterior.relative_factor())

    def _step(self, closure: Closure) -> Tensor:
        if self.warming:
            return super()._step(closure)
        posterior = self.posterior
        latent = normal((posterior.rank,), posterior.mean, self.generator)
        offset = normal_(self.flat.values, self.generator)
        offset.addmv_(self._vectors["relative_factor"], latent)
        offset.mul_(posterior.scale).add_(posterior.mean)
        loss, along = self._evaluate_draws(closure, self.method.antithetic)
        self._update_shape(along, offset, latent)
        self._descend(self.learning_rate())
        return loss

    def _update_shape(self, along: Tensor, offset: Tensor, latent: Tensor) -> None:
        r"""Move the shape, given the gradient ``along`` the draw's ``offset`` and its latent z.

        Overwrites ``offset``; adds the path's part to ``along`` for sticking the landing.
        """
        posterior, relative = self.posterior, self._kept("relative_factor").T
        scale, factor = posterior.scale, posterior.factor.T
        entropy, inner = 1.0 / self.likelihood_weight, relative.new_zeros(2 * relative.shape[:1])
        if self.method.sticking_the_landing:
            along.add_(posterior.score(posterior.mean + offset), alpha=entropy)
            entropy = 0.0
        else:
            eye = torch.eye(len(relative), dtype=relative.dtype, device=relative.device)
            # Unlike `inv` this does not wait for an accelerator; the matrix is at least the unit.
            inverse = torch.linalg.inv_ex(torch.addmm(eye, relative, relative.T)).inverse
            inner = inverse.mul_(entropy)
        # The factor is made anew below; till then a column of it holds the prior's curvature.
        curvature = factor[0].zero_()
        self.prior.add_precision_(curvature, 1.0 / self.num_observations)
        scale_gradient = offset.mul_(along)
        moments = [self._kept(f"factor_{kind}").T for kind in MOMENTS]
        for part in blocks(scale):
            own, spread = relative[:, part], scale[part]
            prior_part = curvature[part] * spread.square()
            squares = own.square().sum(0)
            scale_gradient[part].addcmul_(squares.add_(1.0), prior_part).sub_(entropy)
            gradient = (own * prior_part).addmm_(inner, own, alpha=-1.0)
            gradient.addr_(latent, along[part] * spread)
            self._move(own, gradient, *(moment[:, part] for moment in moments))
        log_scale = self._kept("log_scale")
        self._move(log_scale, scale_gradient, *(self._kept(f"scale_{kind}") for kind in MOMENTS))
        torch.exp(log_scale, out=scale)
        torch.mul(relative, scale, out=factor)
