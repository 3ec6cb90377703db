"""Plots of calibration: do probabilities mean what they say, and at what width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.calibration import (
    pit_deviation,
    pit_histogram,
    reliability_curve,
    reliability_interval,
)
from tsbnn.evaluation.plot_style import curve, ink, page
from tsbnn.evaluation.plots.drawing import axes, band

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_reliability(
    pits: Mapping[str, ArrayLike], *, confidence: float | None = None, ax: Axes | None = None
) -> Axes:
    """How often labels fell below each forecast quantile, against how often they should have.

    On the diagonal a model is calibrated. A curve that is flat in the middle tells of forecasts
    that are too narrow, one that is steep there of too wide ones, and one that lies below the
    diagonal of forecasts that are too low.

    Parameters
    ----------
    pits
        PIT of the labels (any shape, NaN where unobserved) by name of the model.
    confidence
        Nominal coverage of a band around each curve, from resampling windows: PIT values must then
        be ``batch... x num_windows x time``. No band if None.
    ax
        Where to draw; new axes if None.
    """
    ax = axes(ax)
    ax.plot([0, 1], [0, 1], color=ink(), linewidth=0.8, linestyle=":", label="calibrated")
    for place, (name, values) in enumerate(pits.items()):
        nominal, empirical = reliability_curve(values)
        if confidence is not None:
            low, high = reliability_interval(values, nominal, confidence=confidence)
            band(ax, nominal, low, high, f"C{place}", 0.18, "")
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
    ax = axes(ax)
    density, edges = pit_histogram(values, bins)
    ax.bar(edges[:-1], density, np.diff(edges), align="edge", color="C0", edgecolor=page())
    ax.axhline(1.0, color=ink(), linewidth=1.0, linestyle="--")
    deviation = pit_deviation(values, bins)
    ax.set_title(f"mean deviation {deviation.mean_absolute:.2f}", fontsize=9.5)
    ax.set(xlabel="probability integral transform", ylabel="density", xlim=(0, 1))
    ax.set_ylim(0, top if top is not None else max(2.0, 1.08 * float(density.max())))
    ax.grid(visible=False, axis="x")
    return ax


def plot_sharpness(coverages: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Width of central intervals against how often they hold the label, a curve for each model.

    Where a model's marker is left of the dotted line of its nominal coverage its intervals hold
    the label too rarely. Of two markers on their line the lower one is the better.

    Parameters
    ----------
    coverages
        Columns ``model, nominal, coverage, low, high, width``, as
        :func:`tsbnn.evaluation.coverage_intervals` gives them; the bars reach from low to high.
    ax
        Where to draw; new axes if None.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    columns = ("model", "nominal", "coverage", "low", "high", "width")
    if missing := [name for name in columns if name not in coverages]:
        raise ValueError(f"coverages lack {', '.join(missing)}: coverage_intervals gives them")
    ax = axes(ax)
    nominal = sorted(coverages["nominal"].unique())
    for level in nominal:
        ax.axvline(100 * level, color=ink(), linewidth=0.8, linestyle=":", zorder=1)
    for place, (model, found) in enumerate(coverages.groupby("model", sort=False)):
        found = found.sort_values("nominal")
        at, low, high = (100 * found[name].to_numpy() for name in ("coverage", "low", "high"))
        errors = np.maximum([at - low, high - at], 0.0)
        ax.errorbar(
            at,
            found["width"].to_numpy(),
            xerr=errors,
            **curve(place),
            elinewidth=1.2,
            capsize=2,
            label=model,
        )
    ax.set_xticks([100 * level for level in nominal], [f"{100 * level:g}" for level in nominal])
    ax.set(xlabel="coverage (%)", ylabel="mean width (target units)")
    ax.set_ylim(bottom=0)
    ax.grid(visible=False, axis="x")
    ax.legend(loc="upper left")
    return ax
