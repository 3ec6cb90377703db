"""From a pandas frame to a GluonTS dataset: sorted, regular, gaps as NaN, every oddity named."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.columns import as_table, check_roles, read_items, read_numbers, take
from tsbnn.datasets.covariates import (
    check_follows,
    complete_covariates,
    number_future_items,
    of_future_frame,
    split_horizon,
)
from tsbnn.datasets.errors import ColumnError, CovariateError, MissingTargetError, TargetError
from tsbnn.datasets.frame_dataset import ColumnNames, FrameDataset
from tsbnn.datasets.grid import Grid, lay_grid, resolve_frequency
from tsbnn.datasets.inferring import check_duplicates
from tsbnn.datasets.precision import Loss, find_loss, warn_of_losses
from tsbnn.datasets.rows import Rows, others, show, sort_rows
from tsbnn.datasets.schema import find_item_id, find_target, find_timestamp
from tsbnn.datasets.statics import read_statics
from tsbnn.datasets.timestamps import read_timestamps


@dataclass(frozen=True)
class _Columns:
    """What is read from one frame, in the frame's own order of rows."""

    ids: pd.Series | None
    timestamp: Hashable
    stamps: pd.DatetimeIndex
    freq: object
    known: list[NDArray[np.float64]]
    past: list[NDArray[np.float64]]
    time_zone: Any


def from_frame(
    df: pd.DataFrame | pd.Series,
    *,
    item_id: Hashable = None,
    timestamp: Hashable = None,
    target: Hashable = None,
    freq: str | pd.offsets.BaseOffset | None = None,
    known_covariates: Hashable | Sequence[Hashable] = (),
    past_covariates: Hashable | Sequence[Hashable] = (),
    static_features: Hashable | Sequence[Hashable] = (),
    future_covariates: pd.DataFrame | None = None,
    prediction_length: int | None = None,
    static_categories: Mapping[Any, Iterable[Any]] | None = None,
    fill_covariates: bool = False,
) -> FrameDataset:
    """Turn a frame into a GluonTS dataset.

    The frame has one row per time step of a series: all series below one another, told apart by the
    column ``item_id``, or a single series. Rows may come in any order. Each series becomes a
    regular grid from its first to its last row; steps without a row, and missing targets, are NaN:
    unobserved, not zero. The frame itself is not changed.

    Parameters
    ----------
    df
        The frame, or a Series of targets with dates as its index.
    item_id
        Column (or index level) that names the series. None takes "item_id" or "unique_id" if there
        is one; else the frame is a single series.
    timestamp
        Column or index level with dates, periods, or text such as "2012-01-31". None takes the
        index if it holds dates, else the column "timestamp" or "ds". UTC and fixed offsets are
        dropped; zones with clock changes are refused.
    target
        Column to forecast, in its own units: numbers, NaN where missing. None takes "target" or
        "y".
    freq
        Frequency in either vocabulary of pandas ("h" or "H", "MS", "ME" or "M", "W-MON", "15min").
        Starts and ends of months, quarters and years mean the same periods. None infers it over all
        series.
    known_covariates
        Numeric columns known ahead (calendar, prices), passed on unscaled as ``feat_dynamic_real``.
    past_covariates
        Numeric columns known up to the forecast's start only (weather as measured, other sales),
        passed on unscaled as ``past_feat_dynamic_real``. Values after the target's end are not
        used: rows of the future need none.
    static_features
        Columns with one value per series. Numbers (integers too) become ``feat_static_real``; text,
        booleans and pandas categoricals become codes in ``feat_static_cat``.
    future_covariates
        Rows after each series' last one with ``item_id``, ``timestamp`` and the known covariates.
        Without it, rows at a series' end whose target is missing are its future: they hold
        covariates only, and the target ends before them. With ``prediction_length``, missing
        targets at steps where another series, whose rows end at the same time, has values are a gap
        of the target instead.
    prediction_length
        Steps that the known covariates must reach beyond the target; they are cut to exactly these.
        Leave it out for a frame to train on.
    static_categories
        ``static_categories`` of the dataset that a model was trained on, so that codes agree.
    fill_covariates
        Carry a covariate's last known value into steps where it is missing, instead of raising; a
        known covariate's first one also back to the series' start.

    Returns
    -------
    FrameDataset
        A GluonTS dataset; ``freq``, ``num_feat_dynamic_real``, ``cardinality`` and so on are what
        estimators ask for.

    Raises
    ------
    FrameError
        A ``ValueError`` whose subclasses say what is wrong, and whose message and attributes name
        series, column, row and value: see :mod:`tsbnn.datasets.errors`.
    TypeError
        If ``df`` or ``future_covariates`` is no frame.

    Warns
    -----
    UserWarning
        Where a series' values are alike in float32 at more than a tenth of its steps though they
        differ (123456789.4 and 123456789.8), or become 0; naming the worst series and its column.

    Examples
    --------
    >>> frame = pd.DataFrame(
    ...     {"day": ["2024-01-03", "2024-01-01", "2024-01-04"], "sales": [3, 1, 4]}
    ... )
    >>> next(iter(from_frame(frame, timestamp="day", target="sales", freq="D")))["target"]
    array([ 1., nan,  3.,  4.], dtype=float32)
    """
    known, past = _names(known_covariates), _names(past_covariates)
    static = _names(static_features)
    if prediction_length is not None and prediction_length < 1:
        raise ValueError(f"prediction_length={prediction_length}: it must be at least 1")
    if not known and future_covariates is not None:
        raise ColumnError(
            "future_covariates is about known covariates: name their columns in "
            "known_covariates=(...)"
        )
    if not known and not past and fill_covariates:
        raise ColumnError(
            "fill_covariates is about covariates: name their columns in known_covariates=(...) or "
            "past_covariates=(...)"
        )
    check_roles([("item_id", item_id), ("timestamp", timestamp), ("target", target)])
    target = find_target(df, target)
    table = as_table(df, target, "df")
    item_id, timestamp = find_item_id(table, item_id), find_timestamp(table, timestamp)
    check_roles(
        [("item_id", item_id), ("timestamp", timestamp), ("target", target)]
        + [("known_covariates", name) for name in known]
        + [("past_covariates", name) for name in past]
        + [("static_features", name) for name in static]
    )
    static_columns = [take(table, name, "static_features") for name in static]
    target_column = take(table, target, "target")
    read = _read(table, "df", item_id, timestamp, known, past)
    series, items = read_items(read.ids, len(table), table.index)
    values = read_numbers(target_column, "target", TargetError, read.ids, "NaN where missing")
    rows = sort_rows(
        series, read.stamps, items, (table.index,), read.timestamp, item_id is not None
    )
    check_duplicates(rows)
    _check_observed(values, series, rows, target)
    grid = lay_grid(rows, resolve_frequency(rows, read.freq if freq is None else freq))
    statics = read_statics(static_columns, rows, read.ids, static_categories or {})
    past_length, known_columns, past_columns = None, read.known, read.past
    if future_covariates is not None:
        past_length = grid.length
        ahead_table = as_table(future_covariates, target, "future_covariates")
        with of_future_frame():
            ahead = _read(ahead_table, "future_covariates", item_id, timestamp, known, ())
        more = number_future_items(ahead.ids, len(ahead_table), items)
        rows = sort_rows(
            np.concatenate([series, more]),
            pd.DatetimeIndex(read.stamps.append(ahead.stamps)),
            items,
            (table.index, ahead_table.index),
            read.timestamp,
            item_id is not None,
        )
        check_follows(rows, len(table))
        grid = lay_grid(rows, grid.frequency)
        nothing = np.full(len(more), np.nan)
        values = np.concatenate([values, nothing])
        known_columns = [np.concatenate(pair) for pair in zip(read.known, ahead.known, strict=True)]
        past_columns = [np.concatenate([column, nothing]) for column in read.past]

    offset = np.cumsum(grid.length) - grid.length
    slots = offset[rows.series] + grid.step
    losses: list[Loss] = []
    targets = _spread((target,), [values], rows, slots, grid, losses)[0]
    observed_until = np.zeros(len(items), dtype=np.int64)
    seen = ~np.isnan(values[rows.order])
    np.maximum.at(observed_until, rows.series[seen], grid.step[seen] + 1)
    length, horizon = split_horizon(
        rows, grid, observed_until, past_length, len(known), prediction_length
    )
    dynamic = _spread(known, known_columns, rows, slots, grid, losses)
    past_dynamic = _spread(past, past_columns, rows, slots, grid, losses)
    end, fill = length + horizon, fill_covariates
    complete_covariates(dynamic, known, "known", rows, grid, offset, end, fill)
    complete_covariates(past_dynamic, past, "past", rows, grid, offset, length, fill)
    warn_of_losses(losses, rows)
    return FrameDataset(
        frequency=grid.frequency,
        item_ids=items,
        known_covariates=known,
        past_covariates=past,
        static_categories=statics.categories,
        static_reals=statics.real,
        columns=ColumnNames(item_id, timestamp, target),
        fill_covariates=fill_covariates,
        time_zone=read.time_zone,
        info={"target": target},
        _first=grid.first,
        _offset=offset,
        _steps=grid.length,
        _length=length,
        _horizon=horizon,
        _places=grid.places,
        _target=targets,
        _known=dynamic,
        _past=past_dynamic,
        _codes=statics.codes,
        _numbers=statics.numbers,
    )


def _names(names: Hashable | Sequence[Hashable]) -> tuple[Hashable, ...]:
    """One column name or several."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        return (names,)
    return tuple(names)


def _read(
    table: pd.DataFrame,
    argument: str,
    item_id: Hashable,
    timestamp: Hashable,
    known: tuple[Hashable, ...],
    past: tuple[Hashable, ...],
) -> _Columns:
    """Series, timestamps and covariates of a frame."""
    ids = None if item_id is None else take(table, item_id, "item_id", argument)
    name = "index" if timestamp is None else timestamp
    if timestamp is None:
        times = pd.Series(table.index, index=table.index, name=name)
    else:
        times = take(table, timestamp, "timestamp", argument)
    known_columns = [take(table, column, "known_covariates", argument) for column in known]
    past_columns = [take(table, column, "past_covariates", argument) for column in past]
    stamps, freq, zone = read_timestamps(times, ids)

    def numbers(columns: list[pd.Series], role: str, needed: str) -> list[NDArray[np.float64]]:
        return [read_numbers(column, role, CovariateError, ids, needed) for column in columns]

    known_numbers = numbers(known_columns, "known covariate", "known at every step")
    past_numbers = numbers(past_columns, "past covariate", "known at every step of the target")
    return _Columns(ids, name, stamps, freq, known_numbers, past_numbers, zone)


def _check_observed(
    values: NDArray[np.float64], series: NDArray[np.integer], rows: Rows, target: Hashable
) -> None:
    count = np.bincount(series[~np.isnan(values)], minlength=rows.num_series)
    empty = np.flatnonzero(count == 0)
    if not len(empty):
        return
    i = int(empty[0])
    size = int(rows.stops[i] - rows.starts[i])
    raise MissingTargetError(
        f"{rows.name(i)}, column {show(target)}: all {size} targets are missing, from "
        f"{show(rows.stamp(int(rows.starts[i])))} to "
        f"{show(rows.stamp(int(rows.stops[i] - 1)))}{others(len(empty), 'series')}; a series "
        "needs at least one observed value: drop the series",
        series=rows.items[i],
        column=target,
        row=rows.label(int(rows.starts[i])),
    )


def _spread(
    names: tuple[Hashable, ...],
    columns: list[NDArray[np.float64]],
    rows: Rows,
    slots: NDArray[np.int64],
    grid: Grid,
    losses: list[Loss],
) -> NDArray[np.float32]:
    """Columns on the steps of all series laid end to end, NaN between rows.

    What float32 loses of them is added to ``losses``.
    """
    result = np.full((len(columns), int(grid.length.sum())), np.nan, dtype=np.float32)
    for name, values, column in zip(names, result, columns, strict=True):
        exact = column[rows.order]
        single = exact.astype(np.float32)
        values[slots] = single
        loss = find_loss(name, exact, single, rows)
        if loss is not None:
            losses.append(loss)
    return result
