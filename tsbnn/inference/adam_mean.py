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

    # What the steps work on. Subclasses with several means choose one of them by turns.

    @property
    def _mean(self) -> Tensor:
        return self.posterior.mean

    def _kept(self, name: str) -> Tensor:
        return self._vectors[name]

    def _adjust_(self, draw: Tensor, gradient: Tensor) -> None:
        """Add to the gradient at a draw; mixtures add the overlap of their components."""

    def _evaluate_draws(self, closure: Closure, antithetic: bool) -> tuple[Tensor, Tensor]:
        """Evaluate at the weights in place, and if ``antithetic`` at their mirror image.

        Afterwards the flat buffers hold the mean gradient, and in place of the weights their
        offset from the mean: no vector needs to keep the draw meanwhile.

        Returns
        -------
        loss, half_difference
            The mean loss, and half the difference of the two gradients, ``num_weights``; without a
            mirror image the gradient itself, in its buffer.
        """
        gradient, weights, mean = self.flat.gradient, self.flat.values, self._mean
        if antithetic and self.evaluates_together:
            pair = weights.repeat(2, 1)
            pair[1].neg_().add_(mean, alpha=2.0)
            losses, gradients = self._evaluate_together(closure, pair)
            for draw, own in zip(pair, gradients, strict=True):
                self._adjust_(draw, own)
            torch.mean(gradients, 0, out=gradient)
            weights.sub_(mean)
            return losses.mean(), gradients[0].sub_(gradient)
        loss = self._evaluate(closure)
        self._adjust_(weights, gradient)
        if not antithetic:
            weights.sub_(mean)
            return loss, gradient
        difference = gradient.clone()
        weights.neg_().add_(mean, alpha=2.0)
        loss = 0.5 * (loss + self._evaluate(closure))
        self._adjust_(weights, gradient)
        gradient.add_(difference).mul_(0.5)
        difference.sub_(gradient)
        torch.sub(mean, weights, out=weights)
        return loss, difference

    def _warm_step(self, closure: Closure, rate: float) -> Tensor:
        """Take one step of the warm start: the mean alone, one evaluation, as MAP does."""
        loss = self._evaluate(closure)
        self._descend(rate)
        return loss

    def _descend(self, rate: float) -> None:
        """Move the mean along the flat gradient, after adding the prior's."""
        self.prior.add_gradient_(self.flat.gradient, self._mean, 1.0 / self.num_observations)
        self._move_mean(rate)

    def _move_mean(self, rate: float) -> None:
        """Move the mean along the flat gradient, prior included."""
        adam_step_(
            self._mean,
            self.flat.gradient,
            self._kept("momentum"),
            self._kept("second_moment"),
            step=self.steps,
            learning_rate=rate,
        )
