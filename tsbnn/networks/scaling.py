"""Location and scale of a window, from the observed points of its context."""

from __future__ import annotations

import torch
from gluonts.torch.scaler import MeanScaler, NOPScaler, StdScaler
from torch import Tensor


class WindowScaler:
    r"""GluonTS's scalers, with an answer for windows whose context tells no scale.

    ``"mean"``: :math:`s = \frac1n \sum |y_t|`; ``"std"``: location and scale are mean and
    standard deviation; None: 0 and 1. The sums run over the n observed points of the context. A
    context tells no scale if nothing in it is observed, if all of it is 0 (``"mean"``), or if all
    of it is one value (``"std"``). Then they run over all of the window's past, which the lags
    reach. (GluonTS scales such contexts by the batch's mean, or by 1e-10.) Where that is unobserved
    as well, the scale is ``default_scale``; without one it is that of the observed windows of the
    batch (for ``"mean"`` over their points, as in GluonTS), and 1 where the whole batch is
    unobserved.

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

    def __call__(
        self, past: Tensor, observed: Tensor, context_length: int
    ) -> tuple[Tensor, Tensor]:
        """Location and scale in target units, each ``batch x 1``.

        Parameters
        ----------
        past, observed
            Targets before the forecast start and whether they are known, ``batch x time``.
        context_length
            How many of the last of them are the context.
        """
        context = slice(past.shape[-1] - context_length, None)
        loc, scale = self._of(past[:, context], observed[:, context])
        if self.scaling is None or context_length == past.shape[-1]:
            return loc, scale
        further = ~self._tells(past[:, context], observed[:, context])
        further = further & self._tells(past, observed)
        whole = self._of(past, observed)
        return torch.where(further, whole[0], loc), torch.where(further, whole[1], scale)

    def _tells(self, values: Tensor, observed: Tensor) -> Tensor:
        """Whether there is a scale in what is observed, ``batch x 1``."""
        known = observed > 0
        if self.scaling == "mean":
            return (known & (values != 0)).any(-1, keepdim=True)
        low = torch.where(known, values, torch.inf).amin(-1, keepdim=True)
        return torch.where(known, values, -torch.inf).amax(-1, keepdim=True) > low

    def _of(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        _, loc, scale = self.scaler(values, observed)
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
