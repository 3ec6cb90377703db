r"""Stochastic gradients of the ELBO for a mixture of mean-field Gaussians.

Written for component k, the mixture's ELBO is that of one Gaussian whose target is multiplied by
the component's responsibility :math:`r_k`, whose gradient at the draws of k is added to the loss's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.averaging import AveragingOptimizer
from tsbnn.inference.components import ComponentSteps
from tsbnn.inference.elbo.mean_field import ELBOOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MixtureGaussian

if TYPE_CHECKING:
    from tsbnn.inference.elbo.method import ELBOVI


class MixtureELBOOptimizer(ComponentSteps, ELBOOptimizer):
    """A step of every component on each minibatch, then the weights by the ELBO."""

    method: ELBOVI
    posterior: MixtureGaussian  # type: ignore[assignment]

    def _build(self, module: nn.Module) -> None:
        count, log_scale = self.method.num_components, self._initial_log_scale()
        state = ("momentum", "second_moment", "scale_momentum", "scale_second_moment")
        self._build_components(module, count, log_scale.mul(-2.0).exp_(), state)
        self._vectors["log_scale"] = log_scale.repeat(count, 1)

    def _take_average(self) -> None:
        AveragingOptimizer._take_average(self)
        torch.log(self.posterior.precisions, out=self._vectors["log_scale"]).mul_(-0.5)

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
                found_gradient, loss = self._draw_and_evaluate(closure)
                scale_gradient = found_gradient.clone()
                overlaps.append(torch.stack(self._log_responsibilities).mean())
            found.append((self.flat.gradient.clone(), scale_gradient, loss))
        for self._current, (gradient, scale_gradient, _) in zip(components, found, strict=True):
            self.flat.gradient.copy_(gradient)
            if scale_gradient is None:
                self._descend(self.learning_rate())
            else:
                self._update(scale_gradient)
        losses = torch.stack([loss for *_, loss in found])
        if not self.warming and self.method.component_weights == "elbo":
            step = self.steps - self.phase_ends["warm_start"]
            self._weigh(losses, torch.stack(overlaps), step)
        return (losses * self.posterior.component_weights.to(losses)).sum()
