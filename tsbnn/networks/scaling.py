"""Location and scale of a window, from the observed points of its context."""

from __future__ import annotations

import torch
from gluonts.torch.scaler import MeanScaler, NOPScaler, StdScaler
from torch import Tensor


class WindowScaler:
    r"""GluonTS's scalers, with an answer for windows without a single observed point.

    ``"mean"``: :math:`s = \frac1n \sum |y_t|`; ``"std"``: location and scale are mean and
    standard deviation; None: 0 and 1. The sums run over the n observed points of the context.
    Where there are none, the scale is ``default_scale``; without one it is that of the observed
    windows of the batch (for ``"mean"`` over their points, as in GluonTS), and 1 where the whole
    batch is unobserved (GluonTS: 1e-10, which no forecast survives).

    Parameters
    ----------
    scaling
        ``"mean"``, ``"std"`` or None.
    default_scale
        In target units, positive, or None.
    """

    def __init__(self, scaling: str | None, default_scale: float | None) -> None:
        self.scaling = scaling
        self.default_scale = default_scale
        self.scaler = {
            "mean": MeanScaler(dim=-1, keepdim=True, default_scale=default_scale),
            "std": StdScaler(dim=-1, keepdim=True),
            None: NOPScaler(dim=-1, keepdim=True),
        }[scaling]

    def __call__(self, context: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale in target units, each ``batch x 1``, of ``batch x context_length``."""
        _, loc, scale = self.scaler(context, observed)
        if self.scaling is None or (self.scaling == "mean" and self.default_scale is not None):
            return loc, scale
        known = observed.sum(-1, keepdim=True) > 0
        if self.scaling == "mean":
            return loc, torch.where(known.any(), scale, torch.ones_like(scale))
        if self.default_scale is not None:
            return loc, torch.where(known, scale, torch.full_like(scale, self.default_scale))
        windows = known.sum()
        typical = [(part * known).sum() / windows.clamp(min=1) for part in (loc, scale)]
        typical[1] = torch.where(windows > 0, typical[1], torch.ones_like(typical[1]))
        return torch.where(known, loc, typical[0]), torch.where(known, scale, typical[1])
