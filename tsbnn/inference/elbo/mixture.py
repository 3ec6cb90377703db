r"""Stochastic gradients of the ELBO for a mixture of mean-field Gaussians.

Written for component k, the mixture's ELBO is that of one Gaussian whose target is multiplied by
the component's responsibility :math:`r_k`, whose gradient at the draws of k is added to the loss's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.components import average_evidence_, component_log_weights, starting_means
from tsbnn.inference.elbo.mean_field import ELBOOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MixtureGaussian

if TYPE_CHECKING:
    from tsbnn.inference.elbo.method import ELBOVI


class MixtureELBOOptimizer(ELBOOptimizer):
    """A step of every component on each minibatch, then the weights by the ELBO.

    Between steps the module holds the mean of the heaviest component.
    """

    method: ELBOVI
    posterior: MixtureGaussian  # type: ignore[assignment]

    def _build(self, module: nn.Module) -> None:
        count = self.method.num_components
        means = starting_means(module, self.flat.values, self.prior, self.generator, count)
        log_scale = self._vectors["log_scale"] = self._initial_log_scale().repeat(count, 1)
        log_weights = means.new_full((count,), -math.log(count))
        self.posterior = MixtureGaussian(means, log_scale.mul(-2.0).exp_(), log_weights)
        for name in ("momentum", "second_moment", "scale_momentum", "scale_second_moment"):
            self._vectors[name] = torch.zeros_like(means)
        self._vectors["evidence"] = means.new_zeros(count)
        # The component that the inherited steps work on, and log r_k at its draws of this step.
        self._current = 0
        self._log_responsibilities: list[Tensor] = []

    @property
    def _mean(self) -> Tensor:
        return self.posterior.means[self._current]

    @property
    def _precision(self) -> Tensor:
        return self.posterior.precisions[self._current]

    def _kept(self, name: str) -> Tensor:
        return self._vectors[name][self._current]

    @property
    def resting_weights(self) -> Tensor:
        """Mean of the heaviest component, ``num_weights``."""
        return self.posterior.means[self.posterior.heaviest]

    def gradient_moments(self) -> tuple[Tensor, Tensor]:
        """Return Adam's moments of the heaviest component."""
        self._current = self.posterior.heaviest
        return self._kept("momentum"), self._kept("second_moment")

    def _step(self, closure: Closure) -> Tensor:
        # All evaluations come before the first update: one that fails leaves all as it was.
        components = range(self.posterior.num_components)
        found: list[tuple[Tensor, Tensor | None, Tensor]] = []
        overlaps = []
        for self._current in components:
            self._log_responsibilities = []
            scale_gradient: Tensor | None = None
            if self.warming:
                self.flat.values.copy_(self._mean)
                loss = self._evaluate(closure)
            else:
                scale_gradient, loss = self._draw_and_evaluate(closure)
                overlaps.append(torch.stack(self._log_responsibilities).mean())
            found.append((self.flat.gradient.clone(), scale_gradient, loss))
        for self._current, (gradient, scale_gradient, _) in zip(components, found, strict=True):
            self.flat.gradient.copy_(gradient)
            if scale_gradient is None:
                self._update_mean()
            else:
                self._update(scale_gradient)
        losses = torch.stack([loss for *_, loss in found])
        if not self.warming and self.method.component_weights == "elbo":
            evidence = self._vectors["evidence"]
            step = self.steps - self.phase_ends["warm_start"]
            average_evidence_(evidence, losses, torch.stack(overlaps), self.likelihood_weight, step)
            self.posterior.log_weights.copy_(
                component_log_weights(self.posterior, self.prior, evidence, self.temperature)
            )
        return (losses * self.posterior.component_weights.to(losses)).sum()

    def _evaluate_draw(self, closure: Closure) -> Tensor:
        """Evaluate the loss at the weights in place, and the overlap with other components."""
        overlap, gradient = self.posterior.overlap(self._current, self.flat.values)
        self._log_responsibilities.append(overlap)
        loss = self._evaluate(closure)
        self.flat.gradient.sub_(gradient, alpha=1.0 / self.likelihood_weight)
        return loss

    def _adopt(self) -> None:
        """Take weights that somebody put into the module as the heaviest component's mean."""
        self._follow()
        self.resting_weights.copy_(self.flat.values)
