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

from tsbnn.inference.elbo.mean_field import ELBOOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import LowRankGaussian, normal

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
        self._vectors["relative_factor"] = relative
        scale = log_scale.exp()
        self.posterior = LowRankGaussian(values.clone(), scale, relative * scale.unsqueeze(-1))
        for name in ("scale_momentum", "scale_second_moment"):
            self._vector(name)
        for name in ("factor_momentum", "factor_second_moment"):
            self._vectors[name] = torch.zeros_like(relative)

    def _step(self, closure: Closure) -> Tensor:
        if self.warming:
            return super()._step(closure)
        posterior = self.posterior
        latent = normal((posterior.rank,), posterior.mean, self.generator)
        whitened = normal((self.flat.num_weights,), posterior.mean, self.generator)
        whitened.addmv_(self._vectors["relative_factor"], latent)
        torch.mul(posterior.scale, whitened, out=self.flat.values).add_(posterior.mean)
        loss, along = self._evaluate_draws(closure, self.method.antithetic)
        self._update_shape(along, whitened, latent)
        return loss

    def _update_shape(self, along: Tensor, whitened: Tensor, latent: Tensor) -> None:
        r"""Move all parts, given the gradient ``along`` the path and its random numbers."""
        posterior, relative = self.posterior, self._vectors["relative_factor"]
        scale, entropy = posterior.scale, 1.0 / self.likelihood_weight
        if self.method.sticking_the_landing:
            path = posterior.score(posterior.mean + scale * whitened).mul_(entropy)
            along.add_(path)
            if not self.method.antithetic:
                self.flat.gradient.add_(path)
        along.mul_(scale)
        scale_gradient = along * whitened
        factor_gradient = torch.outer(along, latent)
        if not self.method.sticking_the_landing:
            scale_gradient.sub_(entropy)
            inner = torch.linalg.inv(posterior.capacitance())
            factor_gradient.sub_(relative @ inner, alpha=entropy)
        variance = posterior.variance
        self.prior.add_precision_(scale_gradient, 1.0 / self.num_observations, times=variance)
        prior_part = torch.zeros_like(scale)
        self.prior.add_precision_(prior_part, 1.0 / self.num_observations, times=scale.square())
        factor_gradient.addcmul_(relative, prior_part.unsqueeze(-1))
        self._descend(self.learning_rate())
        log_scale = self._kept("log_scale")
        self._move(log_scale, scale_gradient, "scale_")
        self._move(relative, factor_gradient, "factor_")
        relative.mul_(torch.isfinite(log_scale).unsqueeze(-1))
        torch.exp(log_scale, out=posterior.scale)
        torch.mul(relative, posterior.scale.unsqueeze(-1), out=posterior.factor)
