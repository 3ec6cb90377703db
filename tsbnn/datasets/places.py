"""Where in their steps the timestamps of a series lie, and so which timestamps its forecasts have.

A grid numbers steps (the 400th month); users write timestamps (2003-04-30, or 2003-04-01 09:00).
All rows of a series lie at one place within their steps, by at least one of several readings: for
months on the same day, on the last day, on the last or the first business day, or on the same day
and the last one of months that are too short for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsbnn.datasets.frequencies import Frequency
from tsbnn.datasets.inferring import business_ends, days_of_months
from tsbnn.datasets.rows import Rows

_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_TICKS = {"s": "s", "min": "m", "h": "h", "D": "D"}
_SAME_DAY, _LAST_DAY, _LAST_BUSINESS_DAY, _FIRST_BUSINESS_DAY, _SAME_DAY_IF_THERE = range(5)
# Days that are all the last ones of their months go on as such, be they all 30ths or not.
_PREFERENCE = (_LAST_DAY, _SAME_DAY, _LAST_BUSINESS_DAY, _FIRST_BUSINESS_DAY)


@dataclass(frozen=True, eq=False)
class Places:
    """The place of each series' timestamps within their steps.

    Attributes
    ----------
    reading
        Which reading holds for each series, a number into :func:`readings`, ``num_series``.
    number
        The place by this reading, ``num_series``.
    """

    reading: NDArray[np.int64]
    number: NDArray[np.int64]

    def timestamps(
        self, frequency: Frequency, ordinals: NDArray[np.int64]
    ) -> NDArray[np.datetime64]:
        """The timestamps that steps have in the user's way of writing.

        Parameters
        ----------
        frequency
            The grid of all series.
        ordinals
            Period ordinals, ``num_series x steps``.

        Returns
        -------
        numpy.ndarray
            datetime64[ns], ``num_series x steps``.
        """
        number = self.number[:, None]
        start = _starts(frequency, ordinals)
        if frequency.unit in _MONTHS:
            return self._in_months(frequency.unit, start)
        if frequency.unit == "W":
            clock, weekday = number // 7, number % 7
            # 1970-01-01 was a Thursday; Mondays are 0.
            ahead = (weekday - (start.astype(np.int64) + 3)) % 7
            start = start + ahead.astype("timedelta64[D]")
        else:
            clock = np.broadcast_to(number, start.shape)
        return start.astype("datetime64[ns]") + clock.astype("timedelta64[ns]")

    def _in_months(self, unit: str, start: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        same_day = (self.reading == _SAME_DAY) | (self.reading == _SAME_DAY_IF_THERE)
        place = np.where(same_day, self.number // 32, self.number)
        clock, within = place // 12, place % 12
        # The month that ends the period is counted as 0, the first one as 1.
        months = start + ((within - 1) % _MONTHS[unit])[:, None].astype("timedelta64[M]")
        first = months.astype("datetime64[D]")
        last = (months + 1).astype("datetime64[D]") - 1
        days = np.minimum(first + (self.number % 32 - 1)[:, None].astype("timedelta64[D]"), last)
        for reading, other in (
            (_LAST_DAY, lambda some: last[some]),
            (_LAST_BUSINESS_DAY, lambda some: np.busday_offset(last[some], 0, roll="backward")),
            (_FIRST_BUSINESS_DAY, lambda some: np.busday_offset(first[some], 0, roll="forward")),
        ):
            some = self.reading == reading
            if some.any():
                days[some] = other(some)
        return days.astype("datetime64[ns]") + clock[:, None].astype("timedelta64[ns]")


def _starts(frequency: Frequency, ordinals: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """First day, month or tick of each period."""
    if not ordinals.size:
        return ordinals.astype("datetime64[D]")
    origin = int(ordinals.flat[0])
    begin = frequency.start(origin)
    since = ordinals - origin
    if frequency.unit in _MONTHS:
        return begin.astype("datetime64[M]") + (since * _MONTHS[frequency.unit])
    if frequency.unit == "B":
        return np.busday_offset(begin.astype("datetime64[D]"), since)
    if frequency.unit == "W":
        return begin.astype("datetime64[D]") + 7 * since
    return begin.astype(f"datetime64[{_TICKS[frequency.unit]}]") + since


def readings(rows: Rows, frequency: Frequency) -> list[NDArray[np.int64]]:
    """For each reading of "the same place in the step" a number per row, -1 where it fails."""
    stamps = rows.stamps
    clock = np.asarray((stamps - stamps.normalize()).as_unit("ns").astype("int64"))
    if frequency.unit in ("s", "min", "h"):
        unit = {"s": 1, "min": 60, "h": 3600}[frequency.unit] * 1_000_000_000
        return [(clock % unit)[rows.stamp_codes]]
    if frequency.unit in ("D", "B"):
        return [clock[rows.stamp_codes]]
    if frequency.unit == "W":
        return [(np.asarray(stamps.weekday) + 7 * clock)[rows.stamp_codes]]
    within = (np.asarray(stamps.month, dtype=np.int64) - (frequency.anchor or 12)) % _MONTHS[
        frequency.unit
    ]
    place = within + 12 * clock
    last_business, first_business = business_ends(stamps)
    numbers = [place * 32 + np.asarray(stamps.day)]
    for flag in (np.asarray(stamps.is_month_end), last_business, first_business):
        numbers.append(np.where(flag, place, -1))
    result = [number[rows.stamp_codes] for number in numbers]
    return [*result, place[rows.stamp_codes] * 32 + days_of_months(rows)]


def find_places(rows: Rows, found: list[NDArray[np.int64]]) -> tuple[Places, NDArray[np.bool_]]:
    """The place of each series by the commonest reading that holds, and whether one does.

    Parameters
    ----------
    rows
        The sorted rows.
    found
        What :func:`readings` gave.
    """
    holds = np.stack(
        [
            np.logical_and.reduceat(
                (number == number[rows.starts][rows.series]) & (number >= 0), rows.starts
            )
            for number in found
        ]
    )
    # Short series leave it open: they follow the others. The last reading holds wherever that of
    # the same day does, so that it is for series that have no other.
    usual = [reading for reading in _PREFERENCE if reading < len(found)]
    preferred = sorted(usual, key=lambda r: (-holds[r].sum(), _PREFERENCE.index(r)))
    preferred += [_SAME_DAY_IF_THERE] if len(found) > _SAME_DAY_IF_THERE else []
    reading = np.asarray(preferred)[np.argmax(holds[preferred], axis=0)]
    numbers = np.stack([number[rows.starts] for number in found])
    places = Places(reading, numbers[reading, np.arange(rows.num_series)])
    return places, np.asarray(holds.any(axis=0))
