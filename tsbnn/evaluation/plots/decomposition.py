"""Plots of the two parts of the predictive variance, by lead time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsbnn.evaluation.epistemic import (
    epistemic_share,
    epistemic_variance,
    scaled_variances,
)
from tsbnn.evaluation.plot_style import curve, ink
from tsbnn.evaluation.plots.drawing import axes, band

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    ax = axes(ax)
    drawn = 0
    for place, (name, group) in enumerate(forecasts.items()):
        known = [f for f in group if epistemic_variance(f) is not None]
        if not known:
            continue
        share, error = epistemic_share(known)
        lead = np.arange(1, len(share) + 1)
        band(ax, lead, share - error, share + error, f"C{place}", 0.2, "")
        ax.plot(lead, share, **curve(place), label=name)
        drawn += 1
    if not drawn:
        raise ValueError("no forecast has an epistemic variance: none comes from weight draws")
    ax.axhline(0.0, color=ink(), linewidth=0.8)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _lead_axis(ax)
    ax.set_xlim(left=0.5)
    ax.set_ylabel("epistemic share of variance")
    ax.legend()
    return ax


def plot_decomposition(forecasts: Sequence[Any], *, ax: Axes | None = None) -> Axes:
    """Predictive variance by lead time, and how much of it comes from not knowing the weights.

    Variances are means over the forecasts, each divided by the mean predictive variance of its
    series: the upper edge is 1 on average. The epistemic part, the lower area, is an unbiased
    estimate, which may dip below zero where there is little to find.

    Parameters
    ----------
    forecasts
        Forecasts of one model with ``epistemic_variance`` and ``total_std``, e.g.
        ``backtest.forecasts[model, seed]``, or a single one in a list.
    ax
        Where to draw; new axes if None.

    Raises
    ------
    ValueError
        If no forecast knows its epistemic variance.
    """
    ax = axes(ax)
    epistemic, total = scaled_variances(forecasts)
    kept = ~np.isnan(total).any(axis=1)
    if not kept.any():
        raise ValueError("no forecast has an epistemic variance: none comes from weight draws")
    below, above = epistemic[kept].mean(axis=0), total[kept].mean(axis=0)
    lead = np.arange(1, len(above) + 1)
    band(ax, lead, below, above, "C0", 0.45, "aleatoric: noise that stays")
    band(ax, lead, 0 * below, below, "C1", 0.75, "epistemic: weights not known")
    ax.plot(lead, above, color="C0", marker=None if len(lead) > 1 else "o")
    ax.axhline(0.0, color=ink(), linewidth=0.8)
    _lead_axis(ax)
    if len(lead) > 1:
        ax.set_xlim(1, len(lead))
    ax.set_ylabel("predictive variance (mean 1)")
    ax.set_ylim(min(0.0, 1.1 * float(below.min())), 1.3 * float(above.max()))
    ax.legend(loc="upper left", reverse=True)
    return ax


def _lead_axis(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("lead time (steps)")
