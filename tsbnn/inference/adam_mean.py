"""The optimizer base of methods whose mean moves by Adam, always or during the warm start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import adam_step_
from tsbnn.inference.method import InferenceMethod
from tsbnn.inference.optimizer import BayesianOptimizer, Closure


class AdamMeanOptimizer(BayesianOptimizer):
    """Adam on the mean of any posterior, with the exact gradient of the prior.

    Persistent state: the gradient's two moments, ``num_weights`` each.
    """

    def __init__(
        self,
        module: nn.Module,
        method: InferenceMethod,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        self._vector("momentum")
        self._vector("second_moment")

    def _warm_step(self, closure: Closure, rate: float) -> Tensor:
        """Take one step of the warm start: the mean alone, one evaluation, as MAP does."""
        loss = self._evaluate(closure)
        self.prior.add_gradient_(
            self.flat.gradient, self.posterior.mean, 1.0 / self.num_observations
        )
        self._move_mean(rate)
        return loss

    def _move_mean(self, rate: float) -> None:
        """Move the mean along the flat gradient (prior included); overwrites the weights."""
        adam_step_(
            self.posterior.mean,
            self.flat.gradient,
            self._vectors["momentum"],
            self._vectors["second_moment"],
            step=self.steps,
            learning_rate=rate,
            scratch=self.flat.values,
        )
