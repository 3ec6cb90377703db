"""Score VI whose mean moves along clipped gradients: a counterfactual, no posterior method.

A clipped gradient is no score, so its mean is not that of a posterior. What curvature is measured
from stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from tsbnn.inference import ProximalScoreVI
from tsbnn.inference.score.mean_field import ProximalScoreOptimizer


@dataclass(frozen=True, kw_only=True)
class ClippedScoreVI(ProximalScoreVI):
    """Score VI with one Gaussian, and what moves its mean no longer than ``max_norm``.

    Parameters
    ----------
    max_norm
        In the loss per observation. GluonTS's trainer clips at 10.
    """

    max_norm: float = 10.0

    @property
    def optimizer_class(self) -> type[ClippedScoreOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return ClippedScoreOptimizer


class ClippedScoreOptimizer(ProximalScoreOptimizer):
    """Clips where the mean moves, warm start included."""

    method: ClippedScoreVI

    def _move_mean(self, rate: float) -> None:
        gradient = self.flat.gradient
        gradient.mul_((self.method.max_norm / gradient.norm()).clamp(max=1.0))
        super()._move_mean(rate)
