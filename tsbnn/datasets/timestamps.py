"""A column of dates, times or periods as timestamps without a time zone."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsbnn.datasets.errors import TimestampError
from tsbnn.datasets.rows import others, show


class Timestamps(NamedTuple):
    """What a column says.

    Attributes
    ----------
    stamps
        Clock times, ``num_rows``.
    freq
        The frequency that a column of periods has, else None.
    zone
        The zone of the clock, None for none.
    """

    stamps: pd.DatetimeIndex
    freq: object
    zone: Any


def read_timestamps(values: pd.Series, items: pd.Series | None) -> Timestamps:
    """Read timestamps.

    Text is read as ISO 8601 (2012-01-31, 2012-01-31 13:00), else in the format of its first value.
    UTC and other fixed offsets are told apart, the clock time stays; zones with clock changes are
    refused, as their hours are not a regular grid.

    Parameters
    ----------
    values
        Datetimes, dates, periods or text, ``num_rows``.
    items
        The item ids of the rows, for messages, or None.

    Raises
    ------
    TimestampError
        If a value is missing, is not a date, or the column is of numbers or in a zone with clock
        changes.
    """
    if isinstance(values.dtype, pd.PeriodDtype):
        _check_missing(values, values.isna().to_numpy(), items)
        return Timestamps(*_from_periods(values), None)
    if pd.api.types.is_numeric_dtype(values.dtype):
        raise _numbers_error(values, items)
    stamps = pd.to_datetime(values) if _is_datetime(values) else _parse(values, items)
    _check_missing(values, stamps.isna().to_numpy(), items)
    index = pd.DatetimeIndex(stamps)
    zone = index.tz
    if zone is not None:
        index = _without_zone(index, values)
    try:
        return Timestamps(index.as_unit("ns"), None, zone)
    except pd.errors.OutOfBoundsDatetime:
        bounds = (index < pd.Timestamp.min.as_unit("s")) | (index > pd.Timestamp.max.as_unit("s"))
        raise _unreadable(values, int(np.flatnonzero(bounds)[0]), items) from None


def _is_datetime(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values.dtype)


def _from_periods(values: pd.Series) -> tuple[pd.DatetimeIndex, object]:
    dtype = values.dtype
    freq: Any = dtype.freq  # type: ignore[union-attr]
    index = pd.PeriodIndex(values)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Period", FutureWarning)
        if isinstance(freq, pd.offsets.Week):  # named after the day that ends it
            stamps = index.asfreq("D", how="E").to_timestamp()
        else:
            stamps = index.to_timestamp(how="start")
    return pd.DatetimeIndex(stamps).as_unit("ns"), freq


def _parse(values: pd.Series, items: pd.Series | None) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    text: pd.Series = values
    given = text.notna().to_numpy()
    kind = pd.api.types.infer_dtype(text, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "boolean", "decimal"):
        raise _numbers_error(values, items)
    if kind == "period":
        periods = pd.Series(pd.PeriodIndex(text), index=text.index, name=text.name)
        return pd.Series(_from_periods(periods)[0], index=text.index)
    stamps = text
    readings: list[dict[str, Any]] = [
        {"format": "ISO8601"},
        {"dayfirst": False},
        {"dayfirst": True},
    ]
    complete: list[pd.Series] = []
    for options in readings:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on formats and zones: both are judged below
            try:
                stamps = pd.to_datetime(text, errors="coerce", **options)
            except (ValueError, TypeError):
                continue
        if not _is_datetime(stamps):
            raise TimestampError(
                f"column {show(values.name)}: the timestamps have different offsets from UTC (as "
                f"in {show(values.iloc[int(np.argmax(given))])}); make them one clock with "
                f"pd.to_datetime(df[{show(values.name)}], utc=True)",
                column=values.name,
            )
        if not (stamps.isna().to_numpy() & given).any():
            complete.append(stamps)
            if "format" in options:
                return stamps
    if len(complete) == 2:
        _check_one_reading(values, complete[0], complete[1], items)
    if complete:
        return complete[0]
    wrong = stamps.isna().to_numpy() & given
    raise _unreadable(values, int(np.flatnonzero(wrong)[0]), items)


def _check_one_reading(
    values: pd.Series, month_first: pd.Series, day_first: pd.Series, items: pd.Series | None
) -> None:
    """Dates such as 02/01/2024, none with a day beyond 12, can be read in two ways."""
    differ = np.flatnonzero((month_first != day_first).to_numpy() & month_first.notna().to_numpy())
    if not len(differ):
        return
    position = int(differ[0])
    raise _error(
        values,
        position,
        items,
        f"{show(values.iloc[position])} may be {show(month_first.iloc[position])} or "
        f"{show(day_first.iloc[position])}, and no value of the column tells which; say so with "
        f"pd.to_datetime(df[{show(values.name)}], dayfirst=True) or dayfirst=False",
    )


def _without_zone(index: pd.DatetimeIndex, values: pd.Series) -> pd.DatetimeIndex:
    zone: Any = index.tz
    if zone.utcoffset(None) is None:
        name = show(values.name)
        column = f"df[{name}]"
        raise TimestampError(
            f"column {name}: the time zone {zone} has clock changes, so its hours are no regular "
            f"grid; for steps below a day use UTC, {column}.dt.tz_convert('UTC'), and for days or "
            f"longer the local dates, {column}.dt.tz_localize(None)",
            column=values.name,
            value=str(zone),
        )
    return index.tz_localize(None)


def _check_missing(values: pd.Series, missing: Any, items: pd.Series | None) -> None:
    if not missing.any():
        return
    position = int(np.flatnonzero(missing)[0])
    raise _error(
        values,
        position,
        items,
        f"the timestamp is missing{others(int(missing.sum()), 'rows')}; drop these rows or give "
        "them dates",
    )


def _unreadable(values: pd.Series, position: int, items: pd.Series | None) -> TimestampError:
    found, first = values.iloc[position], values.iloc[0]
    like = f" (or not in the format of the first value, {show(first)})" if position else ""
    return _error(
        values,
        position,
        items,
        f"{show(found)} is no date between 1677 and 2262{like}; right would be 2012-01-31 or "
        f"2012-01-31 13:00. Other formats: pd.to_datetime(df[{show(values.name)}], format=..., or "
        "dayfirst=True)",
    )


def _numbers_error(values: pd.Series, items: pd.Series | None) -> TimestampError:
    return _error(
        values,
        0,
        items,
        f"{show(values.iloc[0])} is a number, and a timestamp is a date; if these are years, use "
        f"pd.to_datetime(df[{show(values.name)}], format='%Y'), and if they count seconds since "
        "1970, pd.to_datetime(..., unit='s')",
    )


def _error(
    values: pd.Series, position: int, items: pd.Series | None, message: str
) -> TimestampError:
    series = None if items is None else items.iloc[position]
    named = "" if items is None else f"series {show(series)}, "
    row, value = values.index[position], values.iloc[position]
    return TimestampError(
        f"{named}row {show(row)}, column {show(values.name)}: {message}",
        series=series,
        column=values.name,
        row=row,
        value=value,
    )
