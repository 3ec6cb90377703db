r"""SWAG: a Gaussian fitted to the iterates of a training run that goes on at a constant step.

First the steps of MAP, their size falling to the constant :math:`\eta_c`; then the same steps at
:math:`\eta_c`, of whose iterates K, evenly spread, are collected:

.. math:: q = \mathcal N\Bigl(\bar\theta,\;
          \tfrac12 \operatorname{diag}\bigl(\overline{\theta^2} - \bar\theta^2\bigr)
          + \tfrac{1}{2(R-1)} \hat D \hat D^\top\Bigr),

with means over all K and the columns of :math:`\hat D` the last R deviations of an iterate from the
running mean. The spread is that of the optimizer's path: it follows the step size and the
minibatch noise, and N and the prior only through the mode.

Source: W. Maddox, T. Garipov, P. Izmailov, D. Vetrov, A. G. Wilson, arXiv 1902.02476, algorithm 1,
with Adam in place of SGD, as everywhere here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.checks import is_count, is_positive, require
from tsbnn.inference.method import InferenceMethod, decay
from tsbnn.inference.modules import refuse_batch_statistics
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import LowRankGaussian


@dataclass(frozen=True, kw_only=True)
class SWAG(InferenceMethod):
    """Stochastic weight averaging, Gaussian: low rank plus diagonal.

    Dropout stays as the module has it, and gradients may be clipped: nothing here is a score. The
    module rests at the running mean once the first iterate is collected.

    Parameters
    ----------
    learning_rate, schedule
        Adam's step size at first, and how it falls to ``collecting_learning_rate``.
    collecting_learning_rate
        The constant step size while iterates are collected. It sets the posterior's width.
    collecting_share
        Share of ``total_steps``, above 0 and below 1, at the end, in which iterates are collected.
    num_iterates
        K, how many are collected (fewer if that phase has fewer steps).
    rank
        R, how many of them span the low-rank part, at least 2. They take R numbers a weight.
    """

    name: ClassVar[str] = "swag"
    family = "low_rank"
    is_posterior: ClassVar[bool] = False
    plans_ahead: ClassVar[bool] = True

    collecting_learning_rate: float = 3e-3
    collecting_share: float = 0.25
    num_iterates: int = 40
    rank: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        rate, share = self.collecting_learning_rate, self.collecting_share
        require(is_positive(rate), "collecting_learning_rate", rate, "positive")
        wanted = "above 0 and below 1"
        require(is_positive(share) and share < 1, "collecting_share", share, wanted)
        for name in ("num_iterates", "rank"):
            count = getattr(self, name)
            require(is_count(count) and count >= 2, name, count, "an integer of at least 2")

    @property
    def optimizer_class(self) -> type[SWAGOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return SWAGOptimizer


class SWAGOptimizer(AdamMeanOptimizer):
    """Adam on an iterate, and the running moments of what is collected of its path.

    Attributes
    ----------
    collected
        How many iterates have been collected.
    """

    method: SWAG
    posterior: LowRankGaussian

    def __init__(
        self,
        module: nn.Module,
        method: SWAG,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        refuse_batch_statistics(
            module, "would not be those of the averaged weights", "the method MAP, without averages"
        )
        super().__init__(module, method, num_observations, total_steps, generator)
        steps = self.total_steps or 0
        self.phase_ends["training"] = int(steps * (1.0 - method.collecting_share))
        values = self.flat.values
        self.posterior = LowRankGaussian(
            values.clone(),
            torch.zeros_like(values),
            values.new_zeros(len(values), method.rank),
        )
        self._vector("iterate").copy_(values)
        self.collected = 0

    @property
    def _mean(self) -> Tensor:
        return self._vectors["iterate"]

    @property
    def collecting(self) -> bool:
        """Whether the next step belongs to the phase that is collected."""
        return self.steps >= self.phase_ends["training"]

    @property
    def ready(self) -> bool:
        """Whether two iterates are collected: fewer have no spread."""
        return self.collected >= 2

    @property
    def phase(self) -> str:
        """What the next step does, in words; after the last one, that there is a posterior."""
        if self.ready and self.steps >= (self.total_steps or 0):
            return "posterior"
        return "collecting" if self.collecting else "training"

    def learning_rate(self) -> float:
        """Return the step size now: it falls to the constant one, and stays there."""
        method = self.method
        first, last = method.learning_rate, method.collecting_learning_rate
        factor = decay(method.schedule, self.steps, max(1, self.phase_ends["training"]))
        rate = last if self.collecting else last + (first - last) * factor
        # What a scheduler makes of the group's own rate holds for both.
        return rate * float(self.param_groups[0]["lr"]) / first

    def state_dict(self) -> dict[str, Any]:
        """Return what the base returns, and the number of collected iterates."""
        state = super().state_dict()
        state["counters"]["collected"] = self.collected
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            As in the base class.
        """
        super().load_state_dict(state_dict)
        self.collected = state_dict["counters"]["collected"]

    def _step(self, closure: Closure) -> Tensor:
        iterate = self._mean
        self.flat.values.copy_(iterate)
        loss = self._warm_step(closure, self.learning_rate())
        if not self.collecting:
            self.posterior.mean.copy_(iterate)
        elif self._due(self.steps + 1) > self._due(self.steps):
            self._collect(iterate)
        return loss

    def _due(self, step: int) -> int:
        """How many iterates are to be collected in the steps before ``step``: K, evenly spread."""
        begin = self.phase_ends["training"]
        length = max(1, (self.total_steps or 0) - begin)
        return (step - begin) * min(self.method.num_iterates, length) // length

    def _collect(self, iterate: Tensor) -> None:
        """Take one iterate into mean, variances and deviations."""
        posterior = self.posterior
        self.collected = count = self.collected + 1
        if count == 1:
            posterior.mean.copy_(iterate)
            return
        offset = torch.sub(iterate, posterior.mean, out=self.flat.values)
        posterior.mean.add_(offset, alpha=1.0 / count)
        # Welford's update of the mean square deviation, of which the scale is half the root.
        squares = posterior.scale.square_().mul_((count - 1) / count)
        squares.addcmul_(offset, offset, value=0.5 * (count - 1) / count**2).sqrt_()
        # The first iterate is its own mean, so column 0 is right with zeros until it is needed.
        columns, rank = min(count, posterior.rank), posterior.rank
        if 2 < count <= rank:
            posterior.factor.mul_(math.sqrt((columns - 2) / (columns - 1)))
        share = (count - 1) / count / math.sqrt(2.0 * (columns - 1))
        posterior.factor[:, (count - 1) % rank] = offset.mul_(share)

    def _adopt(self) -> None:
        """Go on from weights that somebody put into the module, with the spread so far."""
        self._follow()
        # A module that was moved holds the mean: the path goes on where it was.
        if not torch.equal(self.flat.values, self.posterior.mean):
            self._vectors["iterate"].copy_(self.flat.values)
            self.posterior.mean.copy_(self.flat.values)
