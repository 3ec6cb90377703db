r"""Proximal score matching with a mixture: each component fits what the others leave.

The mixture's log density is :math:`\log \pi_k q_k - \log r_k` for any component k, with its
responsibility :math:`r_k`. So component k fits the target times :math:`r_k` as a single Gaussian
would: the same closed form, with :math:`\nabla \log r_k` added to the target's score at its draws.
Where components lie apart, :math:`r_k = 1` at the draws of k. The fixed points are the stationary
points of the mixture's ELBO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.components import ComponentSteps
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MixtureGaussian
from tsbnn.inference.score.mean_field import ProximalScoreOptimizer

if TYPE_CHECKING:
    from tsbnn.inference.score.method import ProximalScoreVI


class MixtureScoreOptimizer(ComponentSteps, ProximalScoreOptimizer):
    """A proximal step of every component on each minibatch, then the weights by the ELBO."""

    method: ProximalScoreVI
    posterior: MixtureGaussian  # type: ignore[assignment]

    def _build(self, module: nn.Module) -> None:
        count = self.method.num_components
        state = ("momentum", "second_moment")
        self._build_components(module, count, self._probe_precision(), state)
        self._vectors["noise"] = self.flat.values.new_ones(count, len(self.flat.slots))
        self._keep_levels(count)

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's moments of the heaviest component where means move by them."""
        return None if self._moves_naturally else super().gradient_moments()

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        """Those of the heaviest component."""
        self._current = self.posterior.heaviest
        return super().method_diagnostics()

    def _step(self, closure: Closure) -> Tensor:
        # All evaluations come before the first update: one that fails leaves all as it was.
        components = range(self.posterior.num_components)
        if self.warming:
            return self._warm_steps(closure, components)
        pairs, overlaps = [], []
        for self._current in components:
            self._log_responsibilities = []
            offset, half_difference, loss = self._draw_and_evaluate(closure)
            gradient = self.flat.gradient.clone()
            pairs.append((offset.clone(), half_difference, gradient, loss))
            overlaps.append(torch.stack(self._log_responsibilities).mean())
        for self._current, (offset, half_difference, gradient, _) in zip(
            components, pairs, strict=True
        ):
            self.flat.gradient.copy_(gradient)
            # Of a single draw, half the difference is the gradient itself.
            pair = self.method.antithetic and self.measuring
            self._update(offset, half_difference if pair else self.flat.gradient)
        losses = torch.stack([loss for *_, loss in pairs])
        if not self.probing and self.method.component_weights == "elbo":
            self._weigh(losses, torch.stack(overlaps), self._since_probe)
        return (losses * self.posterior.component_weights.to(losses)).sum()

    def _warm_steps(self, closure: Closure, components: range) -> Tensor:
        losses, gradients = [], []
        for self._current in components:
            self.flat.values.copy_(self._mean)
            losses.append(self._evaluate(closure))
            gradients.append(self.flat.gradient.clone())
        for self._current, gradient in zip(components, gradients, strict=True):
            self.flat.gradient.copy_(gradient)
            self._update_mean()
        return torch.stack(losses).mean()

    def _adjust_(self, draw: Tensor, gradient: Tensor) -> None:
        if not self.probing:
            super()._adjust_(draw, gradient)
        else:
            self._log_responsibilities.append(gradient.new_zeros(()))
