r"""The average of a variational posterior over its last steps, as the posterior.

At a step size that stays large the means do not come to rest: minibatch noise moves them around
their place. The average of the places over many steps is far nearer to it (Polyak and Juditsky,
"Acceleration of stochastic approximation by averaging", 1992); for networks it is stochastic weight
averaging (P. Izmailov et al., arXiv 1803.05407). Means are averaged as they are, and standard
deviations and precisions by their logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsbnn.inference.blocks import blocks
from tsbnn.inference.checks import is_share, require
from tsbnn.inference.method import PosteriorMethod
from tsbnn.inference.optimizer import BayesianOptimizer

# State of the posteriors that can be averaged, and whether by its logarithm.
BY_LOGARITHM = {
    "locations": False,
    "means": False,
    "factor": False,
    "precision": True,
    "precisions": True,
    "scale": True,
}


@dataclass(frozen=True, kw_only=True)
class AveragingMethod(PosteriorMethod):
    """A setting of methods whose posterior can be averaged over steps.

    Parameters
    ----------
    averaging_share
        Share of ``total_steps``, from 0 to below 1, at whose end the posterior becomes the average
        of those after each of these steps; warm start and probe are never among them. Worth
        trying with ``schedule="constant"``; where the step size falls to 0 the last steps are
        their average already. (How the proximal strength averages curvatures is another setting,
        ``averaging``.)
    """

    averaging_share: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        share = self.averaging_share
        require(is_share(share), "averaging_share", share, "from 0 to below 1")

    @property
    def needs_total_steps(self) -> bool:
        """Whether the steps to average over must be known beforehand."""
        return self.averaging_share > 0


class AveragingOptimizer(BayesianOptimizer):
    """An optimizer that keeps running averages of its posterior over the last steps.

    Until the last of ``total_steps`` posterior and module are those of the latest step; with it
    they become the average, and stay there. A run that ends earlier keeps its last posterior. One
    that goes on starts at the average, and averages anew from there. So does one into which
    somebody puts other weights.

    Persistent state where ``averaging_share`` is above 0: one vector more for each of the
    posterior's, two for independent Gaussians.
    """

    method: AveragingMethod

    def _plan_averaging(self) -> None:
        """Set the first step and create the averages, once the posterior is built."""
        share, total = self.method.averaging_share, self.total_steps
        if share > 0 and total is not None:
            first = int((1.0 - share) * total)
            self.phase_ends["latest"] = max(first, *self.phase_ends.values())
            for name in self._averaged():
                self._vectors[f"average_{name}"] = torch.zeros_like(self._averaged()[name])

    def _averaged(self) -> dict[str, Tensor]:
        """The posterior's own state, live."""
        return {k: v for k, v in self.posterior.named_buffers() if k in BY_LOGARITHM}

    def _end_step(self) -> None:
        first = self.phase_ends.get("latest", self.steps + 1)
        if not first <= self.steps < (self.total_steps or 0):
            return
        share = 1.0 / (self.steps + 1 - first)
        for name, value in self._averaged().items():
            average = self._vectors[f"average_{name}"]
            for part in blocks(value):
                latest = value[part]
                if BY_LOGARITHM[name]:
                    # Weights without a spread have no finite one.
                    latest = latest.log().nan_to_num_(posinf=0.0, neginf=0.0)
                average[part].lerp_(latest, share)
        if self.steps + 1 == self.total_steps:
            self._take_average()
            self.phase_ends["latest"] = self.steps + 1

    def _take_average(self) -> None:
        """Make the posterior the average. Methods with other coordinates follow."""
        for name, value in self._averaged().items():
            average = self._vectors[f"average_{name}"]
            if not BY_LOGARITHM[name]:
                value.copy_(average)
                continue
            for part in blocks(value):
                own = value[part]
                has_spread = own.log().isfinite()
                own.copy_(torch.where(has_spread, average[part].exp(), own))

    def _adopt(self) -> None:
        super()._adopt()
        if "latest" in self.phase_ends:
            self.phase_ends["latest"] = max(self.phase_ends["latest"], self.steps)
