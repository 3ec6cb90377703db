"""Stochastic gradients of the ELBO for one mean-field Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import adam_step_
from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.averaging import AveragingOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MeanFieldGaussian, normal_

if TYPE_CHECKING:
    from tsbnn.inference.elbo.method import ELBOVI

MOMENTS = ("momentum", "second_moment")


class ELBOOptimizer(AveragingOptimizer, AdamMeanOptimizer):
    """Adam on means and log standard deviations; the posterior stores precisions."""

    method: ELBOVI
    posterior: MeanFieldGaussian

    def __init__(
        self,
        module: nn.Module,
        method: ELBOVI,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        self._build(module)
        self._plan_averaging()
        self._rest()

    def _build(self, module: nn.Module) -> None:
        """Create the posterior and the vectors of state."""
        log_scale = self._vectors["log_scale"] = self._initial_log_scale()
        self.posterior = MeanFieldGaussian(self.flat.values.clone(), log_scale.mul(-2.0).exp_())
        for name in ("scale_momentum", "scale_second_moment"):
            self._vector(name)

    def _initial_log_scale(self) -> Tensor:
        """Log standard deviations at the start; minus infinity for deterministic weights."""
        log_scale = torch.full_like(self.flat.values, self.method.initial_scale)
        self.prior.multiply_by_scale_(log_scale)
        return self._fix_(log_scale.log_(), -torch.inf)

    @property
    def _precision(self) -> Tensor:
        return self.posterior.precision

    def _step(self, closure: Closure) -> Tensor:
        if self.warming:
            return self._warm_step(closure, self.learning_rate())
        scale_gradient, loss = self._draw_and_evaluate(closure)
        self._update(scale_gradient)
        return loss

    def _draw_and_evaluate(self, closure: Closure) -> tuple[Tensor, Tensor]:
        r"""Evaluate at one draw or an antithetic pair.

        Returns
        -------
        scale_gradient, loss
            The sampled gradient with respect to :math:`\log \sigma`, per observation, in the
            weights' buffer, and the mean loss. That with respect to the mean is left in the flat
            gradient buffer.
        """
        offset, gradient = self.flat.values, self.flat.gradient
        # Until the closure fills it, the gradient's buffer is free.
        scale = torch.rsqrt(self._precision, out=gradient)
        torch.addcmul(self._mean, normal_(offset, self.generator), scale, out=offset)
        loss, half_difference = self._evaluate_draws(closure, self.method.antithetic)
        if not self.method.sticking_the_landing:
            return offset.mul_(half_difference), loss
        entropy = 1.0 / self.likelihood_weight
        path = self._fix_(self._precision.clone(), 0.0)
        path.mul_(offset).mul_(-entropy)
        scale_gradient = offset.mul_(half_difference + path)
        if not self.method.antithetic:
            gradient.add_(path)
        return scale_gradient, loss

    def _update(self, scale_gradient: Tensor) -> None:
        """Move mean and scale; the prior's part of the gradient is exact, and the entropy's."""
        log_scale = self._kept("log_scale")
        if not self.method.sticking_the_landing:
            scale_gradient.sub_(1.0 / self.likelihood_weight)
        # The precision is made anew below.
        variance = self._precision.reciprocal_()
        self.prior.add_precision_(scale_gradient, 1.0 / self.num_observations, times=variance)
        self._descend(self.learning_rate())
        self._move(log_scale, scale_gradient, *(self._kept(f"scale_{kind}") for kind in MOMENTS))
        torch.mul(log_scale, -2.0, out=self._precision).exp_()

    def _take_average(self) -> None:
        super()._take_average()
        torch.log(self.posterior.precision, out=self._vectors["log_scale"]).mul_(-0.5)

    def _move(
        self, vector: Tensor, gradient: Tensor, momentum: Tensor, second_moment: Tensor
    ) -> None:
        """Take one Adam step of a part of the shape."""
        adam_step_(
            vector,
            gradient,
            momentum,
            second_moment,
            step=self.steps - self.phase_ends["warm_start"],
            learning_rate=self.learning_rate()
            * (self.method.scale_learning_rate / self.method.learning_rate),
        )
