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

    the plain mean of the first 1/w values, then a memory of about 1/w. Kept on the device of the
    losses, so that adding one never waits for it.

    Parameters
    ----------
    device
        Where the losses lie.
    """

    WEIGHT = 0.01

    def __init__(self, device: torch.device | None = None) -> None:
        self._moments = torch.zeros(2, device=device)
        self.count = 0

    def add(self, loss: Tensor) -> None:
        """Take in one loss, 0-dim."""
        self.count += 1
        weight = max(self.WEIGHT, 1.0 / self.count)
        mean, variance = self._moments
        difference = loss.to(self._moments) - mean
        mean.add_(difference, alpha=weight)
        variance.addcmul_(difference, difference, value=weight).mul_(1.0 - weight)

    @property
    def mean(self) -> float | None:
        """The mean; None before the first loss."""
        return float(self._moments[0]) if self.count else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean for independent losses; None with less than two."""
        if self.count < 2:
            return None
        # The weights' squares sum to w / (2 - w) in the long run, to 1/k before.
        effective = min(float(self.count), 2.0 / self.WEIGHT - 1.0)
        return math.sqrt(float(self._moments[1]) / max(1.0, effective - 1.0))

    def to(self, device: torch.device) -> None:
        """Move to another device."""
        self._moments = self._moments.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments and how many losses they are of."""
        return {"moments": self._moments.clone(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._moments.copy_(state["moments"])
        self.count = int(state["count"])
