"""Plots of models beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.plot_style import curve, ink
from tsbnn.evaluation.plots.drawing import axes, band
from tsbnn.evaluation.ranks import RankComparison
from tsbnn.evaluation.selective import SelectiveScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Ranks that have room for their numbers side by side.
_MOST_NUMBERS = 9
_CAPITALS = {"crps": "CRPS", "mase": "MASE", "nd": "ND", "rmse": "RMSE", "wql": "wQL"}


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


def plot_critical_differences(comparison: RankComparison, *, ax: Axes | None = None) -> Axes:
    """Models on an axis of average ranks; thick bars join those that do not differ.

    The best model stands at the left, its average rank beside its name. Two models differ if they
    are at least the critical difference apart, whose length is drawn above the axis.

    Parameters
    ----------
    comparison
        What :func:`tsbnn.evaluation.compare_ranks` gives.
    ax
        Where to draw, best on a figure with constrained layout, which makes room for the names;
        new axes if None.

    References
    ----------
    Demšar, *Statistical comparisons of classifiers over multiple data sets*, JMLR 7 (2006), fig. 1.
    """
    ranks = comparison.average_ranks
    names, places = [str(name) for name in ranks.index], [float(rank) for rank in ranks]
    count, critical = len(names), comparison.critical_difference
    first_row = -0.9 - 0.28 * len(comparison.groups)
    rows = -(-count // 2)
    bottom = first_row - 0.6 * (rows - 1) - 0.4
    ax = axes(ax, height=0.6 + 0.42 * (1.5 - bottom))
    line: dict[str, Any] = {"color": ink(), "linewidth": 1.1, "solid_capstyle": "butt"}
    ax.plot([1, count], [0, 0], **line)
    numbered = range(1, count + 1, -(-count // _MOST_NUMBERS))
    for tick in range(1, count + 1):
        ax.plot([tick, tick], [0, 0.14], **line)
        if tick in numbered:
            ax.annotate(str(tick), (tick, 0.22), ha="center", va="bottom", fontsize=9)
    ax.plot([1, 1, 1 + critical, 1 + critical], [0.98, 1.1, 1.1, 0.98], **line)
    share = f"{100 * comparison.alpha:g} %"
    ax.annotate(
        f"critical difference {critical:.2f} (level {share})",
        (1, 1.18),
        ha="left",
        va="bottom",
        fontsize=9,
    )
    edge = 0.04 * (count - 1)
    for place, (name, at) in enumerate(zip(names, places, strict=True)):
        left = place < rows
        row = first_row - 0.6 * (place if left else count - 1 - place)
        side = 1 - edge if left else count + edge
        ax.plot([at, at, side], [0, row, row], **line, zorder=1)
        ax.plot([at], [0], color="C0", marker="o", markersize=6)
        words = f"{name}  {at:.2f}" if left else f"{at:.2f}  {name}"
        ax.annotate(
            words,
            (side, row),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            annotation_clip=False,  # the names stand on the edge, and count for the layout
            ha="right" if left else "left",
            va="center",
        )
    margin = 0.03 * (count - 1)
    for number, group in enumerate(comparison.groups):
        ends = [places[names.index(name)] for name in (group[0], group[-1])]
        height = -0.42 - 0.28 * number
        ax.plot(
            [ends[0] - margin, ends[1] + margin],
            [height] * 2,
            color="C1",
            linewidth=4,
            solid_capstyle="round",
            zorder=3,
        )
    ax.set_xlim(1 - edge, max(count, 1 + critical) + edge)
    ax.set_ylim(bottom, 1.6)
    ax.set_axis_off()
    return ax


def plot_selective(
    curves: SelectiveScores | Sequence[SelectiveScores],
    *,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Score of the windows that remain as those that a model is least sure of are dropped.

    A curve that falls tells of an uncertainty that knows which forecasts are bad. The horizontal
    dotted line is what dropping at random leaves, the lower dotted curve what an oracle would; the
    skill is how far between the two areas the curve comes.

    Parameters
    ----------
    curves
        What :func:`tsbnn.evaluation.selective_scores` gives: one or several, of one metric.
    names
        Names in the legend; the models if None.
    ax
        Where to draw; new axes if None.

    Raises
    ------
    ValueError
        If curves are of different metrics, or there is not one name for each.
    """
    drawn = [curves] if isinstance(curves, SelectiveScores) else list(curves)
    metrics = {one.metric for one in drawn}
    if len(metrics) != 1:
        raise ValueError(
            f"curves must be of one metric, not {', '.join(sorted(metrics)) or 'none'}"
        )
    names = [one.model for one in drawn] if names is None else list(names)
    if len(names) != len(drawn):
        raise ValueError(f"{len(names)} names do not fit {len(drawn)} curves")
    ax = axes(ax)
    for place, (one, name) in enumerate(zip(drawn, names, strict=True)):
        dropped = 100 * (1 - one.kept)
        band(ax, dropped, one.low, one.high, f"C{place}", 0.16, "")
        for reference in (one.oracle, np.full(len(dropped), one.random)):
            ax.plot(dropped, reference, color=f"C{place}", linewidth=1.0, linestyle=":")
        skill = f"skill {one.skill:.2f} ({one.skill_low:.2f} to {one.skill_high:.2f})"
        ax.plot(dropped, one.score, **curve(place), label=f"{name}: {skill.replace('-', '−')}")
    ax.plot([], [], color=ink(), linewidth=1.0, linestyle=":", label="random order; oracle, below")
    ax.set_xlim(0, max(100 * (1 - one.kept[0]) for one in drawn))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("windows dropped, the least sure first (%)")
    words = [_CAPITALS.get(word, word) for word in drawn[0].metric.split("_")]
    ax.set_ylabel(f"{' '.join(words)} of the windows kept")
    ax.legend(loc="best")
    return ax
