"""Plots of what training found: the loss on its way, and the posterior layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.plot_style import curve, ink
from tsbnn.evaluation.plots.drawing import axes
from tsbnn.evaluation.shapes import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_posterior_spread(
    spreads: Mapping[str, Any], *, label: str | None = None, ax: Axes | None = None
) -> Axes:
    """Posterior standard deviations of the weights, a row for each tensor.

    A bar reaches from the 5 % to the 95 % quantile over the tensor's weights, the marker is their
    median. In units of the prior, a tensor at 1 has learnt nothing.

    Parameters
    ----------
    spreads
        Diagnostics of training, ``predictor.training_summary["diagnostics"]``, whose spreads are
        in units of the prior; or standard deviations of any shape by name of the tensor.
    label
        Of the axis, for standard deviations of one's own.
    ax
        Where to draw; new axes if None.

    Raises
    ------
    ValueError
        If no tensor has a spread, or one has none above 0.
    """
    told = "layers" in spreads
    rows = _told(spreads["layers"]) if told else _measured(spreads)
    if not rows:
        raise ValueError("no tensor has a posterior spread: the method finds none")
    ax = axes(ax, height=0.9 + 0.24 * len(rows))
    for row, (low, middle, high) in enumerate(rows.values()):
        ax.plot([low, high], [row, row], color="C0", linewidth=2.4, solid_capstyle="round")
        ax.plot([middle], [row], color="C0", marker="o", markersize=5.5)
    ax.set_xscale("log")
    if told:
        ax.axvline(1.0, color=ink(), linewidth=1.0, linestyle="--", label="prior")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(label or ("posterior sd / prior sd" if told else "posterior standard deviation"))
    return ax


def plot_training(traces: Mapping[str, Mapping[str, ArrayLike]], *, ax: Axes | None = None) -> Axes:
    """Training loss over gradient evaluations, a curve for each model: budgets compare as they are.

    Where the first losses are far above all others, the axis leaves them out.

    Parameters
    ----------
    traces
        By name of the model, ``gradient_evaluations`` and ``loss`` (nats per observation), each
        ``num_points``: ``predictor.training_summary["trace"]``.
    ax
        Where to draw; new axes if None.

    Raises
    ------
    ValueError
        If there is no trace, one lacks either, or they are not of one length.
    """
    if not traces:
        raise ValueError("there is no trace to draw")
    ax = axes(ax)
    for place, (name, trace) in enumerate(traces.items()):
        if missing := {"gradient_evaluations", "loss"} - set(trace):
            raise ValueError(f"the trace of {name!r} lacks {', '.join(sorted(missing))}")
        at, loss = (np.asarray(trace[k], np.float64) for k in ("gradient_evaluations", "loss"))
        if at.shape != loss.shape or at.ndim != 1:
            raise ValueError(f"the trace of {name!r}: {at.shape} and {loss.shape} do not fit")
        ax.plot(at, loss, **curve(place), markevery=(place, max(1, len(at) // 8)), label=name)
    losses = np.concatenate([np.asarray(trace["loss"], np.float64) for trace in traces.values()])
    low, usual = np.nanquantile(losses, (0.0, 0.9))
    if np.nanmax(losses) > (top := usual + 2 * (usual - low)) > low:
        ax.set_ylim(top=top)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",", "\u202f"))
    ax.set(xlabel="gradient evaluations", ylabel="loss (nats per observation)")
    ax.legend()
    return ax


def _told(layers: Any) -> dict[str, Array]:
    """Quantiles of the spreads as diagnostics tell them."""
    return {
        str(layer["name"]): np.asarray(layer["spread"], dtype=np.float64)
        for layer in layers
        if layer["spread"] is not None
    }


def _measured(spreads: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Quantiles at 5, 50 and 95 % of standard deviations."""
    rows = {}
    for name, values in spreads.items():
        given = np.asarray(values, dtype=np.float64)
        above = given[given > 0]
        if not above.size:
            raise ValueError(f"{name}: none of {given.size} standard deviations is above 0")
        rows[name] = np.quantile(above, (0.05, 0.5, 0.95))
    return rows
