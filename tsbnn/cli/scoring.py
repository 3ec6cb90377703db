"""Scores of one model's forecasts, as far as its columns tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsbnn.cli.forecast_frames import Array, Forecasts

if TYPE_CHECKING:
    from tsbnn.cli.matching import Table
    from tsbnn.datasets import FrameDataset


def scores(actual: Array, model: Forecasts, scale: Array | None) -> dict[str, float]:
    """Scores over the rows with an actual value; see :mod:`tsbnn.evaluation.scores`.

    Parameters
    ----------
    actual
        ``rows``, NaN where nothing was observed.
    model
        The forecasts.
    scale
        Seasonal error of each row's history, for MASE.

    Returns
    -------
    dict
        Values by metric: ``crps`` of samples; ``mean_wql`` of two quantiles and more; ``nd`` and
        ``mase`` of the median, ``rmse`` of the mean; ``coverage_…``, ``width_…`` and
        ``interval_score_…`` of intervals, by percent.
    """
    from tsbnn.evaluation import (
        crps,
        interval_score,
        mean_wql,
        nd,
        rmse,
    )
    from tsbnn.evaluation.calibration import inside
    from tsbnn.evaluation.scores import scaled_absolute_error

    found: dict[str, float] = {}
    if model.samples is not None:
        found["crps"] = crps(actual, model.samples.T)
    levels = wql_levels(model)
    if len(levels) > 1:
        quantiles = np.stack([model.quantiles[level] for level in levels])
        found["mean_wql"] = mean_wql(actual, quantiles, levels)
    point = model.median
    if point is not None:
        found["nd"] = nd(actual, point)
        if scale is not None:
            scaled = scaled_absolute_error(actual[:, None], point[:, None], scale)
            found["mase"] = float(np.nanmean(scaled)) if np.isfinite(scaled).any() else np.nan
    if model.mean is not None:
        found["rmse"] = rmse(actual, model.mean)
    known = ~np.isnan(actual)
    for coverage in sorted(model.bounds):
        lower, upper = model.bounds[coverage]
        percent = f"{100 * coverage:g}"
        found[f"coverage_{percent}"] = float(np.nanmean(inside(actual, lower, upper)))
        found[f"width_{percent}"] = float(np.mean((upper - lower)[known]))
        found[f"interval_score_{percent}"] = float(
            np.nanmean(interval_score(actual, lower, upper, coverage))
        )
    return found


def wql_levels(model: Forecasts) -> tuple[float, ...]:
    """Levels that ``mean_wql`` is over: 0.1 to 0.9 if they are there, else all there are."""
    from tsbnn.evaluation.scores import QUANTILE_LEVELS

    if all(level in model.quantiles for level in QUANTILE_LEVELS):
        return QUANTILE_LEVELS
    return tuple(sorted(model.quantiles))


def seasonal_scale(forecasts: Table, history: FrameDataset, season: int) -> Array:
    """Seasonal error of the history before each row's forecast, ``rows``.

    A history ends before the first row of its series and cutoff. NaN for series without one.
    """
    from tsbnn.evaluation import seasonal_error

    longest = int(history.lengths.max())
    stamps = history.timestamps(-longest, longest)
    names = ["" if item is None else str(item) for item in history.item_ids]
    place = {name: number for number, name in enumerate(names)}
    keys = forecasts.keys
    by = ["item", "cutoff"] if "cutoff" in keys else ["item"]
    result = np.full(len(keys), np.nan)
    for name, rows in keys.groupby(by, sort=False).indices.items():
        item = name[0] if isinstance(name, tuple) else name
        if item not in place:
            continue
        number = place[item]
        target = history[number]["target"]
        first = keys["stamp"].to_numpy()[rows].min()
        steps = int(np.sum(stamps[number, longest - len(target) :] < first))
        if steps > 1:
            result[rows] = seasonal_error(target[:steps], season)
    return result
