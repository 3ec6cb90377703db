r"""The optimizer base of methods whose mean moves in a metric of choice: of Adam or the posterior.

With ``metric="variance"`` the mean takes the natural-gradient step

.. math:: m \leftarrow m - \eta\, \frac1\lambda \left[ \tfrac NT\, \bar g
          + \frac{m - m_0}{T s_0^2} \right]

along the momentum-averaged gradient. In proximal score matching the same step has
:math:`\eta = 1/(1 + 2 c_m)` with the mean's own proximal strength :math:`c_m`. Neither metric moves
the fixed point.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tsbnn.inference.adam import BETA1
from tsbnn.inference.probe import ProbingMethod, ProbingOptimizer


class MetricMeanOptimizer(ProbingOptimizer):
    """Moves the mean by Adam until precisions are known, then as ``method.metric`` says."""

    method: ProbingMethod

    @property
    def _moves_naturally(self) -> bool:
        return self.method.metric == "variance" and not self.probing

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's moments where the mean moves by them."""
        return None if self._moves_naturally else super().gradient_moments()

    def _move_mean_in_metric(self) -> None:
        """Move the mean along the flat gradient, prior included; fixed weights by Adam."""
        rate = self.learning_rate()
        if not self._moves_naturally:
            self._move_mean(rate)
            return
        mean, gradient, momentum = self._mean, self.flat.gradient, self._kept("momentum")
        natural_rate = rate / self.method.learning_rate * self.method.natural_rate
        natural_rate *= self.likelihood_weight / (1.0 - BETA1 ** (self.steps + 1))
        if not any(self._fixed):
            momentum.lerp_(gradient, 1.0 - BETA1)
            mean.addcdiv_(momentum, self._precision, value=-natural_rate)
            return
        before = mean.clone()
        self._move_mean(rate)
        free = torch.isfinite(self._precision)
        natural = before.addcdiv_(momentum, self._precision, value=-natural_rate)
        mean.copy_(torch.where(free, natural, mean))
