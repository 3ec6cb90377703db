"""Which windows are scored: those of validation, where everything is chosen, and those of test."""

from __future__ import annotations

from typing import Any

from benchmarks.cells import Cell
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest, backtest

#: Which windows of the validation range are scored: of etth1 every fifth day, of
#: vic_electricity every second. Of the others as many as test windows.
WINDOWS: dict[str, dict[str, int]] = {
    "etth1": {"windows": 24, "stride": 120},
    "vic_electricity": {"windows": 28, "stride": 48},
    "m4_hourly": {"windows": 1},
    "nyc_taxi": {"windows": 28, "stride": 48},
}


def validate(cell: Cell, estimator: Any, windows: dict[str, int] | None = None) -> Backtest:
    """Train on what lies before the validation range of a dataset and score its windows.

    Parameters
    ----------
    cell
        Dataset, name of the model, seed.
    estimator
        The model.
    windows
        ``windows`` and ``stride`` of the backtest in place of :data:`WINDOWS`.
    """
    data = load(cell.dataset)
    laid = windows or WINDOWS.get(cell.dataset) or _all(data)
    return _scored(cell, estimator, data, data.validation, data.validation_training, laid)


def test(cell: Cell, estimator: Any) -> Backtest:
    """Train on what lies before the test range of a dataset and score all its windows."""
    data = load(cell.dataset)
    return _scored(cell, estimator, data, data.dataset, data.training, _all(data))


def _all(data: Any) -> dict[str, int]:
    return {"windows": data.windows, "stride": data.stride}


def _scored(
    cell: Cell, estimator: Any, data: Any, dataset: Any, training: Any, windows: dict[str, int]
) -> Backtest:
    return backtest(
        {cell.model: estimator},
        dataset,
        prediction_length=data.prediction_length,
        **windows,
        season=data.season,
        training_data=training,
        seeds=(cell.seed,),
        baselines=False,
        dataset_name=cell.dataset,
        keep_forecasts=False,
    )
