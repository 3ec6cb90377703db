"""Plots of forecasts in frames, as :class:`tsbnn.Forecaster` gives them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from tsbnn.evaluation.epistemic import running_mean
from tsbnn.evaluation.plots.drawing import axes
from tsbnn.evaluation.plots.forecasts import draw_epistemic, draw_fan, draw_observed, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_frame(
    forecast: pd.DataFrame,
    history: pd.DataFrame | None = None,
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
        A frame with the same columns of ids and timestamps, and one of the target.
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
        If a column is missing, there are several series and none is chosen, or the target's column
        is not told.
    """
    columns = _columns(forecast, target)
    rows = _of(forecast, columns, series)
    if columns.cutoff is not None:
        rows = rows[rows[columns.cutoff] == rows[columns.cutoff].max()]
    rows = rows.sort_values(columns.timestamp)
    stamps, past, observed = _stamps(rows, columns), None, None
    if columns.target is not None and columns.target in rows:
        observed = rows[columns.target].to_numpy(dtype=np.float64)
    if history is not None:
        known = _of(history, columns, rows[columns.item_id].iloc[0] if columns.item_id else None)
        values = known[_target(known, columns)].astype(np.float64)
        values.index = _stamps(known, columns)
        values = values.sort_index()
        count = 2 * len(rows) if steps_before is None else steps_before
        past = _before(values, stamps, count)
        came = values.reindex(stamps).to_numpy()
        observed = came if observed is None else observed
        observed = None if np.isnan(observed).all() else observed
    ax = axes(ax)
    bounds = {
        float(found[1]) / 100: (rows[column], rows[f"hi-{found[1]}"])
        for column in rows
        if isinstance(column, str) and (found := re.fullmatch(r"lo-([\d.]+)", column))
    }
    draw_fan(ax, stamps, rows["median"].to_numpy(), bounds)
    spread = rows["epistemic_std"].to_numpy(dtype=np.float64)
    if not np.isnan(spread).any() and spread.max() > 0:
        draw_epistemic(ax, stamps, rows["mean"], running_mean(spread**2, smooth))
    dates = stamps if past is None else past.index.append(stamps)
    before = np.empty(0) if past is None else past.to_numpy()
    draw_observed(ax, dates, before, len(rows), observed)
    label(ax, name or (None if columns.item_id is None else rows[columns.item_id].iloc[0]), unit)
    return ax


class _Columns(NamedTuple):
    """Names of a forecast's columns; None where there is none."""

    item_id: Any
    timestamp: Any
    cutoff: Any
    target: Any


def _columns(forecast: pd.DataFrame, target: Hashable) -> _Columns:
    """Read them off: before ``mean`` stand ids, timestamps, and what cross-validation adds."""
    missing = [name for name in ("mean", "median", "epistemic_std") if name not in forecast]
    names = list(forecast.columns)
    leading = names[: names.index("mean")] if not missing else []
    cutoff = "cutoff" if "cutoff" in leading else None
    if cutoff is not None:
        target, leading = leading[-1], leading[: leading.index(cutoff)]
    if missing or len(leading) not in (1, 2) or forecast.empty:
        what = f"it has no column {missing[0]!r}" if missing else "its first columns are not known"
        raise ValueError(f"forecast must be a frame of Forecaster.predict: {what}")
    return _Columns(leading[0] if len(leading) == 2 else None, leading[-1], cutoff, target)


def _of(frame: pd.DataFrame, columns: _Columns, series: Hashable) -> pd.DataFrame:
    """The rows of one series."""
    for name in (columns.item_id, columns.timestamp):
        if name is not None and name not in frame:
            raise ValueError(f"history has no column {name!r}, which the forecasts have")
    if columns.item_id is None:
        return frame
    there = frame[columns.item_id].unique()
    if series is None and len(there) > 1:
        raise ValueError(f"there are {len(there)} series: choose one, as series={there[0]!r}")
    rows = frame if series is None else frame[frame[columns.item_id] == series]
    if rows.empty:
        raise ValueError(f"there is no series {series!r}; the first is {there[0]!r}")
    return rows


def _before(values: pd.Series, stamps: pd.DatetimeIndex, count: int) -> pd.Series:
    """The steps before a forecast, with gaps as NaN where its own steps tell their grid."""
    freq = pd.infer_freq(stamps) if len(stamps) > 2 else None
    if freq is not None:
        grid = pd.date_range(end=stamps[0], periods=count + 1, freq=freq)[:-1]
        found = values.reindex(grid).loc[values.index.min() :]
        if found.notna().any():
            return found
    return values[values.index < stamps[0]].tail(count)


def _target(history: pd.DataFrame, columns: _Columns) -> Any:
    if columns.target is not None:
        return columns.target
    numbers = history.drop(columns=[c for c in columns[:2] if c is not None])
    found = list(numbers.select_dtypes("number").columns)
    if len(found) != 1:
        raise ValueError(f"history has the columns of numbers {found}: name one as target=")
    return found[0]


def _stamps(rows: pd.DataFrame, columns: _Columns) -> pd.DatetimeIndex:
    """Clock times."""
    return pd.DatetimeIndex(pd.to_datetime(rows[columns.timestamp])).tz_localize(None)
