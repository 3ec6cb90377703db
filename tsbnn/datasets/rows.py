"""The rows of a frame as sorted arrays, with the way back to the labels that a user knows."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Rows sorted by series, then by time.

    ``stamps`` repeat over series, so they are kept as codes into the few unique ones; whatever is
    computed from timestamps is computed once per unique timestamp. Numbers per row are as small as
    they can be (:func:`counter`): cast them before multiplying.

    Attributes
    ----------
    series
        Number of the row's series, ``num_rows``, ascending.
    stamp_codes
        Number of the row's timestamp among ``stamps``, ``num_rows``.
    stamps
        The unique timestamps, ascending.
    items
        The item ids, by number.
    order
        The row's place in the frame(s) passed, ``num_rows``.
    starts
        First row of each series, ``num_series``.
    labels
        Index labels of the frame, and behind them those of the frame of future rows.
    timestamp
        Name of the timestamp column or index.
    has_items
        Whether the user named an item id column (otherwise messages speak of "the series").
    """

    series: NDArray[np.integer]
    stamp_codes: NDArray[np.integer]
    stamps: pd.DatetimeIndex
    items: list[Any]
    order: NDArray[np.integer]
    starts: NDArray[np.int64]
    labels: tuple[pd.Index, ...]
    timestamp: Hashable
    has_items: bool

    @property
    def num_series(self) -> int:
        """How many series there are."""
        return len(self.items)

    @property
    def stops(self) -> NDArray[np.int64]:
        """One past the last row of each series, ``num_series``."""
        return np.append(self.starts[1:], len(self.series))

    def stamp(self, row: int) -> pd.Timestamp:
        """The timestamp of a sorted row."""
        return self.stamps[self.stamp_codes[row]]

    def item(self, row: int) -> Any:
        """The item id of a sorted row."""
        return self.items[self.series[row]]

    def label(self, row: int) -> Hashable:
        """The index label that the user knows a sorted row by."""
        return label_at(self.labels, int(self.order[row]))

    def place(self, row: int) -> str:
        """Series and row in words: "series 'a', row 17"."""
        return f"{self.name(self.series[row])}, row {show(self.label(row))}"

    def name(self, series: int) -> str:
        """A series in words."""
        return f"series {show(self.items[series])}" if self.has_items else "the series"

    def where(self, row: int) -> dict[str, Any]:
        """The attributes of an error about a sorted row's timestamp."""
        return {
            "series": self.item(row),
            "column": self.timestamp,
            "row": self.label(row),
            "value": self.stamp(row),
        }


def label_at(labels: tuple[pd.Index, ...], position: int) -> Hashable:
    """The index label at a position in one or two frames laid one behind the other."""
    for index in labels:
        if position < len(index):
            label: Hashable = index[position]
            return label
        position -= len(index)
    raise IndexError(position)


def others(count: int, what: str) -> str:
    """How often a problem occurs, if more than once: " (12 such rows)"."""
    return f" ({count:,} such {what})" if count > 1 else ""


def show(value: object) -> str:
    """A value as it should stand in a message: timestamps plain, numbers and strings as typed."""
    if isinstance(value, pd.Timestamp):
        return str(value.date()) if value == value.normalize() else str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        return "(" + ", ".join(show(part) for part in value) + ")"
    return repr(value)


def counter(count: int) -> type[np.integer]:
    """The smallest type that numbers ``count`` rows: there are many of them."""
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64


def sort_rows(
    series: NDArray[np.integer],
    stamps: pd.DatetimeIndex,
    items: list[Any],
    labels: tuple[pd.Index, ...],
    timestamp: Hashable,
    has_items: bool,
) -> Rows:
    """Sort rows by series and time.

    Parameters
    ----------
    series, stamps
        Series number and timestamp of each row in the frame's order, ``num_rows`` both.
    items, labels, timestamp, has_items
        As in :class:`Rows`. Every item has at least one row.

    Returns
    -------
    Rows
        The sorted rows; rows of one series and one timestamp keep the frame's order.
    """
    kind = counter(len(series))
    codes, unique = pd.factorize(stamps, sort=True)
    codes = codes.astype(kind)
    key = series.astype(np.int64) * max(len(unique), 1) + codes
    if np.all(key[1:] >= key[:-1]):
        order = np.arange(len(key), dtype=kind)
    else:
        order = np.argsort(key, kind="stable").astype(kind)
        series, codes = series[order], codes[order]
    starts = np.flatnonzero(np.diff(series, prepend=-1))
    return Rows(
        series=series,
        stamp_codes=codes,
        stamps=pd.DatetimeIndex(unique),
        items=items,
        order=order,
        starts=starts,
        labels=labels,
        timestamp=timestamp,
        has_items=has_items,
    )
