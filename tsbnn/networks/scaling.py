"""Location and scale of a window, from the observed points of its context."""

from __future__ import annotations

import math

import torch
from gluonts.torch.scaler import MeanScaler, NOPScaler
from torch import Tensor

# Scales of float32 that are no more than 0, where a product still keeps all its digits.
_NO_SCALE = 1e-35
# Of windows in which there are zeros only, and what is added to a variance, as in GluonTS.
_SCALE_OF_ZEROS, _LEAST_VARIANCE = 1e-10, 1e-5


class WindowScaler:
    r"""GluonTS's scalers, with an answer for windows whose context tells no scale.

    ``"mean"``: :math:`s = \frac1n \sum |y_t|`; ``"std"``: location and scale are mean and
    standard deviation; None: 0 and 1. The sums run over the n observed points of the context. A
    context tells no scale if nothing in it is observed, if all of it is 0 (``"mean"``), or if all
    of it is one value (``"std"``). Then they run over all of the window's past, which the lags
    reach. (GluonTS scales such contexts by the batch's mean, or by 1e-10.) Where that is unobserved
    as well, the scale is ``default_scale``; without one it is that of the observed windows of the
    batch (for ``"mean"`` over their points, as in GluonTS), and 1 where the whole batch is
    unobserved. A past of zeros has GluonTS's scale, 1e-10 (``"mean"``) or 0.0032 (``"std"``).

    Small units are as good as others, down to a scale of 1e-35. (GluonTS's scales are 1e-10 or
    more.) To the variance of ``"std"``, :math:`10^{-5} \min(1, \frac1n \sum y_t^2)` is added
    (in GluonTS 1e-5, whatever the unit).

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
            "mean": MeanScaler(
                dim=-1, keepdim=True, default_scale=default_scale, minimum_scale=_NO_SCALE
            ),
            "std": _deviation,
            None: NOPScaler(dim=-1, keepdim=True),
        }[scaling]
        zeros = math.sqrt(_LEAST_VARIANCE) if scaling == "std" else _SCALE_OF_ZEROS
        self.scale_of_zeros = zeros

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
        scale = torch.where(scale > _NO_SCALE, scale, self.scale_of_zeros)
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


def _deviation(values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As GluonTS's ``StdScaler``, but for what is added to the variance of small numbers."""
    count = observed.sum(-1, keepdim=True).clamp_min(1.0)
    loc = (values * observed).sum(-1, keepdim=True) / count
    # In float64, as squares of float32 overflow and vanish.
    centre = loc.double()
    variance = ((values.double() - centre).square() * observed).sum(-1, keepdim=True) / count
    added = _LEAST_VARIANCE * (centre.square() + variance).clamp(max=1.0)
    scale = (variance + added).sqrt().to(values.dtype)
    return (values - loc) / scale, loc, scale
