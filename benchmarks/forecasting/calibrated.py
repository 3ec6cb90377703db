"""Coverage before and after split-conformal calibration on the validation windows.

`python -m benchmarks.forecasting.calibrated [--models ...] [--seeds ...] [--jobs N]` writes
results/forecasting_calibrated.csv. A model is trained once, on what lies before the validation
range; its forecasts of the validation windows calibrate those of the test windows that follow
(:class:`tsbnn.forecasting.ConformalCalibration`, each step of the horizon on its own). So the
training data end earlier than in the comparison, for both rows.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.cells import LEVELS, Cell, run_cells
from benchmarks.forecasting.grid import DATASETS
from benchmarks.forecasting.models import GRADIENT_EVALUATIONS, estimator
from benchmarks.output import markdown, plain
from tsbnn.datasets import load
from tsbnn.evaluation import backtest, central_interval
from tsbnn.forecasting import ConformalCalibration

MODELS, SEEDS = ("deepar, score", "deepar, map"), (0, 1)
AS_IT_IS, CALIBRATED = "as it is", "calibrated"


def evaluate(cell: Cell, gradient_evaluations: int = GRADIENT_EVALUATIONS) -> pd.DataFrame:
    """Coverage and mean width of central intervals on test windows, as they are and calibrated."""
    data = load(cell.dataset)
    # Validation windows lie directly before the test windows, as many and as far apart.
    found = backtest(
        {cell.model: estimator(cell.model, data, gradient_evaluations)},
        data.dataset,
        prediction_length=data.prediction_length,
        windows=2 * data.windows,
        stride=data.stride,
        season=data.season,
        training_data=data.validation_training,
        seeds=(cell.seed,),
        baselines=False,
        dataset_name=cell.dataset,
    )
    samples = np.stack([forecast.samples for forecast in found.forecasts[cell.model, cell.seed]])
    test = found.windows["window"].to_numpy() >= data.windows
    median, (lower, upper) = np.median(samples, axis=1), central_interval(samples, 0.8)
    calibration = ConformalCalibration.from_frame(
        past(found.labels[~test], median[~test], lower[~test], upper[~test])
    )
    rows = []
    for level in LEVELS:
        tail = (1 - level / 100) / 2
        plain = central_interval(samples[test], level / 100)
        reference = (median[test], lower[test], upper[test])
        moved = [calibration.quantile(q, *reference) for q in (tail, 1 - tail)]
        for intervals, (low, high) in ((AS_IT_IS, plain), (CALIBRATED, moved)):
            values = interval_scores(found.labels[test], low, high, level)
            rows += [{"intervals": intervals, "metric": m, "value": v} for m, v in values.items()]
    return pd.DataFrame(rows)


def past(labels: Any, median: Any, lower: Any, upper: Any) -> pd.DataFrame:
    """Forecasts of the past, ``num_windows x time``, as the calibration reads them."""
    steps = np.broadcast_to(np.arange(1, labels.shape[1] + 1), labels.shape)
    columns = {"target": labels, "median": median, "lo-80": lower, "hi-80": upper}
    return pd.DataFrame({"step": steps.ravel()} | {k: v.ravel() for k, v in columns.items()})


def interval_scores(labels: Any, low: Any, high: Any, level: int) -> dict[str, float]:
    """Share of the observed labels inside, and the mean width."""
    seen = ~np.isnan(labels)
    inside = (labels >= low) & (labels <= high)
    return {
        f"coverage_{level}": float(inside[seen].mean()),
        f"width_{level}": float((high - low)[seen].mean()),
    }


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a dataset, model and kind of intervals; coverages with widths, mean over seeds."""
    keys = ["dataset", "model", "intervals"]
    place = {dataset: number for number, dataset in enumerate(DATASETS)}
    rows = rows.sort_values("dataset", key=lambda names: names.map(place), kind="stable")
    mean = rows.groupby([*keys, "metric"], sort=False).value.mean().unstack("metric")
    shown = mean.index.to_frame(index=False)
    for level in LEVELS:
        covered = mean[f"coverage_{level}"].map("{:.1%}".format)
        widths = mean[f"width_{level}"].map(lambda width: plain(width, 3))
        shown[f"{level} %: coverage / width"] = (covered + " / " + widths).to_numpy()
    nominal = pd.Series({f"coverage_{level}": level / 100 for level in LEVELS})
    worst = (mean[nominal.index] - nominal).abs().max(axis=1)
    shown["worst deviation"] = worst.map("{:.1%}".format).to_numpy()
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    given = parser.parse_args()
    cells = [
        Cell(d, model, seed) for seed in given.seeds for d in DATASETS for model in given.models
    ]
    rows = run_cells(evaluate, cells, "forecasting_calibrated", jobs=given.jobs)
    print(f"\n{markdown(table(rows))}")


if __name__ == "__main__":
    main()
