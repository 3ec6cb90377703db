"""Frequencies: both vocabularies of pandas in, one regular grid of periods out.

pandas renamed its aliases in 2.2 ("H" to "h", "M" to "ME", ...), knows most calendar frequencies as
starts and as ends ("MS", "ME"), and accepts only the ends for periods. GluonTS reads a series'
start as a period and its frequency as an alias. A :class:`Frequency` holds what all of them mean.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset

from tsbnn.datasets.errors import FrequencyError

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_ALIASES = {
    **dict.fromkeys(("s", "S"), "s"),
    **dict.fromkeys(("min", "T"), "min"),
    **dict.fromkeys(("h", "H"), "h"),
    **dict.fromkeys(("D", "d"), "D"),
    **dict.fromkeys(("B", "b"), "B"),
    **dict.fromkeys(("W", "w"), "W"),
    **dict.fromkeys(("M", "ME", "MS", "BM", "BME", "BMS"), "M"),
    **dict.fromkeys(("Q", "QE", "QS", "BQ", "BQE", "BQS"), "Q"),
    **dict.fromkeys(("Y", "YE", "YS", "A", "AS", "BY", "BYE", "BYS", "BA", "BAS"), "Y"),
}
_SUPPORTED = (
    "s, min, h, D, B, W (W-MON ... W-SUN), ME, QE (QE-DEC ...), YE, and multiples like 15min"
)
_PATTERN = re.compile(r"(\d*)([A-Za-z]+)(?:-([A-Za-z]{3}))?")


@dataclass(frozen=True)
class Frequency:
    """A regular grid of time steps, each ``n`` units long.

    Parameters
    ----------
    unit
        One of "s", "min", "h", "D", "B" (Monday to Friday), "W", "M", "Q", "Y".
    n
        Units per step, at least 1.
    anchor
        For "W" the weekday that ends the week (0 is Monday); for "Q" and "Y" the month that ends
        the (fiscal) year (1 is January); otherwise None.
    """

    unit: str
    n: int = 1
    anchor: int | None = None

    @property
    def offset(self) -> pd.offsets.BaseOffset:
        """The pandas offset that periods of this frequency have (always an end)."""
        offsets = pd.offsets
        if self.unit == "W":
            return offsets.Week(self.n, weekday=6 if self.anchor is None else self.anchor)
        if self.unit == "Q":
            return offsets.QuarterEnd(self.n, startingMonth=self.anchor or 12)
        if self.unit == "Y":
            return offsets.YearEnd(self.n, month=self.anchor or 12)
        simple = {
            "s": offsets.Second,
            "min": offsets.Minute,
            "h": offsets.Hour,
            "D": offsets.Day,
            "B": offsets.BDay,
            "M": offsets.MonthEnd,
        }
        return simple[self.unit](self.n)

    @property
    def _period_offset(self) -> Any:
        return self.offset  # pandas-stubs list fewer offsets than periods take

    @property
    def alias(self) -> str:
        """The alias of the installed pandas, which GluonTS takes as ``freq``."""
        return str(self.offset.freqstr)

    def ordinals(self, stamps: pd.DatetimeIndex) -> NDArray[np.int64]:
        """Number of the unit (second, week, quarter, ...) that holds each timestamp.

        Parameters
        ----------
        stamps
            Timestamps without a time zone, ``n``. For "B" none may lie on a weekend.

        Returns
        -------
        numpy.ndarray
            int64, ``n``: period ordinals in units, not in steps of ``n`` units.
        """
        with business_periods_quietly():
            return np.asarray(stamps.to_period(self._period_offset).astype("int64"))

    def period(self, ordinal: int) -> pd.Period:
        """The period with this ordinal."""
        with business_periods_quietly():
            return pd.Period(ordinal=int(ordinal), freq=self._period_offset)

    def start(self, ordinal: int) -> np.datetime64:
        """First moment of the period with this ordinal."""
        with business_periods_quietly():
            return self.period(ordinal).start_time.to_datetime64()


@contextlib.contextmanager
def business_periods_quietly() -> Iterator[None]:
    """Silence pandas' notice that business-day periods go away in version 3, which is excluded."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Period(Dtype\[B\]| with BDay)", FutureWarning)
        yield


def parse_frequency(freq: object) -> tuple[Frequency, bool]:
    """Read a frequency in either vocabulary.

    Starts and ends ("MS", "ME", "M", "BME") mean the same grid: the month. Quarters and years that
    start in a month end in the one before it; quarter starts map to the quarter ends DEC, JAN or
    FEB.

    Parameters
    ----------
    freq
        A pandas alias of any version, a pandas offset, a timedelta, or a :class:`Frequency`.

    Returns
    -------
    tuple of Frequency and bool
        The frequency, and whether its anchor was given: "W" leaves the weekday open.

    Raises
    ------
    FrequencyError
        If it is not a regular frequency of a second or more.
    """
    if isinstance(freq, Frequency):
        return freq, True
    if isinstance(freq, datetime.timedelta):
        return _from_seconds(freq.total_seconds(), freq), True
    if isinstance(freq, pd.offsets.Tick):
        return _from_tick(freq), True
    text = freq.freqstr if isinstance(freq, pd.offsets.BaseOffset) else freq
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    unit = _ALIASES.get(match[2]) if match else None
    if match is None or unit is None:
        return _from_tick_text(freq, text), True
    n, anchor = int(match[1] or 1), (match[3] or "").upper()
    if n < 1:
        raise _unknown(freq)
    if unit == "W":
        if anchor and anchor not in WEEKDAYS:
            raise _unknown(freq)
        return Frequency("W", n, WEEKDAYS.index(anchor) if anchor else 6), bool(anchor)
    if unit in "QY":
        if anchor and anchor not in MONTHS:
            raise _unknown(freq)
        month = MONTHS.index(anchor) + 1 if anchor else None
        if month is not None and match[2].endswith("S"):
            month = 12 if month == 1 else month - 1
            month = quarter_end(month) if unit == "Q" else month
        if unit == "Q" and n > 1:  # GluonTS knows no multiples of quarters
            return Frequency("M", 3 * n), True
        return Frequency(unit, n, month or 12), bool(anchor)
    if anchor:
        raise _unknown(freq)
    return Frequency(unit, n), True


def quarter_end(month: int) -> int:
    """The month among DEC, JAN, FEB whose quarters end in ``month``."""
    return {0: 12, 1: 1, 2: 2}[month % 3]


def _from_tick_text(freq: object, text: object) -> Frequency:
    """Composite tick aliases such as "1h30min"."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            offset = to_offset(text)  # type: ignore[call-overload]
    except (ValueError, TypeError):
        raise _unknown(freq) from None
    if not isinstance(offset, pd.offsets.Tick):
        raise _unknown(freq)
    return _from_tick(offset)


def _from_tick(offset: pd.offsets.Tick) -> Frequency:
    seconds = offset.nanos / 1e9
    for kind, unit in (
        (pd.offsets.Day, "D"),
        (pd.offsets.Hour, "h"),
        (pd.offsets.Minute, "min"),
        (pd.offsets.Second, "s"),
    ):
        if isinstance(offset, kind) and offset.n > 0:
            return Frequency(unit, offset.n)
    return _from_seconds(seconds, offset.freqstr)


def _from_seconds(seconds: float, freq: object) -> Frequency:
    if seconds < 1 or seconds != int(seconds):
        raise FrequencyError(
            f"freq={freq!s}: steps must be whole seconds, at least one; resample to one of "
            f"{_SUPPORTED}.",
            value=freq,
        )
    return frequency_of_seconds(int(seconds))


def frequency_of_seconds(seconds: int) -> Frequency:
    """The frequency in the largest of s, min, h, D with steps of so many seconds."""
    for unit, size in (("D", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return Frequency(unit, seconds // size)
    return Frequency("s", seconds)


def _unknown(freq: object) -> FrequencyError:
    hint = {"m": " ('m' is no alias: 'min' is minutes, 'ME' months.)"}.get(str(freq), "")
    return FrequencyError(
        f"freq={freq!r} is not a regular frequency that forecasters here can use; right would be "
        f"one of {_SUPPORTED}; the older aliases (H, T, M, Q, A, ...) mean the same.{hint}",
        value=freq,
    )
