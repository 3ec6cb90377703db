"""What plots are judged by: forecasts to draw, and the bands and lines on the axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from gluonts.model.forecast import SampleForecast
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

STEPS = 7


def samples(seed: int = 0, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(seed).normal(10, 2, (200, steps))


def forecast(variance: Any = None, steps: int = STEPS, freq: str = "D") -> Any:
    """A sample forecast, with planted epistemic variance if one is given."""
    made = SampleForecast(
        samples=samples(steps=steps), start_date=pd.Period("2024-03-01", freq=freq), item_id="wind"
    )
    if variance is not None:
        made.epistemic_variance = np.broadcast_to(np.asarray(variance, float), (steps,))
        made.total_std = np.full(steps, 2.0)
        made.num_draws = 20
    return made


def bands(ax: Axes) -> dict[str, np.ndarray]:
    """Lower and upper edge of every shaded area, ``2 x time``, by label."""
    found = {}
    for area in ax.collections:
        if isinstance(area, PolyCollection):
            x, y = area.get_paths()[0].vertices.T
            edges = [[f(y[x == at]) for at in np.unique(x)] for f in (np.min, np.max)]
            found[area.get_label()] = np.array(edges)
    return found


def line(ax: Axes, label: str) -> Any:
    (found,) = [one for one in ax.get_lines() if one.get_label() == label]
    return found
