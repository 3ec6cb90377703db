"""Plots of forecasts in frames, as :class:`tsbnn.Forecaster` gives them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from tsbnn.datasets.columns import as_table, read_numbers, take
from tsbnn.datasets.errors import TargetError
from tsbnn.datasets.timestamps import read_timestamps
from tsbnn.evaluation.epistemic import running_mean
from tsbnn.evaluation.plots.drawing import axes
from tsbnn.evaluation.plots.forecasts import (
    draw_bands,
    draw_epistemic,
    draw_median,
    draw_observed,
    label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_frame(
    forecast: pd.DataFrame,
    history: pd.DataFrame | pd.Series | None = None,
    *,
    series: Hashable = None,
    target: Hashable = None,
    steps_before: int | None = None,
    smooth: int = 5,
    unit: str | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Fan chart of one series of a frame of forecasts, with what came before it and during it.

    Bands lie between ``lo-80`` and ``hi-80`` and so on, and around ``mean`` the epistemic part, as
    :func:`plot_forecast` draws it; but ``epistemic_std`` is floored at each step before it is
    averaged, so that the part is a little wider where it is small.

    Parameters
    ----------
    forecast
        A frame of :meth:`tsbnn.Forecaster.predict` or :meth:`tsbnn.Forecaster.cross_validation`,
        whose latest cutoff is drawn.
    history
        What the forecaster was fitted on, or the like: the same columns of ids and timestamps (or
        dates as the index), and one of the target. Zones may differ; a Series will do.
    series
        The id of the series; not needed where there is one.
    target
        The target's column in ``history``; not needed where this has one column of numbers, or the
        forecasts were cross-validated.
    steps_before
        How many steps before the forecast are drawn; by default twice those of the forecast.
    smooth
        Steps over which the epistemic variance is averaged.
    unit, name, ax
        As in :func:`plot_forecast`.

    Raises
    ------
    ValueError
        If a column is missing, there are several series and none is chosen, the target's column
        is not told, or the history cannot be read.
    """
    if steps_before is not None and steps_before < 0:
        raise ValueError(f"steps_before must be at least 0, not {steps_before}")
    columns = _columns(forecast)
    rows = _of(forecast, columns.item_id, series)
    if columns.cutoff is not None:
        rows = rows[rows[columns.cutoff] == rows[columns.cutoff].max()]
    read = read_timestamps(rows[columns.timestamp], None)
    rows, stamps = rows.iloc[np.argsort(read.stamps)], read.stamps.sort_values()
    item = None if columns.item_id is None else rows[columns.item_id].iloc[0]
    past, observed = None, None
    if columns.actual is not None:
        observed = rows[columns.actual].to_numpy(dtype=np.float64)
    if history is not None:
        values = _values(history, columns, item, target, read.zone)
        past = _before(values, stamps, 2 * len(rows) if steps_before is None else steps_before)
        came = values.reindex(stamps).to_numpy()
        observed = came if observed is None else observed
        observed = None if np.isnan(observed).all() else observed
    ax = axes(ax)
    bounds = {
        float(found[1]) / 100: (rows[column], rows[f"hi-{found[1]}"])
        for column in rows
        if isinstance(column, str) and (found := re.fullmatch(r"lo-([\d.]+)", column))
    }
    draw_bands(ax, stamps, bounds)
    spread = rows["epistemic_std"].to_numpy(dtype=np.float64)
    if not np.isnan(spread).any() and spread.max() > 0:
        draw_epistemic(ax, stamps, rows["mean"], running_mean(spread**2, smooth))
    draw_median(ax, stamps, rows["median"].to_numpy())
    dates = stamps if past is None else past.index.append(stamps)
    before = np.empty(0) if past is None else past.to_numpy()
    draw_observed(ax, dates, before, len(rows), observed)
    label(ax, name or item, unit)
    return ax


class _Columns(NamedTuple):
    """Names of a forecast's columns; None where there is none."""

    item_id: Any
    timestamp: Any
    cutoff: Any
    actual: Any


def _columns(forecast: pd.DataFrame) -> _Columns:
    """Read them off: before ``mean`` stand ids, timestamps, and what cross-validation adds."""
    missing = [name for name in ("mean", "median", "epistemic_std") if name not in forecast]
    names = list(forecast.columns)
    leading = names[: names.index("mean")] if not missing else []
    cutoff, actual = ("cutoff", leading[-1]) if "cutoff" in leading else (None, None)
    leading = leading[: leading.index(cutoff)] if cutoff else leading
    if missing or len(leading) not in (1, 2) or forecast.empty:
        what = f"it has no column {missing[0]!r}" if missing else "its first columns are not known"
        raise ValueError(f"forecast must be a frame of Forecaster.predict: {what}")
    return _Columns(leading[0] if len(leading) == 2 else None, leading[-1], cutoff, actual)


def _of(frame: pd.DataFrame, item_id: Any, series: Hashable) -> pd.DataFrame:
    """The rows of one series."""
    if item_id is None:
        if series is not None:
            raise ValueError(f"there is no series {series!r}: the forecasts have no ids")
        return frame
    ids = take(frame, item_id, "item_id")
    there = ids.unique()
    if series is None and len(there) > 1:
        raise ValueError(f"there are {len(there)} series: choose one, as series={there[0]!r}")
    rows = frame if series is None else frame[(ids == series).to_numpy()]
    if rows.empty:
        raise ValueError(f"there is no series {series!r}; the first is {there[0]!r}")
    return rows


def _values(
    history: pd.DataFrame | pd.Series, columns: _Columns, item: Any, target: Hashable, zone: Any
) -> pd.Series:
    """What was observed of a series, by the time on the forecasts' clock, in order."""
    target = columns.actual if target is None else target
    table = as_table(history, "target" if target is None else target, "history")
    rows = _of(table, columns.item_id, item)
    if columns.timestamp in table or columns.timestamp in table.index.names:
        times = take(rows, columns.timestamp, "timestamp", "history")
    else:
        times = pd.Series(rows.index, index=rows.index, name="index")
    if target is None:
        others = rows.drop(columns=[name for name in columns[:2] if name in rows])
        found = list(others.select_dtypes("number").columns)
        if len(found) != 1:
            raise ValueError(f"history has the columns of numbers {found}: name one as target=")
        target = found[0]
    column = take(rows, target, "target", "history")
    values = read_numbers(column, "target", TargetError, None, "NaN where missing")
    stamps, _, own = read_timestamps(times, None)
    if own is not None and zone is not None:
        stamps = stamps.tz_localize(own).tz_convert(zone).tz_localize(None)
    if stamps.has_duplicates:
        raise ValueError(f"history has two rows at {stamps[stamps.duplicated()][0]}")
    return pd.Series(values, index=stamps).sort_index()


def _before(values: pd.Series, stamps: pd.DatetimeIndex, count: int) -> pd.Series:
    """The steps before a forecast, with gaps as NaN where its own steps tell their grid."""
    freq = pd.infer_freq(stamps) if len(stamps) > 2 else None
    if freq is not None:
        grid = pd.date_range(end=stamps[0], periods=count + 1, freq=freq)[:-1]
        found = values.reindex(grid).loc[values.index.min() :]
        if found.notna().any():
            return found
    return values[values.index < stamps[0]].tail(count)
