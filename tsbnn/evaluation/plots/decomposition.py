"""Plots of the two parts of the predictive variance, by lead time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsbnn.evaluation.epistemic import epistemic_share, epistemic_variance
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
    from matplotlib.ticker import MaxNLocator

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
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="lead time (steps)", ylabel="epistemic share of variance")
    ax.legend()
    return ax
