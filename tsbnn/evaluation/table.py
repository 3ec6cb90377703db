"""The summary table of a backtest: values with their uncertainty, the best of a column marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tsbnn.evaluation.bootstrap import Bootstrap, Unit, runs_of
from tsbnn.evaluation.metrics import WindowScores
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.shapes import Array
from tsbnn.evaluation.statistics import PairedDifference, paired_difference

Kind = Literal["number", "percent", "count", "seconds"]

#: The score that models are compared by.
METRIC = "crps"

#: Bootstrap replicates of what is shown, not tested: errors and bands.
RESAMPLES = 500

#: Windows (dates) from which on whole windows are resampled, over all series together.
_ENOUGH_WINDOWS = 12


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    metric
        As in :attr:`Backtest.results`.
    title, hint
        Heading, and what to read it as.
    kind
        How numbers are written.
    ideal
        What a value should be near to; minus infinity where lower is better, None where no
        value is better than another.
    """

    metric: str
    title: str
    hint: str
    kind: Kind = "number"
    ideal: float | None = None


_LOWEST = -np.inf

#: A width stands beside every coverage.
COLUMNS = (
    Column("crps", "CRPS", "target units", "number", _LOWEST),
    Column("mean_wql", "mean wQL", "no unit", "number", _LOWEST),
    Column("mase", "MASE", "no unit", "number", _LOWEST),
    Column("coverage_50", "coverage", "of 50 %", "percent", 0.50),
    Column("width_50", "width", "of 50 %"),
    Column("coverage_95", "coverage", "of 95 %", "percent", 0.95),
    Column("width_95", "width", "of 95 %"),
    Column("pit_deviation", "PIT", "deviation", "number", _LOWEST),
    Column("epistemic_share", "epistemic", "of variance", "percent"),
    Column("gradient_evaluations", "gradients", "evaluations", "count"),
    Column("wall_s", "training", "seconds", "seconds"),
)


@dataclass(frozen=True)
class Cell:
    """One value as text, its standard error as text (empty if unknown), and whether it is best."""

    value: str
    error: str = ""
    best: bool = False


@dataclass(frozen=True)
class SummaryTable:
    """Rows of cells below columns.

    Attributes
    ----------
    columns
        Those that any model has.
    rows
        By model, in the order of the backtest, one cell per column.
    error_note
        What the errors are, and which coverages the paths are too few for.
    """

    columns: tuple[Column, ...]
    rows: dict[str, list[Cell]] = field(default_factory=dict)
    error_note: str = ""


def resampled(backtest: Backtest) -> Unit:
    """What a bootstrap resamples: whole windows over all series if there are enough of them.

    Series of one dataset often move together, and then single windows of single series are no
    independent ones.
    """
    return (
        "window" if backtest.windows["window"].nunique() >= _ENOUGH_WINDOWS else "series x window"
    )


def best_model(backtest: Backtest) -> str:
    """Return the model of the lowest CRPS, averaged over seeds."""
    frame = backtest.aggregate()
    values = frame[frame["metric"] == METRIC].set_index("model")["mean"]
    return str(values.idxmin())


def differences_to_best(backtest: Backtest) -> list[PairedDifference]:
    """Paired differences in CRPS of every other model from the best one.

    Empty where there is nothing to compare, or a single window to do it on.
    """
    if len(backtest.windows) < 2:
        return []
    best, unit = best_model(backtest), resampled(backtest)
    return [
        paired_difference(backtest, model, best, METRIC, unit=unit)
        for model in backtest.models
        if model != best
    ]


def window_errors(backtest: Backtest, model: str) -> dict[str, float]:
    """Bootstrap standard errors of a model's scores over the test windows, by metric.

    Scores are averaged over seeds in each replicate. Empty if there is one unit only.
    """
    if len(backtest.windows) < 2:
        return {}
    (runs,) = runs_of(backtest, model)
    metrics = list(runs[0].numerators)

    def values(run: WindowScores, weights: Array | None) -> Array:
        return np.stack([run.value(metric, weights) for metric in metrics], axis=-1)

    bootstrap = Bootstrap(
        backtest.windows, resampled(backtest), resamples=RESAMPLES, resample_seeds=False
    )
    draws = bootstrap.replicates(runs, values)
    return {
        metric: float(np.nanstd(column, ddof=1))
        for metric, column in zip(metrics, draws.T, strict=True)
        if np.isfinite(column).sum() > 1
    }


def summary_table(backtest: Backtest, columns: Sequence[Column] = COLUMNS) -> SummaryTable:
    """Mean and standard error of every model's metrics, the best of each column marked.

    With several seeds the errors are over seeds (sd/√n): how training scatters. With one seed they
    are bootstrap errors over the test windows: how much the test data decide.

    Parameters
    ----------
    backtest
        With at least one model that gave results.
    columns
        What to show; those that no model has are left out.
    """
    frame = backtest.aggregate()
    means = frame.pivot(index="model", columns="metric", values="mean")
    over_seeds = frame.pivot(index="model", columns="metric", values="standard_error")
    seeds = {seed for _, seed in backtest.scores}
    several = len(seeds) > 1
    errors: dict[str, dict[Any, Any]] = {
        model: dict(over_seeds.loc[model]) if several else window_errors(backtest, model)
        for model in backtest.models
    }
    shown = tuple(c for c in columns if c.metric in means and means[c.metric].notna().any())
    rows: dict[str, list[Cell]] = {model: [] for model in backtest.models}
    for column in shown:
        values = means[column.metric].reindex(list(rows)).to_numpy(np.float64)
        digits = decimals(values, column.kind)
        marked = best(values, column.ideal)
        for place, model in enumerate(rows):
            error = float(errors[model].get(column.metric, np.nan))
            rows[model].append(
                Cell(
                    written(values[place], column.kind, digits),
                    written(error, column.kind, digits) if error > 0 else "",
                    place in marked,
                )
            )
    unit = "windows" if resampled(backtest) == "window" else "windows of single series"
    note = (
        f"± is the standard error over {len(seeds)} seeds."
        if several
        else f"There is one seed; ± is the bootstrap standard error over the test {unit}."
    )
    return SummaryTable(shown, rows, f"{note}{_reach_note(backtest, shown)}")


def _reach_note(backtest: Backtest, columns: Sequence[Column]) -> str:
    """Say which coverages the paths are too few for: n of them lie in n + 1 equal gaps."""
    counts = [len(run[0].samples) for run in backtest.forecasts.values() if run]
    nominal = [c.ideal for c in columns if c.metric.startswith("coverage_") and c.ideal]
    if not counts or not nominal:
        return ""
    fewest = min(counts)
    reach = max(0, fewest - 1) / (fewest + 1)
    beyond = [f"{100 * share:g} %" for share in nominal if share > reach + 1e-9]
    if not beyond:
        return ""
    widest = np.floor(1000 * reach) / 10
    return (
        f" The widest interval of {fewest} paths is one of {widest:g} %: a coverage of "
        f"{' and '.join(beyond)} takes more."
    )


def best(values: Array, ideal: float | None) -> set[int]:
    """Places of the values nearest to the ideal, or lowest where that is minus infinity.

    None where there is no ideal or nothing to compare.
    """
    if ideal is None or np.isfinite(values).sum() < 2:
        return set()
    distance = values if ideal == _LOWEST else np.abs(values - ideal)
    return set(np.flatnonzero(distance == np.nanmin(distance)).tolist())


def decimals(values: Array, kind: Kind = "number") -> int:
    """Decimals with which the typical of some numbers has three digits."""
    if kind == "count":
        return 0
    if kind in ("percent", "seconds"):
        return 1
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return int(np.clip(2 - np.floor(np.log10(np.median(sizes))), 0, 8)) if sizes.size else 0


def written(value: float, kind: Kind = "number", digits: int = 0) -> str:
    """A number as text; a dash where there is none."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    if kind == "percent":
        return f"{100 * value:.{digits}f} %".replace("-", "−")
    return f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "−")
