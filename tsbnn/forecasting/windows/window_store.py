"""All transformed series in a few flat tensors, one for each field, one series after the other.

A window is a contiguous slice of such a tensor, so that a batch of windows is one gather of rows
from a strided view in which row ``i`` is the slice that starts at ``i``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsbnn.forecasting.windows.not_served import NotServedError


class WindowStore:
    """Fields of many series, each once.

    Parameters
    ----------
    series
        Time-major fields, ``rows x channels`` (or without channels): points of all series, one
        series after the other, with room in front of the first or of each.
    statics
        Fields that do not change with time, ``number of series x …``.
    starts
        Row of each series' first point.
    lengths
        Points of each series.
    is_padded
        Whether the room in front of each series holds what a window shows there. Otherwise that
        is the end of the series before, and to be masked.
    """

    def __init__(
        self,
        series: dict[str, Tensor],
        statics: dict[str, Tensor],
        starts: Tensor,
        lengths: Tensor,
        *,
        is_padded: bool,
    ) -> None:
        self.series = series
        self.statics = statics
        self.starts = starts
        self.lengths = lengths
        self.is_padded = is_padded

    @property
    def nbytes(self) -> int:
        """Bytes of all fields."""
        fields = [*self.series.values(), *self.statics.values()]
        return sum(field.numel() * field.element_size() for field in fields)

    def to(self, device: torch.device) -> WindowStore:
        """Return the store with its fields on a device; where series start stays on the CPU."""
        series = {name: field.to(device) for name, field in self.series.items()}
        statics = {name: field.to(device) for name, field in self.statics.items()}
        return WindowStore(series, statics, self.starts, self.lengths, is_padded=self.is_padded)

    def slices(self, name: str, length: int) -> Tensor:
        """View a field as all its slices of ``length`` points: row ``i`` starts at row ``i``."""
        field = self.series[name]
        row, *rest = field.stride()
        shape = (len(field) - length + 1, length, *field.shape[1:])
        return field.as_strided(shape, (row, row, *rest))


class StoreBuilder:
    """Collects series until they are stored, or there are too many for the memory.

    Parameters
    ----------
    target
        The field whose length is the series'.
    series_fields
        Fields with time as their last axis, the target among them.
    static_fields
        Fields without time.
    memory_limit
        Bytes that the fields may take.
    """

    def __init__(
        self,
        target: str,
        series_fields: Sequence[str],
        static_fields: Sequence[str],
        memory_limit: int,
    ) -> None:
        self.target = target
        self.memory_limit = memory_limit
        self.nbytes = 0
        self.lengths: list[int] = []
        self._series: dict[str, list[np.ndarray]] = {name: [] for name in series_fields}
        self._statics: dict[str, list[np.ndarray]] = {name: [] for name in static_fields}

    def add(self, entry: dict[str, Any]) -> None:
        """Take one transformed series.

        Raises
        ------
        NotServedError
            If a field cannot be stored, or memory does not suffice.
        """
        length = np.shape(entry[self.target])[-1]
        for name, kept in self._series.items():
            array = _array(entry, name)
            if array.ndim == 0 or array.shape[-1] < length:
                raise NotServedError(f"{name!r} is shorter than {self.target!r}")
            self._keep(kept, array[..., :length].T, name, np.s_[1:])
        for name, kept in self._statics.items():
            self._keep(kept, _array(entry, name), name, np.s_[:])
        self.lengths.append(length)
        if self.nbytes > self.memory_limit:
            raise NotServedError(
                f"the transformed series take more than {self.memory_limit / 2**20:,.1f} MiB "
                f"(after {len(self.lengths):,} of them)",
                fits_memory=False,
            )

    def _keep(self, kept: list[np.ndarray], array: np.ndarray, name: str, shape: slice) -> None:
        if kept and (kept[0].dtype, kept[0].shape[shape]) != (array.dtype, array.shape[shape]):
            raise NotServedError(f"{name!r} differs in type or shape between series")
        kept.append(array)
        self.nbytes += array.nbytes

    def build(self, front: int, dummy: float = 0.0) -> WindowStore:
        """Store what was taken.

        Parameters
        ----------
        front
            Points that a window may reach before the start of its series.
        dummy
            What it shows there. Each series gets as much room in front where that does no more
            than double the store and fits into memory; many short series only get it before the
            first.
        """
        lengths = torch.tensor(self.lengths, dtype=torch.int64)
        number, total = len(lengths), int(lengths.sum())
        is_padded = number * front <= total and 2 * self.nbytes <= self.memory_limit
        starts = front + lengths.cumsum(0) - lengths
        if is_padded:
            starts += front * torch.arange(number)
        series = {}
        for name in list(self._series):
            # One by one, so that only one field at a time exists twice.
            arrays = self._series.pop(name)
            room = np.full((front, *arrays[0].shape[1:]), dummy, arrays[0].dtype)
            if is_padded:
                arrays = [part for array in arrays for part in (room, array)]
            else:
                arrays.insert(0, room)
            series[name] = torch.from_numpy(np.concatenate(arrays))
        statics = {name: torch.from_numpy(np.stack(kept)) for name, kept in self._statics.items()}
        return WindowStore(series, statics, starts, lengths, is_padded=is_padded)


def _array(entry: dict[str, Any], name: str) -> np.ndarray:
    if name not in entry:
        raise NotServedError(f"{name!r} is neither a field of the series nor cut from one")
    try:
        array = np.asarray(entry[name])
    except ValueError as error:
        raise NotServedError(f"{name!r} is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise NotServedError(f"{name!r} holds no numbers")
    return array
