r"""Proximal score matching with a mixture: each component fits what the others leave.

The mixture's log density is :math:`\log \pi_k q_k - \log r_k` for any component k, with its
responsibility :math:`r_k`. So component k fits the target times :math:`r_k` as a single Gaussian
would: the same closed form, with :math:`\nabla \log r_k` added to the target's score at its draws.
Where components lie apart, :math:`r_k = 1` at the draws of k. The fixed points are the stationary
points of the mixture's ELBO.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.components import average_evidence_, component_log_weights, starting_means
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MixtureGaussian
from tsbnn.inference.score.mean_field import ProximalScoreOptimizer

if TYPE_CHECKING:
    from tsbnn.inference.score.method import ProximalScoreVI


class MixtureScoreOptimizer(ProximalScoreOptimizer):
    """A proximal step of every component on each minibatch, then the weights by the ELBO.

    Between steps the module holds the mean of the heaviest component.
    """

    method: ProximalScoreVI
    posterior: MixtureGaussian  # type: ignore[assignment]

    def _build(self, module: nn.Module) -> None:
        count = self.method.num_components
        means = starting_means(module, self.flat.values, self.prior, self.generator, count)
        precisions = self._probe_precision().repeat(count, 1)
        log_weights = means.new_full((count,), -math.log(count))
        self.posterior = MixtureGaussian(means, precisions, log_weights)
        self._vectors["momentum"] = torch.zeros_like(means)
        self._vectors["second_moment"] = torch.zeros_like(means)
        self._vectors["noise"] = means.new_ones(count, len(self.flat.slots))
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

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's moments of the heaviest component."""
        self._current = self.posterior.heaviest
        moves = self.method.metric == "adam" or self.probing
        return (self._kept("momentum"), self._kept("second_moment")) if moves else None

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        """Those of the heaviest component."""
        self._current = self.posterior.heaviest
        return super().method_diagnostics()

    def _step(self, closure: Closure) -> Tensor:
        # All evaluations come before the first update: one that fails leaves all as it was.
        components = range(self.posterior.num_components)
        if self.warming:
            return self._warm_step(closure, components)
        pairs, overlaps = [], []
        for self._current in components:
            self._log_responsibilities = []
            noise, half_difference, loss = self._draw_and_evaluate(closure)
            pairs.append((noise, half_difference, self.flat.gradient.clone(), loss))
            overlaps.append(torch.stack(self._log_responsibilities).mean())
        for self._current, (noise, half_difference, gradient, _) in zip(
            components, pairs, strict=True
        ):
            self.flat.gradient.copy_(gradient)
            self._update(noise, half_difference)
        losses = torch.stack([loss for *_, loss in pairs])
        if not self.probing and self.method.component_weights == "elbo":
            self._weigh(losses, torch.stack(overlaps))
        return (losses * self.posterior.component_weights.to(losses)).sum()

    def _warm_step(self, closure: Closure, components: range) -> Tensor:
        losses, gradients = [], []
        for self._current in components:
            self.flat.values.copy_(self._mean)
            losses.append(self._evaluate(closure))
            gradients.append(self.flat.gradient.clone())
        for self._current, gradient in zip(components, gradients, strict=True):
            self.flat.gradient.copy_(gradient)
            self._update_mean(scratch=gradient)
        return torch.stack(losses).mean()

    def _evaluate_draw(self, closure: Closure) -> Tensor:
        """Evaluate the loss at the weights in place, and the overlap with other components."""
        if self.probing:
            self._log_responsibilities.append(self.flat.values.new_zeros(()))
            return self._evaluate(closure)
        overlap, gradient = self.posterior.overlap(self._current, self.flat.values)
        self._log_responsibilities.append(overlap)
        loss = self._evaluate(closure)
        self.flat.gradient.sub_(gradient, alpha=1.0 / self.likelihood_weight)
        return loss

    def _weigh(self, losses: Tensor, overlaps: Tensor) -> None:
        evidence = self._vectors["evidence"]
        step = self.steps - self.phase_ends["probe"]
        average_evidence_(evidence, losses, overlaps, self.likelihood_weight, step)
        self.posterior.log_weights.copy_(
            component_log_weights(self.posterior, self.prior, evidence, self.temperature)
        )

    def _adopt(self) -> None:
        """Take weights that somebody put into the module as the heaviest component's mean."""
        self._follow()
        self.resting_weights.copy_(self.flat.values)
