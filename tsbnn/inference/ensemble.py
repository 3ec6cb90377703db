r"""A deep ensemble: M networks from M initialisations, each trained to its most probable weights.

Every member takes MAP's steps,

.. math:: \theta_j \leftarrow \mathrm{Adam}\bigl(\nabla \mathrm{loss}(\theta_j)
          - \tfrac1N \nabla \log p(\theta_j)\bigr), \qquad j = 1, \dots, M,

and the posterior is the equal mixture of the M points. The members differ by where they begin, so
they end in different basins; nothing within a basin is explored.

Source: B. Lakshminarayanan, A. Pritzel, C. Blundell, arXiv 1612.01474 (without its adversarial
training). Members see the same minibatches there in different orders, here together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import adam_step_
from tsbnn.inference.checks import is_count, require
from tsbnn.inference.initialise import fresh_weights
from tsbnn.inference.method import InferenceMethod
from tsbnn.inference.modules import refuse_batch_statistics
from tsbnn.inference.optimizer import BayesianOptimizer, Closure
from tsbnn.inference.posteriors import SampleSet


@dataclass(frozen=True, kw_only=True)
class Ensemble(InferenceMethod):
    """Deep ensemble: members that differ by their initialisation.

    A step evaluates the minibatch once for each member. Dropout stays as the module has it, and
    gradients may be clipped, member by member: nothing here is a score.

    The average of the members' weights is no network that anybody trained, so between steps the
    module holds member 0: the one that started at the module's own weights. What the user loads
    into the module becomes member 0; the others go on.

    Parameters
    ----------
    num_members
        M, at least 2. The source finds most of the gain with 5.
    """

    name: ClassVar[str] = "ensemble"
    family = "samples"
    is_posterior: ClassVar[bool] = False

    num_members: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.num_members
        require(
            is_count(count) and count >= 2,
            "num_members",
            count,
            "an integer of at least 2 (one member is the method 'map')",
        )

    @property
    def evaluations_per_step(self) -> int:
        """One for each member."""
        return self.num_members

    @property
    def optimizer_class(self) -> type[EnsembleOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return EnsembleOptimizer


class EnsembleOptimizer(BayesianOptimizer):
    """Adam on every member; the members are the posterior's samples."""

    method: Ensemble
    posterior: SampleSet

    def __init__(
        self,
        module: nn.Module,
        method: Ensemble,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        refuse_batch_statistics(
            module, "would be those of all members mixed", "train modules of their own with MAP"
        )
        super().__init__(module, method, num_observations, total_steps, generator)
        own = self.flat.values
        others = [
            fresh_weights(module, self.prior, self.generator) for _ in range(method.num_members - 1)
        ]
        self.posterior = SampleSet(torch.stack([own, *others]))
        for name in ("momentum", "second_moment"):
            self._vectors[name] = torch.zeros_like(self.posterior.samples)

    @property
    def resting_weights(self) -> Tensor:
        """Member 0."""
        return self.posterior.samples[0]

    def _step(self, closure: Closure) -> Tensor:
        # All are evaluated before any moves: a loss that is not finite leaves all as they were.
        members, gradients, losses = self.posterior.samples, [], []
        for loss, gradient in self._evaluate_each(
            closure, len(members), lambda k, out: out.copy_(members[k])
        ):
            losses.append(loss)
            gradients.append(gradient if self.evaluates_together else gradient.clone())
        rate = self.learning_rate()
        for member, gradient, momentum, second_moment in zip(
            members,
            gradients,
            self._vectors["momentum"],
            self._vectors["second_moment"],
            strict=True,
        ):
            self.prior.add_gradient_(gradient, member, 1.0 / self.num_observations)
            adam_step_(
                member,
                gradient,
                momentum,
                second_moment,
                step=self.steps,
                learning_rate=rate,
            )
        self.posterior.refresh_()
        return torch.stack(losses).mean()

    def _adopt(self) -> None:
        """Take weights that somebody put into the module as member 0."""
        self._follow()
        self.posterior.samples[0].copy_(self.flat.values)
        self.posterior.refresh_()
