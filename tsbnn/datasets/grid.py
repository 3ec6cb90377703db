"""The regular grid of time steps that each series' rows lie on, with steps left open for gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tsbnn.datasets.errors import OffGridError
from tsbnn.datasets.frequencies import Frequency, frequency_of_seconds, parse_frequency, quarter_end
from tsbnn.datasets.inferring import end_months, infer_frequency
from tsbnn.datasets.places import Places, find_places, readings
from tsbnn.datasets.rows import Rows, show

_MOST_STEPS_PER_ROW = 100
_ALWAYS_ALLOWED_STEPS = 10_000


@dataclass(frozen=True)
class Grid:
    """Where rows lie.

    Attributes
    ----------
    frequency
        The frequency of all series.
    first
        Period ordinal of each series' first step, ``num_series``.
    step
        Each row's step within its series, from 0, ``num_rows``.
    length
        Steps from first to last row, gaps included, ``num_series``.
    places
        Where in their steps the rows of each series lie.
    """

    frequency: Frequency
    first: NDArray[np.int64]
    step: NDArray[np.int64]
    length: NDArray[np.int64]
    places: Places


def resolve_frequency(rows: Rows, freq: object) -> Frequency:
    """The frequency that the user named, else the one that the timestamps have.

    "W", "Q" and "Y" without an anchor take the one that the first series has.

    Raises
    ------
    FrequencyError, MixedFrequencyError
        See :func:`~tsbnn.datasets.frequencies.parse_frequency` and
        :func:`~tsbnn.datasets.inferring.infer_frequency`.
    """
    if freq is None:
        return infer_frequency(rows)
    frequency, anchored = parse_frequency(freq)
    if anchored or frequency.unit not in ("W", "Q", "Y"):
        return frequency
    if frequency.unit == "W":
        return Frequency("W", frequency.n, rows.stamp(0).weekday())
    end = int(end_months(rows)[0])
    if frequency.unit == "Q":
        end = quarter_end(end)
    return Frequency(frequency.unit, frequency.n, end)


def lay_grid(rows: Rows, frequency: Frequency) -> Grid:
    """Place each row on its series' grid.

    All rows of a series lie at the same place within their steps: days all at 09:00, months all on
    the 1st, all on the 15th, all on the last day or the last business day, or all on the 30th and
    in February on its last day.

    Raises
    ------
    OffGridError
        If a row lies elsewhere, if two rows share a step, or if the gaps between rows would make
        the grid more than a hundred times as long as the frame.
    """
    stamps = rows.stamps
    if frequency.unit == "B":
        weekend = np.asarray(stamps.weekday >= 5)[rows.stamp_codes]
        if weekend.any():
            row = int(np.flatnonzero(weekend)[0])
            raise OffGridError(
                f"{rows.place(row)}: {show(rows.stamp(row))} is a {rows.stamp(row).day_name()}, "
                "and freq='B' has Mondays to Fridays only; pass freq='D', or drop the weekends.",
                **rows.where(row),
            )
    ordinals = frequency.ordinals(stamps)[rows.stamp_codes]
    first = ordinals[rows.starts]
    since = ordinals - first[rows.series]
    shared = (np.diff(rows.series) == 0) & (np.diff(ordinals) == 0)
    if shared.any():
        row = int(np.flatnonzero(shared)[0])
        raise OffGridError(
            f"{rows.name(rows.series[row])}: rows {show(rows.label(row))} "
            f"({show(rows.stamp(row))}) and {show(rows.label(row + 1))} "
            f"({show(rows.stamp(row + 1))}) lie in one step of freq={frequency.alias!r} "
            f"({frequency.period(int(ordinals[row]))}); pass a finer freq, or aggregate the frame "
            "to one row per step (resample).",
            **rows.where(row + 1),
        )
    places = _places(rows, frequency)
    step, rest = np.divmod(since, frequency.n)
    if rest.any():
        row = int(np.flatnonzero(rest)[0])
        _off_grid(rows, row, frequency, f"{show(rows.stamp(int(rows.starts[rows.series[row]])))}")
    length = step[rows.stops - 1] + 1
    _check_size(rows, frequency, step, length)
    return Grid(frequency, first, step, length, places)


def _places(rows: Rows, frequency: Frequency) -> Places:
    """Every series must keep to one place within its steps, by at least one of several readings."""
    found = readings(rows, frequency)
    places, good = find_places(rows, found)
    if good.all():
        return places
    series = int(np.flatnonzero(~good)[0])
    rows_of = slice(int(rows.starts[series]), int(rows.stops[series]))
    best_misses, usual = np.arange(0), -1
    for place in found:
        values, counts = np.unique(place[rows_of], return_counts=True)
        counts[values < 0] = 0
        if not counts.any():
            continue
        most = values[np.argmax(counts)]
        misses = np.flatnonzero(place[rows_of] != most)
        if usual < 0 or len(misses) < len(best_misses):
            best_misses = misses
            usual = int(np.flatnonzero(place[rows_of] == most)[0])
    row = rows_of.start + int(best_misses[0])
    _off_grid(rows, row, frequency, show(rows.stamp(rows_of.start + usual)))


def _off_grid(rows: Rows, row: int, frequency: Frequency, usual: str) -> NoReturn:
    series = slice(int(rows.starts[rows.series[row]]), int(rows.stops[rows.series[row]]))
    seconds = (
        np.asarray(rows.stamps.as_unit("ns").astype("int64"))[rows.stamp_codes[series]]
        // 1_000_000_000
    )
    finest = frequency_of_seconds(max(1, int(np.gcd.reduce(np.diff(seconds)))))
    raise OffGridError(
        f"{rows.place(row)}: the timestamp {show(rows.stamp(row))} in column "
        f"{show(rows.timestamp)} is off the grid of freq={frequency.alias!r} through {usual}, "
        "which the series' other rows lie on; correct or drop the row, resample the frame, or "
        f"pass freq={finest.alias!r}, which holds every row of the series."
        + (
            " If each row stands for its month, whatever its day, make the timestamps periods: "
            "column.dt.to_period('M'), or index.to_period('M')."
            if frequency.unit == "M"
            else ""
        ),
        **rows.where(row),
    )


def _check_size(
    rows: Rows, frequency: Frequency, step: NDArray[np.int64], length: NDArray[np.int64]
) -> None:
    total = int(length.sum())
    if total <= max(_ALWAYS_ALLOWED_STEPS, _MOST_STEPS_PER_ROW * len(rows.series)):
        return
    gaps = np.where(np.diff(rows.series) == 0, np.diff(step), 0)
    row = int(np.argmax(gaps))
    raise OffGridError(
        f"{rows.place(row + 1)}: on a grid of freq={frequency.alias!r} the gap from "
        f"{show(rows.stamp(row))} to {show(rows.stamp(row + 1))} has {int(gaps[row]):,} steps, "
        f"and the frame's {len(rows.series):,} rows would become {total:,}; is this timestamp "
        "right? If it is, resample to a coarser frequency or split the series at the gap.",
        **rows.where(row + 1),
    )
