"""All plots of a backtest as PNG files, each for a light and for a dark page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tsbnn.evaluation.calibration import central_interval, pit, pit_histogram
from tsbnn.evaluation.epistemic import epistemic_variance
from tsbnn.evaluation.plot_style import style
from tsbnn.evaluation.plots.calibration import plot_pit, plot_reliability
from tsbnn.evaluation.plots.comparisons import plot_differences
from tsbnn.evaluation.plots.decomposition import plot_epistemic_share
from tsbnn.evaluation.plots.forecasts import plot_forecast
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.shapes import Array
from tsbnn.evaluation.statistics import PairedDifference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of every figure in inches. A page shows 100 pixels per inch, a phone some 85.
WIDTH = 4.4
_DPI = 180
MOST_SERIES = 4


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes
    ----------
    group
        ``fan``, ``reliability``, ``pit``, ``epistemic_share`` or ``differences``.
    name
        File name without ending.
    caption, alt
        What stands above it, and what it shows, in words.
    light, dark
        PNG files.
    width, height
        In pixels of a page.
    """

    group: str
    name: str
    caption: str
    alt: str
    light: bytes
    dark: bytes
    width: int
    height: int


def figures(
    backtest: Backtest,
    differences: list[PairedDifference] | None = None,
    units: Mapping[str, str] | None = None,
) -> Iterator[Plot]:
    """Draw all plots of a backtest, one after the other.

    Parameters
    ----------
    backtest
        With forecasts.
    differences
        Paired differences of one model from others on one metric.
    units
        Units of the series' targets, by item id.
    """
    cells = [cell for cell in backtest.scores if backtest.forecasts[cell]]
    names = _file_names(backtest.models)
    pits: dict[str, Array] = {}
    for model in dict.fromkeys(model for model, _ in cells):
        runs = [backtest.forecasts[cell] for cell in cells if cell[0] == model]
        each = [pit(backtest.labels, np.stack([f.samples for f in run])) for run in runs]
        pits[model] = np.concatenate(each)
    if differences:
        first = differences[0]
        yield _plot(
            "differences",
            "differences",
            f"{first.a} minus each other model",
            f"Paired differences in {first.metric.upper()} with {first.confidence:.0%} intervals",
            0.85 + 0.34 * len(differences),
            partial(_draw_differences, differences),
        )
    if pits:
        yield _plot(
            "reliability",
            "reliability",
            "Reliability",
            "Observed frequency of labels below each forecast quantile, by model",
            4.4,
            lambda figure: plot_reliability(pits, ax=figure.subplots()),
        )
    top = max((1.08 * float(pit_histogram(v)[0].max()) for v in pits.values()), default=2.0)
    for model, values in pits.items():
        yield _plot(
            "pit",
            f"pit-{names[model]}",
            model,
            f"Histogram of the probability integral transform of {model}",
            2.6,
            partial(_draw_pit, values, max(2.0, top)),
        )
    yield from _fans(backtest, names, units or {})
    bayesian = {
        model: [f for cell in cells if cell[0] == model for f in backtest.forecasts[cell]]
        for model in pits
    }
    known = [model for model, group in bayesian.items() if any(_is_spread(f) for f in group[:8])]
    if known:
        yield _plot(
            "epistemic_share",
            "epistemic-share",
            "Epistemic share by lead time",
            f"Share of the predictive variance that is epistemic, by lead time: {', '.join(known)}",
            3.3,
            partial(_draw_share, {m: group if m in known else [] for m, group in bayesian.items()}),
        )


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


def _fans(backtest: Backtest, names: Mapping[str, str], units: Mapping[str, str]) -> Iterator[Plot]:
    """Fan charts by model, of the same windows and on the same scales."""
    places = typical_windows(backtest)
    first: dict[str, int] = {}
    for model, seed in backtest.scores:
        if backtest.forecasts[model, seed]:
            first.setdefault(model, seed)
    if not first or not places:
        return
    length = backtest.prediction_length
    histories = [backtest.entries[i]["target"][-max(length, 12) :] for i in places]
    limits = []
    for place, history in zip(places, histories, strict=True):
        seen = [history, backtest.labels[place]]
        for model, seed in first.items():
            seen.extend(central_interval(backtest.forecasts[model, seed][place].samples, 0.9))
        low, high = np.nanmin(np.concatenate(seen)), np.nanmax(np.concatenate(seen))
        margin = 0.05 * (high - low) or 1.0
        limits.append((low - margin, high + margin))

    def draw(model: str, seed: int, figure: Figure) -> None:
        rows = figure.subplots(len(places), squeeze=False)[:, 0]
        handles: dict[str, Any] = {}
        for ax, place, history, limit in zip(rows, places, histories, limits, strict=True):
            forecast = backtest.forecasts[model, seed][place]
            item = str(backtest.windows["item_id"].iloc[place])
            plot_forecast(
                forecast,
                observed=backtest.labels[place],
                history=history,
                unit=units.get(item),
                name=_short(item),
                ax=ax,
            )
            ax.set_ylim(limit)
            found, labels = ax.get_legend_handles_labels()
            handles |= dict(zip(labels, found, strict=True))
        figure.align_ylabels(list(rows))
        figure.legend(
            list(handles.values()), list(handles), loc="outside upper left", ncols=3, fontsize=8.5
        )

    items = ", ".join(_short(str(backtest.windows["item_id"].iloc[place])) for place in places)
    for model, seed in first.items():
        yield _plot(
            "fan",
            f"fan-{names[model]}",
            model,
            f"Forecasts of {model} with 50 % and 90 % intervals beside what was observed: {items}",
            0.75 + 1.65 * len(places),
            partial(draw, model, seed),
        )


def _draw_pit(values: Array, top: float, figure: Figure) -> None:
    plot_pit(values, top=top, ax=figure.subplots())


def _draw_share(groups: Mapping[str, list[Any]], figure: Figure) -> None:
    plot_epistemic_share(groups, ax=figure.subplots())


def _draw_differences(differences: list[PairedDifference], figure: Figure) -> None:
    plot_differences(
        [_short(difference.b, 22) for difference in differences],
        [difference.difference for difference in differences],
        [difference.low for difference in differences],
        [difference.high for difference in differences],
        label=f"difference in {differences[0].metric.upper()} (below 0 is better)",
        ax=figure.subplots(),
    )


def _plot(
    group: str,
    name: str,
    caption: str,
    alt: str,
    height: float,
    draw: Callable[[Figure], object],
) -> Plot:
    """Draw one figure twice, for a light page and for a dark one."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    files = []
    for dark in (False, True):
        with mpl.rc_context(style(dark)):
            figure = Figure(figsize=(WIDTH, height), layout="constrained")
            FigureCanvasAgg(figure)
            draw(figure)
            file = io.BytesIO()
            # Without the version of matplotlib, which would change the bytes but not the picture.
            figure.savefig(file, dpi=_DPI, metadata={"Software": None})
        files.append(file.getvalue())
    light, night = files
    return Plot(group, name, caption, alt, light, night, round(100 * WIDTH), round(100 * height))


def _is_spread(forecast: Any) -> bool:
    variance = epistemic_variance(forecast)
    return variance is not None and bool((variance > 0).any())


def _file_names(models: Iterable[str]) -> dict[str, str]:
    """A part of a file name for each model, no two alike."""
    names: dict[str, str] = {}
    for model in models:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", model).strip("-.") or "model"
        name, count = stem, 1
        while name in names.values():
            count += 1
            name = f"{stem}-{count}"
        names[model] = name
    return names


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
