"""Plots of forecasts and their calibration: forecasts or arrays in, matplotlib axes out.

Every function draws on the axes that it is given, or on new ones, and returns them. Colours are
those of Okabe and Ito, which people with colour-blindness can tell apart; curves differ in their
dashes as well. ``matplotlib.rc_context(plot_style.style(dark=True))`` makes them fit a dark page.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.calibration import (
    central_interval,
    pit_deviation,
    pit_histogram,
    reliability_curve,
)
from tsbnn.evaluation.epistemic import epistemic_share, epistemic_variance, running_mean
from tsbnn.evaluation.plot_style import curve, ink, page

if TYPE_CHECKING:
    import pandas as pd
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
    ax = _axes(ax)
    samples = getattr(forecast, "samples", None)
    middle = np.asarray(forecast.quantile(0.5), dtype=np.float64)
    steps = len(middle)
    past = np.empty(0) if history is None else np.asarray(history, dtype=np.float64)
    times = _times(forecast.start_date, len(past), steps)
    behind, ahead = times[: len(past)], times[len(past) :]
    widest_first = sorted(intervals, reverse=True)
    for rank, nominal in enumerate(widest_first):
        if samples is None:
            low, high = (forecast.quantile((1 + sign * nominal) / 2) for sign in (-1, 1))
        else:
            low, high = central_interval(samples, nominal)
        _band(ax, ahead, low, high, "C0", 0.22 + 0.18 * rank, _percent(nominal, "interval"))
    variance = epistemic_variance(forecast)
    if variance is not None and variance.max(initial=0.0) > 0:
        reach = _NINETY * np.sqrt(np.maximum(running_mean(variance, smooth), 0.0))
        mean = np.asarray(forecast.mean, dtype=np.float64)
        _band(ax, ahead, mean - reach, mean + reach, "C1", 0.6, "epistemic part")
    ax.plot(ahead, middle, color="C0", label="median", marker="o" if steps == 1 else None)
    labels = np.full(steps, np.nan) if observed is None else np.asarray(observed, np.float64)
    if labels.shape != (steps,):
        raise ValueError(f"labels of shape {labels.shape} do not fit a forecast of {steps} steps")
    if len(past) or observed is not None:
        ax.plot(behind, past, color=ink(), linewidth=1.1, alpha=0.75)
        ax.plot(
            ahead, labels, color=ink(), linewidth=0.8, marker="o", markersize=2.6, label="observed"
        )
    half = (times[-1] - times[0]) / max(1, 2 * (len(times) - 1))
    if len(past):
        ax.axvline(ahead[0] - half, color=ink(), linewidth=0.8, linestyle=":")
    if len(times) > 1:
        ax.set_xlim(times[0], times[-1] + half)
    series = name or getattr(forecast, "item_id", None) or "target"
    ax.set_ylabel(f"{series} ({unit})" if unit else str(series))
    _date_axis(ax)
    return ax


def plot_reliability(pits: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """How often labels fell below each forecast quantile, against how often they should have.

    On the diagonal a model is calibrated. A curve that is flat in the middle tells of forecasts
    that are too narrow, one that is steep there of too wide ones, and one that lies below the
    diagonal of forecasts that are too low.

    Parameters
    ----------
    pits
        PIT of the labels (any shape, NaN where unobserved) by name of the model.
    ax
        Where to draw; new axes if None.
    """
    ax = _axes(ax)
    ax.plot([0, 1], [0, 1], color=ink(), linewidth=0.8, linestyle=":", label="calibrated")
    for place, (name, values) in enumerate(pits.items()):
        nominal, empirical = reliability_curve(values)
        ax.plot(
            nominal,
            empirical,
            **curve(place),
            markevery=(place % 4, 4),
            label=name,
        )
    ax.set(xlabel="forecast probability", ylabel="observed frequency", xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal")
    ax.legend(loc="upper left")
    return ax


def plot_pit(
    values: ArrayLike, *, bins: int = 20, top: float | None = None, ax: Axes | None = None
) -> Axes:
    """Histogram of the PIT: flat for a calibrated forecast, ∪ if too narrow, ∩ if too wide.

    Parameters
    ----------
    values
        PIT of the labels, any shape; NaN where unobserved.
    bins
        Number of bins.
    top
        Upper end of the density axis, so that several plots compare.
    ax
        Where to draw; new axes if None.
    """
    ax = _axes(ax)
    density, edges = pit_histogram(values, bins)
    ax.bar(edges[:-1], density, np.diff(edges), align="edge", color="C0", edgecolor=page())
    ax.axhline(1.0, color=ink(), linewidth=1.0, linestyle="--")
    deviation = pit_deviation(values, bins)
    ax.set_title(f"mean deviation {deviation.mean_absolute:.2f}", fontsize=9.5)
    ax.set(xlabel="probability integral transform", ylabel="density", xlim=(0, 1))
    ax.set_ylim(0, top if top is not None else max(2.0, 1.08 * float(density.max())))
    ax.grid(visible=False, axis="x")
    return ax


def plot_epistemic_share(forecasts: Mapping[str, Sequence[Any]], *, ax: Axes | None = None) -> Axes:
    """Share of the predictive variance that comes from not knowing the weights, by lead time.

    The lines are :func:`epistemic_share`, the bands reach one standard error to each side.

    Parameters
    ----------
    forecasts
        Forecasts with ``epistemic_variance`` and ``total_std`` by name of the model; those that
        have none of it are left out.
    ax
        Where to draw; new axes if None.

    Raises
    ------
    ValueError
        If no forecast knows its epistemic variance.
    """
    from matplotlib.ticker import MaxNLocator

    ax = _axes(ax)
    drawn = 0
    for place, (name, group) in enumerate(forecasts.items()):
        known = [f for f in group if epistemic_variance(f) is not None]
        if not known:
            continue
        share, error = epistemic_share(known)
        lead = np.arange(1, len(share) + 1)
        _band(ax, lead, share - error, share + error, f"C{place}", 0.2, "")
        ax.plot(lead, share, **curve(place), label=name)
        drawn += 1
    if not drawn:
        raise ValueError("no forecast has an epistemic variance: none comes from weight draws")
    ax.axhline(0.0, color=ink(), linewidth=0.8)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="lead time (steps)", ylabel="epistemic share of variance")
    ax.legend()
    return ax


def plot_differences(
    names: Sequence[str],
    differences: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    label: str,
    ax: Axes | None = None,
) -> Axes:
    """Differences with their intervals, one row each; an interval without 0 is a clear one.

    Parameters
    ----------
    names
        What each row compares.
    differences, lower, upper
        Difference and the ends of its interval, ``num_rows``.
    label
        What is compared, with its unit, for the axis.
    ax
        Where to draw; new axes if None.
    """
    ax = _axes(ax)
    middle, low, high = (np.asarray(a, dtype=np.float64) for a in (differences, lower, upper))
    rows = np.arange(len(names))[::-1]
    for row, at, left, right in zip(rows, middle, low, high, strict=True):
        colour = "C0" if right < 0 else "C1" if left > 0 else "C6"
        marker = "o" if colour != "C6" else "D"
        ax.plot([left, right], [row, row], color=colour, linewidth=2.4, solid_capstyle="round")
        ax.plot([at], [row], color=colour, marker=marker, markersize=6)
    ax.axvline(0.0, color=ink(), linewidth=1.0)
    ax.set_yticks(rows, list(names))
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlabel(label)
    ax.grid(visible=False, axis="y")
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def _percent(share: float, what: str) -> str:
    return f"{100 * share:g} % {what}"


def _band(
    ax: Axes, at: Any, low: ArrayLike, high: ArrayLike, colour: str, alpha: float, label: str
) -> None:
    """Shaded area; a bar where there is one time only, which an area would not show."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if len(low) > 1:
        ax.fill_between(at, low, high, color=colour, alpha=alpha, linewidth=0, label=label)
    else:
        ax.vlines(at, low, high, color=colour, alpha=alpha, linewidth=14, label=label)


def _times(first: pd.Period, before: int, steps: int) -> Any:
    """Beginnings of the periods before a forecast, then of its own."""
    import pandas as pd

    with warnings.catch_warnings():
        # pandas 3 will count business days otherwise; GluonTS's periods are those of pandas 2.
        warnings.filterwarnings("ignore", r"Period(Dtype\[B\]| with BDay)", FutureWarning)
        periods = pd.period_range(first - before, periods=before + steps, freq=first.freq)
        return periods.to_timestamp().to_numpy()


def _date_axis(ax: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
