"""Public holidays as a covariate: how many of them each row's time step has."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.columns import as_table, read_items, take
from tsbnn.datasets.errors import ColumnError
from tsbnn.datasets.frequencies import Frequency
from tsbnn.datasets.grid import resolve_frequency
from tsbnn.datasets.rows import show, sort_rows
from tsbnn.datasets.schema import find_item_id, find_timestamp
from tsbnn.datasets.timestamps import read_timestamps

Days = NDArray[np.datetime64]
_DAY = 86400 * 10**9


def add_holidays(
    df: pd.DataFrame,
    country: str,
    subdivision: str | None = None,
    *,
    item_id: Hashable = None,
    timestamp: Hashable = None,
    freq: str | pd.offsets.BaseOffset | None = None,
    column: Hashable = "holiday",
) -> pd.DataFrame:
    """Add a column with the number of public holidays in each row's time step.

    With steps of a day or less that is 1 for every step of a holiday, else 0; a week, month,
    quarter or year counts its holidays. Business days do not see those of weekends. The column is
    then a known covariate: add it to the history and to ``future_covariates`` alike.

    Parameters
    ----------
    df
        A frame as for :func:`from_frame`, with or without a target. It is not changed.
    country
        ISO 3166 code of the country, such as ``"US"`` or ``"DE"``; the days are those that the
        package ``holidays`` knows as public, days off in lieu included.
    subdivision
        Code of a state, province or region, as in ISO 3166-2 without the country: ``"CA"`` of the
        US, ``"BY"`` of DE. By default the holidays of the whole country.
    item_id, timestamp
        Columns (or index levels), found by themselves as in :func:`from_frame`.
    freq
        Frequency, as in :func:`from_frame`; None infers it, for which frames of a few rows are too
        short. A week ends on the day it is named after: weeks that are told by their Mondays, as
        their first days, are ``"W-SUN"``.
    column
        Name of the new column.

    Returns
    -------
    pandas.DataFrame
        A copy of ``df`` with the new column, of float64, behind the others.

    Raises
    ------
    ImportError
        Without the package ``holidays``, which ``pip install tsbnn[holidays]`` brings.
    ValueError
        For a country or subdivision that it does not know, the name of a column that is there, and
        as :func:`from_frame` for timestamps and frequencies.
    TypeError
        If ``df`` is no frame.

    Examples
    --------
    >>> days = pd.DataFrame({"day": pd.date_range("2024-12-24", periods=3)})
    >>> add_holidays(days, "US", timestamp="day", freq="D")["holiday"].tolist()
    [0.0, 1.0, 0.0]
    """
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"df must be a pandas DataFrame, not {type(df).__name__}")
    table = as_table(df, None, "df")
    if column in table.columns:
        raise ColumnError(
            f"df has the column {show(column)} already: name another one in column=...",
            column=column,
        )
    stamps, codes, frequency = _steps(table, item_id, timestamp, freq)
    first, stop = _days(stamps, frequency)
    days = _holidays(country, subdivision, first[0], stop[-1])
    if frequency.unit == "B":
        days = days[np.is_busday(days)]
    counts = np.searchsorted(days, stop) - np.searchsorted(days, first)
    result = df.copy()
    result[column] = counts[codes].astype(np.float64)
    return result


def _steps(
    table: pd.DataFrame, item_id: Hashable, timestamp: Hashable, freq: object
) -> tuple[pd.DatetimeIndex, NDArray[np.integer], Frequency]:
    """Unique timestamps in order, the number of each row's, and the frequency of all series."""
    item_id, timestamp = find_item_id(table, item_id), find_timestamp(table, timestamp)
    ids = None if item_id is None else take(table, item_id, "item_id")
    if timestamp is None:
        times = pd.Series(table.index, index=table.index, name="index")
    else:
        times = take(table, timestamp, "timestamp")
    stamps, told, _ = read_timestamps(times, ids)
    series, items = read_items(ids, len(table), table.index)
    rows = sort_rows(series, stamps, items, (table.index,), times.name, item_id is not None)
    codes = np.empty_like(rows.stamp_codes)
    codes[rows.order] = rows.stamp_codes
    return rows.stamps, codes, resolve_frequency(rows, told if freq is None else freq)


def _days(stamps: pd.DatetimeIndex, frequency: Frequency) -> tuple[Days, Days]:
    """First day of each step, and the day after its last."""
    step: Any = frequency.offset
    if isinstance(step, pd.offsets.Tick):
        first = stamps.to_numpy().astype("datetime64[D]")
        # Steps within a day have that day, wherever they begin.
        return first, first + max(1, -(-step.nanos // _DAY))
    periods = frequency.ordinals(stamps)
    unique, codes = np.unique([periods, periods + frequency.n], return_inverse=True)
    starts = np.array([frequency.start(period) for period in unique], dtype="datetime64[D]")
    first, stop = starts[codes.reshape(2, -1)]
    return first, stop


def _holidays(country: str, subdivision: str | None, first: Any, stop: Any) -> Days:
    """Days off of a country from the year of one day to that of another, in order."""
    try:
        from holidays import country_holidays, list_supported_countries
    except ImportError as error:
        raise ImportError(
            "add_holidays needs the package holidays: pip install 'tsbnn[holidays]'"
        ) from error
    years = range(first.astype(object).year, stop.astype(object).year + 1)
    try:
        found = country_holidays(country, subdiv=subdivision, years=years)
    except NotImplementedError as error:
        known = list_supported_countries().get(country)
        right = "ISO 3166 codes, such as 'US' and its 'CA'"
        raise ValueError(
            f"country={country!r}, subdivision={subdivision!r}: {error}; right would be "
            + (f"one of {', '.join(known)}" if known else right)
        ) from error
    return np.array(sorted(found), dtype="datetime64[D]")
