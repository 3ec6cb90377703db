"""Forecasts to look at: fans of the windows of median difficulty, and of the worst ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsbnn.evaluation.calibration import central_interval
from tsbnn.evaluation.images import Drawing
from tsbnn.evaluation.plots.forecasts import plot_forecast
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.shapes import Array
from tsbnn.evaluation.table import best_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Series that typical windows are shown of, and worst windows.
MOST_SERIES = 4


def typical_windows(backtest: Backtest) -> list[int]:
    """Places of one window for each of the first four series: that of median difficulty.

    Difficulty is the CRPS averaged over all models and seeds.
    """
    crps = np.mean([s.numerators["crps"] for s in backtest.scores.values()], axis=0)
    known = np.mean([s.denominators["crps"] for s in backtest.scores.values()], axis=0)
    items = backtest.windows["item_id"].to_numpy()
    chosen = []
    for item in list(dict.fromkeys(items))[:MOST_SERIES]:
        places = np.flatnonzero((items == item) & (known > 0))
        if places.size:
            order = places[np.argsort(crps[places] / known[places], kind="stable")]
            chosen.append(int(order[(len(order) - 1) // 2]))
    return chosen


def scaled_errors(backtest: Backtest, model: str) -> Array:
    """MASE of one model in every window, averaged over seeds; NaN where it has no scale."""
    runs = [scores for (name, _), scores in backtest.scores.items() if name == model]
    each = [
        np.divide(
            run.numerators["mase"],
            run.denominators["mase"],
            out=np.full(len(backtest.windows), np.nan),
            where=run.denominators["mase"] > 0,
        )
        for run in runs
    ]
    return np.asarray(np.mean(each, axis=0))


def worst_windows(backtest: Backtest, model: str) -> list[int]:
    """Places of the four windows with the largest scaled error, of different series if there are.

    See :func:`scaled_errors`; the worst comes first.
    """
    errors = pd.Series(scaled_errors(backtest, model)).dropna()
    order = errors.sort_values(ascending=False, kind="stable").index
    items = backtest.windows["item_id"].loc[order]
    turn = items.groupby(items).cumcount()
    chosen = order[np.argsort(turn.to_numpy(), kind="stable")][:MOST_SERIES]
    return [int(place) for place in errors.loc[chosen].sort_values(ascending=False).index]


def typical_fans(
    backtest: Backtest, names: Mapping[str, str], units: Mapping[str, str]
) -> list[Drawing]:
    """Fans of the first seed by model, of the same windows and on the same scales."""
    first = _first_runs(backtest)
    places = typical_windows(backtest)
    if not first or not places:
        return []
    limits = {place: _limits(backtest, place, list(first.values())) for place in places}

    def paint(run: list[Any], figure: Figure) -> None:
        rows = figure.subplots(len(places), squeeze=False)[:, 0]
        for ax, place in zip(rows, places, strict=True):
            _draw_window(backtest, run, place, units, ax)
            ax.set_ylim(limits[place])
        figure.align_ylabels(list(rows))
        _legend(figure)

    items = ", ".join(str(backtest.windows["item_id"].iloc[place]) for place in places)
    return [
        Drawing(
            "fan",
            f"fan-{names[model]}",
            model,
            f"Forecasts of {model} with 50 % and 90 % intervals beside what was observed: {items}",
            0.75 + 1.65 * len(places),
            partial(paint, run),
        )
        for model, run in first.items()
    ]


def worst_fans(
    backtest: Backtest, names: Mapping[str, str], units: Mapping[str, str]
) -> list[Drawing]:
    """Fans of the best model where it erred most."""
    best = best_model(backtest)
    run = _first_runs(backtest).get(best)
    if not run or len(backtest.windows) < 2:
        return []
    errors = scaled_errors(backtest, best)

    def paint(place: int, figure: Figure) -> None:
        _draw_window(backtest, run, place, units, figure.subplots())
        _legend(figure)

    drawn = []
    for rank, place in enumerate(worst_windows(backtest, best), start=1):
        row = backtest.windows.iloc[place]
        where = f"{row['item_id']}, from {row['start']}"
        drawn.append(
            Drawing(
                "worst",
                f"worst-{names[best]}-{rank}",
                f"{where}: MASE {errors[place]:.2f}",
                f"Forecast of {best} for {where}, with 50 % and 90 % intervals beside what was "
                f"observed; mean absolute scaled error {errors[place]:.2f}",
                2.6,
                partial(paint, place),
            )
        )
    return drawn


def _first_runs(backtest: Backtest) -> dict[str, list[Any]]:
    """Forecasts of each model's first seed that kept them."""
    first: dict[str, list[Any]] = {}
    for (model, _), run in backtest.forecasts.items():
        if run:
            first.setdefault(model, run)
    return first


def _history(backtest: Backtest, place: int) -> Array:
    target: Array = backtest.entries[place]["target"]
    return target[-max(backtest.prediction_length, 12) :]


def _limits(backtest: Backtest, place: int, runs: list[list[Any]]) -> tuple[float, float]:
    """Ends of an axis that has room for every model's forecast of a window."""
    seen = [_history(backtest, place), backtest.labels[place]]
    for run in runs:
        seen.extend(central_interval(run[place].samples, 0.9))
    low, high = np.nanmin(np.concatenate(seen)), np.nanmax(np.concatenate(seen))
    margin = 0.05 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _draw_window(
    backtest: Backtest, run: list[Any], place: int, units: Mapping[str, str], ax: Axes
) -> None:
    item = str(backtest.windows["item_id"].iloc[place])
    plot_forecast(
        run[place],
        observed=backtest.labels[place],
        history=_history(backtest, place),
        unit=units.get(item),
        name=item if len(item) <= 18 else f"{item[:17]}…",
        ax=ax,
    )


def _legend(figure: Figure) -> None:
    """One legend above all axes."""
    handles: dict[str, Any] = {}
    for ax in figure.axes:
        found, labels = ax.get_legend_handles_labels()
        handles |= dict(zip(labels, found, strict=True))
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper left", ncols=3, fontsize=8.5
    )
