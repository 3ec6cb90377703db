"""Covariates: where the target ends and the future begins, and no step without a value."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.errors import (
    CovariateError,
    DuplicateTimestampError,
    FrameError,
    FutureCovariateError,
)
from tsbnn.datasets.grid import Grid
from tsbnn.datasets.inferring import check_duplicates
from tsbnn.datasets.rows import Rows, others, show

#: Known through the horizon, or up to the forecast's start only.
Role = Literal["known", "past"]

_UNTIL = {"known": "", "past": " of the target"}
_UNFILLED = {
    "known": "no row of the series has one",
    "past": "no earlier row of the series has one, and a later value of a past covariate is not "
    "known yet: add it, or drop the rows before the first value",
}


@contextmanager
def of_future_frame() -> Iterator[None]:
    """Have errors say that they are about the frame of future rows: both frames have a row 0."""
    try:
        yield
    except FrameError as error:
        if "future_covariates" not in str(error):
            error.args = (f"future_covariates, {error}",)
        raise


def number_future_items(
    values: pd.Series | None, num_rows: int, items: list[Any]
) -> NDArray[np.int64]:
    """Series number of each row of the frame of future rows.

    Raises
    ------
    FutureCovariateError
        If a row's id is not among the series of the frame.
    """
    if values is None:
        return np.zeros(num_rows, dtype=np.int64)
    codes = np.asarray(pd.Index(items).get_indexer(pd.Index(values)))
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        row, value = values.index[unknown[0]], values.iloc[int(unknown[0])]
        raise FutureCovariateError(
            f"future_covariates, row {show(row)}, column {show(values.name)}: df has no series "
            f"{show(value)}; future_covariates may hold rows of the series in df only",
            series=value,
            column=values.name,
            row=row,
            value=value,
        )
    return codes.astype(np.int64)


def check_follows(rows: Rows, num_past: int) -> None:
    """Raise unless each series' future rows come after all its other rows, one for each step.

    Raises
    ------
    DuplicateTimestampError
        If a future row has the timestamp of another row; naming both.
    FutureCovariateError
        Naming the row and the last past timestamp.
    """
    future = rows.order >= num_past
    same = (np.diff(rows.series) == 0) & (np.diff(rows.stamp_codes) == 0)
    known = np.flatnonzero(same & ~future[:-1])
    if len(known):
        row = int(known[0]) + 1
        end = rows.stamp(int(np.flatnonzero(~future[: rows.stops[rows.series[row]]])[-1]))
        raise DuplicateTimestampError(
            f"future_covariates, {rows.place(row)}: the timestamp {show(rows.stamp(row))} is in df "
            f"already, in its row {show(rows.label(row - 1))}{others(len(known), 'rows')}; future "
            f"rows must follow the series' last row in df, {show(end)}: leave out those that df "
            "has, or drop them from df where their target is missing",
            **rows.where(row),
        )
    check_duplicates(rows, "future_covariates, ")
    early = np.flatnonzero(future[:-1] & ~future[1:] & (np.diff(rows.series) == 0))
    if not len(early):
        return
    series = rows.series[early[0]]
    begin, stop = int(rows.starts[series]), int(rows.stops[series])
    row = begin + int(np.flatnonzero(future[begin:stop])[0])
    last = begin + int(np.flatnonzero(~future[begin:stop])[-1])
    raise FutureCovariateError(
        f"future_covariates, {rows.place(row)}: the timestamp {show(rows.stamp(row))} lies before "
        f"the series' last row in df, {show(rows.stamp(last))}; future rows must follow it",
        **rows.where(row),
    )


def split_horizon(
    rows: Rows,
    grid: Grid,
    observed_until: NDArray[np.int64],
    past_length: NDArray[np.int64] | None,
    num_known: int,
    prediction_length: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each target ends, and how many steps its covariates go on.

    Without a frame of future rows the horizon begins after the last observed step of the series, or
    of any other series whose rows end at the same time: a series that ends in missing targets where
    those others have values ends in a gap, and its target goes on through it. What lies beyond
    ``prediction_length`` steps is cut.

    Parameters
    ----------
    rows, grid
        All rows, those of the future among them.
    observed_until
        One past the last observed step of each series, ``num_series``.
    past_length
        Steps of the target where a frame of future rows was given, ``num_series``, else None.
    num_known
        Number of known covariates.
    prediction_length
        Steps that they must go on, or None for as many as there are.

    Returns
    -------
    tuple of numpy.ndarray
        Target length and horizon, ``num_series`` both.

    Raises
    ------
    FutureCovariateError
        If a series' covariates end before ``prediction_length`` steps.
    """
    total = grid.length
    if not num_known:
        return total, np.zeros_like(total)
    if past_length is not None:
        end = past_length
    elif prediction_length is None:
        end = observed_until
    else:
        ahead = np.maximum(_common_steps(grid, total - observed_until), prediction_length)
        end = np.maximum(observed_until, total - ahead)
    horizon = total - end
    if prediction_length is None:
        return end, horizon
    short = np.flatnonzero(horizon < prediction_length)
    if len(short):
        i = int(short[0])
        frequency = grid.frequency
        last = frequency.period(int(grid.first[i] + (end[i] - 1) * frequency.n))
        need = frequency.period(int(grid.first[i] + (end[i] - 1 + prediction_length) * frequency.n))
        raise FutureCovariateError(
            f"{rows.name(i)}: its target ends at {last} and its known covariates go on for "
            f"{int(horizon[i])} steps, but prediction_length={prediction_length} needs "
            f"{prediction_length}, through {need}{others(len(short), 'series')}. Give these rows "
            "in future_covariates=..., or at the end of df with a missing target; for a frame to "
            "train on, leave out prediction_length.",
            series=rows.items[i],
            value=int(horizon[i]),
        )
    return end, np.full_like(horizon, prediction_length)


def _common_steps(grid: Grid, left: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fewest steps ``left`` of all series whose rows end at the same time, ``num_series``."""
    last = grid.first + (grid.length - 1) * grid.frequency.n
    ends, group = np.unique(last, return_inverse=True)
    fewest = np.full(len(ends), np.iinfo(np.int64).max)
    np.minimum.at(fewest, group, left)
    return fewest[group]


def complete_covariates(
    covariates: NDArray[np.float32],
    names: tuple[Hashable, ...],
    role: Role,
    rows: Rows,
    grid: Grid,
    offset: NDArray[np.int64],
    needed: NDArray[np.int64],
    fill: bool,
) -> None:
    """Check that every needed step has its covariates; carry values over gaps in place if asked.

    Values of past covariates are never carried back: a history that ends before the first one must
    not hold it.

    Parameters
    ----------
    covariates
        Covariates of all series laid end to end, ``num_covariates x total_steps``.
    names
        Their names.
    role
        Whether they are known ahead, or up to the forecast only.
    offset, needed
        First step of each series in ``covariates``, and how many of its steps must have values,
        ``num_series``.
    fill
        Whether to carry values over gaps.

    Raises
    ------
    CovariateError
        Naming the first step without a value.
    """
    if not len(names):
        return
    total = covariates.shape[1]
    series = np.repeat(np.arange(rows.num_series), grid.length)
    inside = np.arange(total) - offset[series] < needed[series]
    for name, values in zip(names, covariates, strict=True):
        missing = np.isnan(values)
        if fill and missing.any():
            _carry(values, missing, series, back=role == "known")
            missing = np.isnan(values)
        missing &= inside
        if missing.any():
            place = int(np.flatnonzero(missing)[0])
            _raise_missing(place, name, role, rows, grid, offset, series, fill)


def _carry(
    values: NDArray[np.float32],
    missing: NDArray[np.bool_],
    series: NDArray[np.int64],
    back: bool,
) -> None:
    """Last value forward, then, if ``back``, the first one backward, within each series."""
    place = np.arange(len(values))
    before = np.maximum.accumulate(np.where(missing, -1, place))
    use = (before >= 0) & (series[before] == series)
    values[use] = values[before[use]]
    if not back:
        return
    missing = np.isnan(values)
    after = np.minimum.accumulate(np.where(missing, len(values), place)[::-1])[::-1]
    use = after < len(values)
    use[use] = series[after[use]] == series[use]
    values[use] = values[after[use]]


def _raise_missing(
    place: int,
    name: Hashable,
    role: Role,
    rows: Rows,
    grid: Grid,
    offset: NDArray[np.int64],
    series: NDArray[np.int64],
    fill: bool,
) -> None:
    i = int(series[place])
    step = place - int(offset[i])
    period = grid.frequency.period(int(grid.first[i] + step * grid.frequency.n))
    begin, stop = int(rows.starts[i]), int(rows.stops[i])
    at = np.flatnonzero(grid.step[begin:stop] == step)
    row = rows.label(begin + int(at[0])) if len(at) else None
    found = f"row {show(row)}: the value" if len(at) else "there is no row, so the value"
    advice = (
        _UNFILLED[role]
        if fill
        else f"a {role} covariate needs a value at every step{_UNTIL[role]}; add it, or pass "
        "fill_covariates=True to carry the last known one on"
    )
    raise CovariateError(
        f"{rows.name(i)}, column {show(name)}, {period}, {found} is missing; {advice}",
        series=rows.items[i],
        column=name,
        row=row,
    )
