"""What all plots share: axes, bands, time axes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def axes(ax: Axes | None, height: float | None = None) -> Axes:
    """Return the axes, or new ones, on a figure of a height in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    size = None if height is None else (plt.rcParams["figure.figsize"][0], height)
    return plt.subplots(layout="constrained", figsize=size)[1]


def percent(share: float, what: str) -> str:
    """Name something by its share."""
    return f"{100 * share:g} % {what}"


def band(
    ax: Axes, at: Any, low: ArrayLike, high: ArrayLike, colour: str, alpha: float, label: str
) -> None:
    """Shaded area; a bar where there is one time only, which an area would not show."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if len(low) > 1:
        ax.fill_between(at, low, high, color=colour, alpha=alpha, linewidth=0, label=label)
    else:
        ax.vlines(at, low, high, color=colour, alpha=alpha, linewidth=14, label=label)


def times(first: pd.Period, before: int, steps: int) -> Any:
    """Beginnings of the periods before a forecast, then of its own."""
    import pandas as pd

    with warnings.catch_warnings():
        # pandas 3 will count business days otherwise; GluonTS's periods are those of pandas 2.
        warnings.filterwarnings("ignore", r"Period(Dtype\[B\]| with BDay)", FutureWarning)
        periods = pd.period_range(first - before, periods=before + steps, freq=first.freq)
        return periods.to_timestamp().to_numpy()


def date_axis(ax: Axes) -> None:
    """Write dates short, and at most six of them."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=2, maxticks=6)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
