"""All transformed series in a few flat tensors, one for each field, one series after the other.

A window is a contiguous slice of such a tensor, so that a batch of windows is one gather of rows
from a strided view in which row ``i`` is the slice that starts at ``i``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        Time-major fields, ``(front + total time) x channels`` (or without channels).
    statics
        Fields that do not change with time, ``number of series x …``.
    starts
        Row of each series' first point.
    lengths
        Points of each series.
    """

    def __init__(
        self,
        series: dict[str, Tensor],
        statics: dict[str, Tensor],
        starts: Tensor,
        lengths: Tensor,
    ) -> None:
        self.series = series
        self.statics = statics
        self.starts = starts
        self.lengths = lengths

    @property
    def nbytes(self) -> int:
        """Bytes of all fields."""
        fields = [*self.series.values(), *self.statics.values()]
        return sum(field.numel() * field.element_size() for field in fields)

    def to(self, device: torch.device) -> WindowStore:
        """Return the store with its fields on a device; where series start stays on the CPU."""
        series = {name: field.to(device) for name, field in self.series.items()}
        statics = {name: field.to(device) for name, field in self.statics.items()}
        return WindowStore(series, statics, self.starts, self.lengths)

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
                f"the transformed series take more than {self.memory_limit / 2**20:,.0f} MiB "
                f"(after {len(self.lengths):,} of them)",
                fits_memory=False,
            )

    def _keep(self, kept: list[np.ndarray], array: np.ndarray, name: str, shape: slice) -> None:
        if kept and (kept[0].dtype, kept[0].shape[shape]) != (array.dtype, array.shape[shape]):
            raise NotServedError(f"{name!r} differs in type or shape between series")
        kept.append(array)
        self.nbytes += array.nbytes

    def build(self, front: int) -> WindowStore:
        """Store what was taken, behind ``front`` points of zeros that no window shows.

        A window that reaches before the first series would start there; before other series it
        would show the end of the one before. Whoever cuts windows masks both.
        """
        lengths = torch.tensor(self.lengths, dtype=torch.int64)
        starts = front + lengths.cumsum(0) - lengths
        series = {}
        for name in list(self._series):
            # One by one, so that only one field at a time exists twice.
            arrays = self._series.pop(name)
            empty = np.zeros((front, *arrays[0].shape[1:]), arrays[0].dtype)
            series[name] = torch.from_numpy(np.concatenate([empty, *arrays]))
        statics = {name: torch.from_numpy(np.stack(kept)) for name, kept in self._statics.items()}
        return WindowStore(series, statics, starts, lengths)


def store_series(
    entries: Iterable[dict[str, Any]],
    target: str,
    series_fields: Sequence[str],
    static_fields: Sequence[str],
    *,
    front: int,
    memory_limit: int,
) -> WindowStore:
    """Store the fields of all entries; see :class:`StoreBuilder`.

    Raises
    ------
    NotServedError
        If a field cannot be stored, or memory does not suffice.
    """
    builder = StoreBuilder(target, series_fields, static_fields, memory_limit)
    for entry in entries:
        builder.add(entry)
    return builder.build(front)


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
