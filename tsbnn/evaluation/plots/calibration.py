"""Plots of calibration: do probabilities mean what they say, and at what width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.calibration import pit_deviation, pit_histogram, reliability_curve
from tsbnn.evaluation.plot_style import curve, ink, page
from tsbnn.evaluation.plots.drawing import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    ax = axes(ax)
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
