"""MAP: the single most probable weight vector, by Adam. The deterministic baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.method import InferenceMethod
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import PointMass


@dataclass(frozen=True, kw_only=True)
class MAP(InferenceMethod):
    r"""Maximum a posteriori: :math:`\arg\min_\theta\; N\,\mathrm{loss}(\theta) - \log p(\theta)`.

    Adam on the objective divided by N, with a cosine schedule. Dropout stays as the module has
    it, and gradients may be clipped: nothing here is a score.
    """

    name: ClassVar[str] = "map"
    family = "point"
    is_posterior: ClassVar[bool] = False

    @property
    def optimizer_class(self) -> type[MAPOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return MAPOptimizer


class MAPOptimizer(AdamMeanOptimizer):
    """Adam on the negative log posterior per observation."""

    def __init__(
        self,
        module: nn.Module,
        method: MAP,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        self.posterior = PointMass(self.flat.values.clone())

    def _step(self, closure: Closure) -> Tensor:
        return self._warm_step(closure, self.learning_rate())
