"""Plots of one forecast in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.calibration import central_interval
from tsbnn.evaluation.epistemic import epistemic_variance, running_mean
from tsbnn.evaluation.plot_style import ink
from tsbnn.evaluation.plots.drawing import axes, band, date_axis, percent, times
from tsbnn.evaluation.shapes import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Half-width of a central 90 % interval of a Normal, in standard deviations.
_NINETY = 1.6448536269514722


def plot_forecast(
    forecast: Any,
    *,
    observed: ArrayLike | None = None,
    history: ArrayLike | None = None,
    intervals: Sequence[float] = (0.5, 0.9),
    smooth: int = 5,
    unit: str | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Fan chart of one forecast; what the model does not know is shaded apart.

    Central intervals of the paths lie behind the median. A forecast with an
    ``epistemic_variance`` :math:`v` (over weight draws, in squared target units) gets one band
    more around the paths' mean: :math:`\pm 1.645 \sqrt{\max(\bar v, 0)}`, where 90 % of the
    posterior's networks see their mean. A few paths per draw tell :math:`v` with much noise, so
    :math:`\bar v` is its running mean over ``smooth`` steps, not floored before; one path per
    draw does not tell it at all, and there is no such band.

    Parameters
    ----------
    forecast
        A GluonTS forecast: ``start_date`` and ``samples`` (``num_samples x time``), or at least
        ``quantile``.
    observed
        Labels in target units, ``time``; NaN where unobserved.
    history
        What came right before the forecast, in target units, any length.
    intervals
        Nominal coverages of the bands.
    smooth
        Steps over which the epistemic variance is averaged; 1 leaves it as it is.
    unit
        Unit of the target, for the axis.
    name
        Name of the series, for the axis; the forecast's ``item_id`` if None.
    ax
        Where to draw; new axes if None.

    Raises
    ------
    ValueError
        If the labels are not as long as the forecast, or a coverage does not lie between 0 and 1.
    """
    ax = axes(ax)
    samples = getattr(forecast, "samples", None)
    middle = np.asarray(forecast.quantile(0.5), dtype=np.float64)
    steps = len(middle)
    past = np.empty(0) if history is None else np.asarray(history, dtype=np.float64)
    dates = times(forecast.start_date, len(past), steps)
    ahead = dates[len(past) :]
    bounds = {}
    for nominal in intervals:
        if samples is None:
            low, high = (forecast.quantile((1 + sign * nominal) / 2) for sign in (-1, 1))
        else:
            low, high = central_interval(samples, nominal)
        bounds[nominal] = (low, high)
    draw_bands(ax, ahead, bounds)
    variance = epistemic_variance(forecast)
    if variance is not None and variance.max(initial=0.0) > 0:
        draw_epistemic(ax, ahead, forecast.mean, running_mean(variance, smooth))
    draw_median(ax, ahead, middle)
    draw_observed(ax, dates, past, steps, observed)
    label(ax, name or getattr(forecast, "item_id", None), unit)
    return ax


def draw_bands(ax: Axes, at: Any, bounds: Mapping[float, tuple[ArrayLike, ArrayLike]]) -> None:
    """Draw central intervals, by nominal coverage, the widest behind."""
    for rank, nominal in enumerate(sorted(bounds, reverse=True)):
        shade = 0.22 + 0.18 * rank
        band(ax, at, *bounds[nominal], "C0", shade, percent(nominal, "interval"))


def draw_epistemic(ax: Axes, at: Any, mean: ArrayLike, variance: Array) -> None:
    """Shade where 90 % of the posterior's networks see their mean."""
    middle = np.asarray(mean, dtype=np.float64)
    reach = _NINETY * np.sqrt(np.maximum(variance, 0.0))
    band(ax, at, middle - reach, middle + reach, "C1", 0.6, "epistemic part")


def draw_median(ax: Axes, at: Any, middle: Array) -> None:
    """Draw the median, in front of the bands."""
    ax.plot(at, middle, color="C0", label="median", marker="o" if len(middle) == 1 else None)


def plot_paths(
    forecast: Any,
    *,
    count: int = 20,
    observed: ArrayLike | None = None,
    history: ArrayLike | None = None,
    unit: str | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Sample paths of one forecast: what a series might do, step after step.

    A fan chart shows each time on its own; paths show how times hang together. Of a forecast with
    a ``draw_index`` they come from as many weight draws as there are, in turn.

    Parameters
    ----------
    forecast
        A GluonTS sample forecast: ``start_date`` and ``samples`` (``num_samples x time``).
    count
        Paths to draw, all if there are fewer.
    observed, history, unit, name, ax
        As in :func:`plot_forecast`.

    Raises
    ------
    ValueError
        If the labels are not as long as the forecast, or ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count!r}")
    ax = axes(ax)
    paths = np.asarray(forecast.samples, dtype=np.float64)
    draws = np.asarray(getattr(forecast, "draw_index", np.zeros(len(paths), dtype=int)))
    # The first path of each draw, then the second of each, and so on.
    turn = np.array([np.sum(draws[:place] == draw) for place, draw in enumerate(draws)])
    chosen = paths[np.lexsort([draws, turn])[:count]]
    past = np.empty(0) if history is None else np.asarray(history, dtype=np.float64)
    dates = times(forecast.start_date, len(past), paths.shape[1])
    look: dict[str, Any] = {"color": "C0", "linewidth": 0.9, "alpha": 0.55}
    if paths.shape[1] == 1:
        look |= {"marker": "o", "linestyle": "none"}
    for place, path in enumerate(chosen):
        ax.plot(dates[len(past) :], path, **look, label="_path" if place else "sample paths")
    draw_observed(ax, dates, past, paths.shape[1], observed)
    label(ax, name or getattr(forecast, "item_id", None), unit)
    return ax


def draw_observed(
    ax: Axes, dates: Any, past: Array, steps: int, observed: ArrayLike | None
) -> None:
    """Draw what was observed before and during the forecast, and mark where this begins."""
    labels = np.full(steps, np.nan) if observed is None else np.asarray(observed, np.float64)
    if labels.shape != (steps,):
        raise ValueError(f"labels of shape {labels.shape} do not fit a forecast of {steps} steps")
    behind, ahead = dates[: len(past)], dates[len(past) :]
    if len(past) or observed is not None:
        ax.plot(behind, past, color=ink(), linewidth=1.1, alpha=0.75)
        ax.plot(
            ahead, labels, color=ink(), linewidth=0.8, marker="o", markersize=2.6, label="observed"
        )
    half = (dates[-1] - dates[0]) / max(1, 2 * (len(dates) - 1))
    if len(past):
        ax.axvline(ahead[0] - half, color=ink(), linewidth=0.8, linestyle=":")
    if len(dates) > 1:
        ax.set_xlim(dates[0], dates[-1] + half)


def label(ax: Axes, series: Any, unit: str | None) -> None:
    """Name the series, or the target, with its unit, and write short dates."""
    what = "target" if series is None else str(series)
    ax.set_ylabel(f"{what} ({unit})" if unit else what)
    date_axis(ax)
