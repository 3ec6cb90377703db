"""Fan charts of forecasts in tables: each on its own axes, all on one page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsbnn.cli.forecast_frames import Array, Forecasts
from tsbnn.cli.output import bytes_of

if TYPE_CHECKING:
    import pandas as pd

    from tsbnn.cli.matching import Table

#: Inches of one chart.
_WIDTH, _HEIGHT = 4.6, 2.7
#: Coverages that are drawn where a table has more.
_DRAWN = (0.5, 0.8, 0.95)


@dataclass
class Fan:
    """One forecast, as :func:`tsbnn.plotting.plot_forecast` takes it, and what to draw with it."""

    name: str
    start_date: pd.Period
    intervals: tuple[float, ...]
    quantiles: dict[float, Array]
    mean: Array
    epistemic_variance: Array | None
    history: Array
    observed: Array | None

    def quantile(self, level: float) -> Array:
        """A quantile that the table has."""
        return self.quantiles[round(level, 9)]


def fans(
    table: Table,
    model: Forecasts,
    actuals: Table | None,
    items: list[str],
    freq: str | None,
    history_steps: int | None,
) -> list[Fan]:
    """Put forecasts and actual values of some series on their common grid.

    Raises
    ------
    FrameError
        If dates are not regular.
    """
    past = None if actuals is None else _on_grid(actuals, actuals.values, items, freq)
    freq = freq if past is None else past.freq
    rows = np.flatnonzero(table.keys["item"].isin(items))
    if "cutoff" in table.keys:
        cutoffs = table.keys["cutoff"].iloc[rows]
        latest = cutoffs.groupby(table.keys["item"].iloc[rows]).transform("max")
        rows = rows[(cutoffs == latest).to_numpy()]
    ahead = _on_grid(table, np.arange(len(table.keys), dtype=np.float64), items, freq, rows)
    entries = {str(entry.get("item_id", "")): entry for entry in ahead}
    before = {} if past is None else {str(entry.get("item_id", "")): entry for entry in past}
    step = ahead.frequency.n
    return [
        _fan(
            item or str(table.target),
            entries[item],
            model,
            before.get(item),
            history_steps,
            step,
        )
        for item in items
    ]


def _on_grid(
    table: Table, values: Array, items: list[str], freq: str | None, rows: Any = None
) -> Any:
    """Values of some series as a dataset: regular, gaps as NaN."""
    import pandas as pd

    from tsbnn.datasets import from_frame

    frame = pd.DataFrame(
        {"timestamp": table.keys["stamp"].to_numpy(), "target": values}, index=table.frame.index
    )
    has_items = table.item_id is not None
    if has_items:
        frame.insert(0, "item_id", table.keys["item"].to_numpy())
    if rows is None:
        rows = np.flatnonzero(table.keys["item"].isin(items))
    return from_frame(frame.iloc[rows], freq=freq, item_id="item_id" if has_items else None)


def _fan(
    name: str,
    entry: dict[str, Any],
    model: Forecasts,
    actual: dict[str, Any] | None,
    history_steps: int | None,
    step: int,
) -> Fan:
    places = entry["target"]  # rows of the table, NaN in gaps
    inside = ~np.isnan(places)
    rows = places[inside].astype(np.int64)

    def spread(values: Array) -> Array:
        result = np.full(len(places), np.nan)
        result[inside] = values[rows]
        return result

    drawn = tuple(c for c in _DRAWN if c in model.bounds) or tuple(sorted(model.bounds)[-2:])
    middle = model.median
    mean = middle if model.mean is None else model.mean
    if middle is None or mean is None:
        raise ValueError(f"{model.name} has neither mean nor median")
    quantiles = {0.5: spread(middle)}
    for coverage in drawn:
        lower, upper = model.bounds[coverage]
        quantiles[round((1 - coverage) / 2, 9)] = spread(lower)
        quantiles[round((1 + coverage) / 2, 9)] = spread(upper)
    spread_out = model.epistemic_std
    history, observed = np.empty(0), None
    if actual is not None:
        target, steps = actual["target"].astype(np.float64), len(places)
        begin = (entry["start"].ordinal - actual["start"].ordinal) // step
        length = 2 * steps if history_steps is None else history_steps
        history = target[max(0, begin - length) : max(0, begin)]
        observed = np.full(steps, np.nan)
        came = target[max(0, begin) : max(0, begin + steps)]
        first = max(0, -begin)
        observed[first : first + len(came)] = came
    return Fan(
        name,
        entry["start"],
        drawn,
        quantiles,
        spread(mean),
        None if spread_out is None else spread(spread_out) ** 2,
        history,
        observed if observed is not None and not np.isnan(observed).all() else None,
    )


def draw(charts: list[Fan], unit: str | None, kind: str, *, dark: bool) -> bytes:
    """Draw all charts on one page, more than three in two columns.

    Returns
    -------
    bytes
        The file: ``png``, ``svg`` or ``pdf``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from tsbnn.plotting import plot_forecast, style

    across = 1 if len(charts) <= 3 else 2
    down = math.ceil(len(charts) / across)
    wide = 7.0 if across == 1 else across * _WIDTH
    with mpl.rc_context({**style(dark=dark), "svg.hashsalt": "tsbnn"}):
        size = (wide, down * _HEIGHT + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        labels: dict[str, Any] = {}
        for place, axes in enumerate(grid.flat):
            if place >= len(charts):
                axes.remove()
                continue
            chart = charts[place]
            plot_forecast(
                chart,
                observed=chart.observed,
                history=chart.history,
                intervals=chart.intervals,
                unit=unit,
                name=chart.name,
                ax=axes,
            )
            handles, names = axes.get_legend_handles_labels()
            labels |= dict(zip(names, handles, strict=True))
        figure.legend(
            labels.values(), labels.keys(), loc="outside upper center", ncols=min(5, len(labels))
        )
        when: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
        return bytes_of(
            lambda buffer: figure.savefig(buffer, format=kind, dpi=150, metadata=when or None)
        )
