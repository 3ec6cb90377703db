"""How large the loss at posterior draws has been lately: a running mean with its error."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class LossAverage:
    r"""Exponentially weighted mean and variance of a series of losses.

    With weight :math:`w_k = \max(w, 1/k)` of the k-th value x,

    .. math:: d = x - \mu, \qquad \mu \leftarrow \mu + w_k d, \qquad
              v \leftarrow (1 - w_k)(v + w_k d^2):

    the plain mean of the first 1/w values, then a memory of about 1/w. Adding a loss takes
    microseconds, and on an accelerator it never waits for the device.
    """

    WEIGHT = 0.01

    def __init__(self) -> None:
        # Numbers on a CPU, 0-dim tensors elsewhere.
        self._mean: float | Tensor = 0.0
        self._variance: float | Tensor = 0.0
        self.count = 0

    def add(self, loss: Tensor) -> None:
        """Take in one loss, 0-dim."""
        self.count += 1
        weight = max(self.WEIGHT, 1.0 / self.count)
        value: float | Tensor = loss.item() if loss.device.type == "cpu" else loss.float()
        difference = value - self._mean
        self._mean = self._mean + weight * difference
        self._variance = (1.0 - weight) * (self._variance + weight * difference * difference)

    @property
    def mean(self) -> float | None:
        """The mean; None before the first loss."""
        return float(self._mean) if self.count else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean for independent losses; None with less than two."""
        if self.count < 2:
            return None
        # The weights' squares sum to w / (2 - w) in the long run, to 1/k before.
        effective = min(float(self.count), 2.0 / self.WEIGHT - 1.0)
        return math.sqrt(float(self._variance) / max(1.0, effective - 1.0))

    def to(self, device: torch.device) -> None:
        """Let go of the device that the last losses lay on, if it is another one."""
        for name in ("_mean", "_variance"):
            value = getattr(self, name)
            if isinstance(value, Tensor) and value.device != device:
                setattr(self, name, value.item())

    def state_dict(self) -> dict[str, Any]:
        """Return the moments and how many losses they are of, as numbers."""
        return {
            "mean": float(self._mean),
            "variance": float(self._variance),
            "count": self.count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._mean, self._variance = state["mean"], state["variance"]
        self.count = state["count"]
