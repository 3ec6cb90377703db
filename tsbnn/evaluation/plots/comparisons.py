"""Plots of models beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.plot_style import ink
from tsbnn.evaluation.plots.drawing import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    ax = axes(ax)
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
