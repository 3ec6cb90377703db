"""Which plots a report on a backtest has, and what each shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tsbnn.evaluation.calibration import pit, pit_histogram
from tsbnn.evaluation.epistemic import epistemic_variance
from tsbnn.evaluation.fans import typical_fans, worst_fans
from tsbnn.evaluation.images import Drawing, file_names
from tsbnn.evaluation.plots.calibration import plot_pit, plot_reliability, plot_sharpness
from tsbnn.evaluation.plots.comparisons import plot_differences, plot_selective
from tsbnn.evaluation.plots.decomposition import plot_decomposition, plot_epistemic_share
from tsbnn.evaluation.plots.training import plot_training
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.selective import SelectiveScores, Uncertainty, selective_scores
from tsbnn.evaluation.shapes import Array
from tsbnn.evaluation.statistics import PairedDifference, coverage_intervals
from tsbnn.evaluation.table import RESAMPLES, resampled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Models that share axes; more are drawn on several, one below the other.
_MOST_CURVES = 5

#: What plots show, in the order of the page.
GROUPS = (
    "differences",
    "sharpness",
    "calibration",
    "fan",
    "worst",
    "epistemic_share",
    "decomposition",
    "selective",
    "training",
)


def figures(
    backtest: Backtest,
    differences: Sequence[PairedDifference] = (),
    units: Mapping[str, str] | None = None,
) -> list[Drawing]:
    """All plots of a backtest, in the order of the page.

    Parameters
    ----------
    backtest
        With at least one model that gave results.
    differences
        Paired differences of models from the best one.
    units
        Units of the series' targets, by item id.
    """
    names = file_names(backtest.models)
    forecasts = {
        model: [f for (m, _), run in backtest.forecasts.items() if m == model for f in run]
        for model in backtest.models
    }
    known = [model for model, group in forecasts.items() if any(map(_is_spread, group[:8]))]
    return [
        *_differences(differences),
        *_sharpness(backtest),
        *_calibration(backtest, names),
        *typical_fans(backtest, names, units or {}),
        *worst_fans(backtest, names, units or {}),
        *_decomposition({model: forecasts[model] for model in known}, names),
        *_selective(backtest, known, names),
        *_training(backtest),
    ]


def _differences(differences: Sequence[PairedDifference]) -> list[Drawing]:
    if not differences:
        return []
    first = differences[0]
    metric = first.metric.upper()

    def paint(figure: Figure) -> None:
        plot_differences(
            [_short(difference.a) for difference in differences],
            [difference.difference for difference in differences],
            [difference.low for difference in differences],
            [difference.high for difference in differences],
            label=f"difference in {metric} (above 0 is worse)",
            ax=figure.subplots(),
        )

    return [
        Drawing(
            "differences",
            "differences",
            f"Each other model minus {first.b}",
            f"Differences in {metric} from {first.b}, with {first.confidence:.0%} intervals: "
            + "; ".join(f"{d.a} {d.difference:.3g}" for d in differences),
            0.85 + 0.34 * len(differences),
            paint,
        )
    ]


def _sharpness(backtest: Backtest) -> list[Drawing]:
    if len(backtest.windows) < 2:
        return []
    found = coverage_intervals(backtest, unit=resampled(backtest), resamples=RESAMPLES)

    def panel(models: Sequence[str], ax: Axes) -> None:
        plot_sharpness(found[found["model"].isin(models)], ax=ax)

    return [
        Drawing(
            "sharpness",
            "sharpness",
            "Width against coverage",
            "Mean width of central intervals of 50, 80, 90 and 95 % against the share of labels "
            f"that they hold, with intervals of that share: {', '.join(backtest.models)}",
            *_stacked(backtest.models, panel, 3.6),
        )
    ]


def _calibration(backtest: Backtest, names: Mapping[str, str]) -> list[Drawing]:
    """Reliability and PIT of each model, on the same scales."""
    pits: dict[str, Array] = {}
    for model in backtest.models:
        runs = [run for (m, _), run in backtest.forecasts.items() if m == model and run]
        if runs:
            each = [pit(backtest.labels, np.stack([f.samples for f in run])) for run in runs]
            pits[model] = np.stack(each)
    top = max((1.08 * float(pit_histogram(v)[0].max()) for v in pits.values()), default=2.0)
    blocks = backtest.entries.count if resampled(backtest) == "window" else len(backtest.windows)

    def paint(values: Array, figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
        # Windows are resampled with all that happens at the same time, or each on its own.
        together = values.reshape(-1, blocks, values.shape[-1])
        plot_reliability({"": together}, confidence=0.95 if blocks > 1 else None, ax=left)
        left.get_legend().remove()
        left.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        plot_pit(values, top=max(2.0, top), ax=right)
        right.set(xlabel="PIT", xticks=[0, 0.5, 1])

    return [
        Drawing(
            "calibration",
            f"calibration-{names[model]}",
            model,
            f"Calibration of {model}: observed frequency of labels below each forecast quantile, "
            "and histogram of the probability integral transform",
            2.3,
            partial(paint, values),
        )
        for model, values in pits.items()
    ]


def _training(backtest: Backtest) -> list[Drawing]:
    traces = {}
    for model in backtest.models:
        trace = backtest.settings[model]["runs"][0].get("trace")
        if isinstance(trace, Mapping) and len(trace.get("loss", ())) > 1:
            traces[model] = trace

    def panel(models: Sequence[str], ax: Axes) -> None:
        plot_training({model: traces[model] for model in models}, ax=ax)

    if not traces:
        return []
    return [
        Drawing(
            "training",
            "training",
            "Loss in training",
            f"Training loss over gradient evaluations: {', '.join(traces)}",
            *_stacked(list(traces), panel, 3.2),
        )
    ]


def _decomposition(groups: Mapping[str, list[Any]], names: Mapping[str, str]) -> list[Drawing]:
    """Epistemic share of all models that have one, then each model's two variances."""
    if not groups:
        return []

    def panel(models: Sequence[str], ax: Axes) -> None:
        plot_epistemic_share({model: groups[model] for model in models}, ax=ax)

    def paint(group: list[Any], figure: Figure) -> None:
        plot_decomposition(group, ax=figure.subplots())

    return [
        Drawing(
            "epistemic_share",
            "epistemic-share",
            "Epistemic share by lead time",
            "Share of the predictive variance that is epistemic, by lead time: "
            + ", ".join(groups),
            *_stacked(list(groups), panel, 3.2),
        ),
        *(
            Drawing(
                "decomposition",
                f"decomposition-{names[model]}",
                model,
                f"Epistemic and aleatoric variance of {model} by lead time",
                2.8,
                partial(paint, group),
            )
            for model, group in groups.items()
        ),
    ]


def _selective(backtest: Backtest, known: Sequence[str], names: Mapping[str, str]) -> list[Drawing]:
    """Each model's selective curves, by its epistemic and whole variance and by its width."""
    if len(backtest.windows) < 2:
        return []
    unit = resampled(backtest)
    repeated = backtest.windows["item_id"].duplicated().any()
    scaled = (backtest.windows["seasonal_error"] > 0).to_numpy()
    drawn = []
    for model in known:
        metric = _unitless(backtest, model)
        runs = [run for (name, _), run in backtest.scores.items() if name == model]
        orders: list[Uncertainty] = [
            "epistemic",
            *(("total",) if repeated else ()),
            *(
                ("width",)
                if all((run.denominators[metric] > 0)[scaled].any() for run in runs)
                else ()
            ),
        ]
        curves = {
            by: selective_scores(backtest, model, metric, by=by, unit=unit, resamples=RESAMPLES)
            for by in orders
        }
        words = {"epistemic": "epistemic variance", "total": "whole variance", "width": "width"}
        told = ", ".join(f"skill {c.skill:.2f} by the {words[w]}" for w, c in curves.items())
        drawn.append(
            Drawing(
                "selective",
                f"selective-{names[model]}",
                model,
                f"Score of the windows that {model} is surest of, by how many are dropped: {told}",
                3.0,
                partial(_draw_selective, curves),
            )
        )
    return drawn


def _draw_selective(curves: Mapping[Uncertainty, SelectiveScores], figure: Figure) -> None:
    plot_selective(list(curves.values()), names=list(curves), ax=figure.subplots())


def _unitless(backtest: Backtest, model: str) -> str:
    """A score that series of different size share."""
    runs = [scores for (name, _), scores in backtest.scores.items() if name == model]
    return (
        "mase" if all((run.denominators["mase"] > 0).any() for run in runs) else "normalised_crps"
    )


def _stacked(
    models: Sequence[str], panel: Callable[[Sequence[str], Axes], object], height: float
) -> tuple[float, Callable[[Figure], None]]:
    """Height and painter of as many axes as it takes for a few models on each, on one scale."""
    count = -(-len(models) // _MOST_CURVES)
    most = -(-len(models) // count)
    parts = [models[begin : begin + most] for begin in range(0, len(models), most)]

    def paint(figure: Figure) -> None:
        rows = figure.subplots(len(parts), squeeze=False)[:, 0]
        for part, ax in zip(parts, rows, strict=True):
            panel(part, ax)
        # Set, not shared: shared axes would keep the ends that the first plot set.
        across, up = (
            np.array([get() for get in gets])
            for gets in zip(*((ax.get_xlim, ax.get_ylim) for ax in rows), strict=True)
        )
        for ax in rows:
            ax.set(xlim=(across.min(), across.max()), ylim=(up.min(), up.max()))
            ax.label_outer()

    return height * len(parts), paint


def _is_spread(forecast: Any) -> bool:
    variance = epistemic_variance(forecast)
    return variance is not None and bool((variance > 0).any())


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
