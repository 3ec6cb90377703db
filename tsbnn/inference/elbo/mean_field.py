"""Stochastic gradients of the ELBO for one mean-field Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import adam_step_
from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MeanFieldGaussian, normal

if TYPE_CHECKING:
    from tsbnn.inference.elbo.method import ELBOVI


class ELBOOptimizer(AdamMeanOptimizer):
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
            The sampled gradient with respect to :math:`\log \sigma`, per observation, and the mean
            loss. That with respect to the mean is left in the flat gradient buffer.
        """
        mean, gradient = self._mean, self.flat.gradient
        scale = self._kept("log_scale").exp()
        noise = normal((self.flat.num_weights,), mean, self.generator)
        torch.mul(scale, noise, out=self.flat.values).add_(mean)
        loss, half_difference = self._evaluate_draws(closure, self.method.antithetic)
        scale_gradient = half_difference.mul_(noise).mul_(scale)
        if self.method.sticking_the_landing:
            entropy = 1.0 / self.likelihood_weight
            scale_gradient.addcmul_(noise, noise, value=-entropy)
            if not self.method.antithetic:
                gradient.sub_(torch.where(scale > 0, entropy * noise / scale, 0.0))
        return scale_gradient, loss

    def _update(self, scale_gradient: Tensor) -> None:
        """Move mean and scale; the prior's part of the gradient is exact, and the entropy's."""
        log_scale = self._kept("log_scale")
        if not self.method.sticking_the_landing:
            scale_gradient.sub_(1.0 / self.likelihood_weight)
        variance = torch.mul(log_scale, 2.0, out=self.flat.values).exp_()
        self.prior.add_precision_(scale_gradient, 1.0 / self.num_observations, times=variance)
        self._descend(self.learning_rate())
        self._move(log_scale, scale_gradient, "scale_")
        torch.mul(log_scale, -2.0, out=self._precision).exp_()

    def _move(self, vector: Tensor, gradient: Tensor, prefix: str) -> None:
        """Take one Adam step of a part of the shape, whose state has the prefix."""
        same_size = vector.shape == self.flat.values.shape
        adam_step_(
            vector,
            gradient,
            self._kept(f"{prefix}momentum"),
            self._kept(f"{prefix}second_moment"),
            step=self.steps - self.phase_ends["warm_start"],
            learning_rate=self.learning_rate()
            * (self.method.scale_learning_rate / self.method.learning_rate),
            scratch=self.flat.values if same_size else torch.empty_like(vector),
        )
