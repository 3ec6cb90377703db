"""What a backtest found: a tidy table, the forecasts behind it, and every window's scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tsbnn.evaluation.metrics import WindowScores
from tsbnn.evaluation.shapes import Array
from tsbnn.evaluation.training import Run
from tsbnn.evaluation.windows import RollingWindows

COLUMNS = (
    "dataset",
    "model",
    "network",
    "inference",
    "family",
    "seed",
    "metric",
    "value",
    "gradient_evaluations",
    "wall_s",
)

#: What :meth:`Backtest.summary` shows unless told otherwise.
SUMMARY_METRICS = (
    "crps",
    "mean_wql",
    "nd",
    "mase",
    "coverage_50",
    "width_50",
    "coverage_95",
    "width_95",
    "pit_deviation",
    "gradient_evaluations",
    "wall_s",
)

Cell = tuple[str, int]


@dataclass
class Backtest:
    """Models, seeds and windows of one dataset, scored.

    Attributes
    ----------
    dataset
        The dataset's name.
    freq, season
        Pandas alias, and steps of a season: of the seasonal naive and of MASE.
    entries
        Histories before the windows, series-major (all windows of the first series in order of
        time, then the second's): a sequence, and a dataset of GluonTS. A history ends where its
        window starts.
    labels
        ``num_windows x prediction_length`` in that order; NaN where unobserved.
    windows
        One row per window in that order: ``item_id``, ``window`` (0 is the earliest), ``start``,
        and ``seasonal_error``, that of its history, in target units (see
        :func:`tsbnn.evaluation.scores.seasonal_error`).
    forecasts
        By (model, seed), one sample forecast per window in that order. Empty lists if they were
        not kept.
    settings
        By model, in JSON terms: ``network``, ``inference``, ``family``, ``network_settings`` (see
        :mod:`tsbnn.evaluation.network_settings`) and ``runs``, a list with one dictionary per
        seed: ``seed``, and what the predictor's ``training_summary`` says (``num_observations``,
        ``temperature``, ``settings``, …).
    scores
        By (model, seed), every window's sums: see :class:`tsbnn.evaluation.metrics.WindowScores`.
    failures
        By (model, seed), the error of those that gave no forecasts.
    """

    dataset: str
    freq: str
    season: int
    entries: RollingWindows
    labels: Array
    windows: pd.DataFrame
    forecasts: dict[Cell, list[Any]] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: dict[Cell, WindowScores] = field(default_factory=dict)
    failures: dict[Cell, Exception] = field(default_factory=dict)
    _rows: list[tuple[Any, ...]] = field(default_factory=list, repr=False)

    @property
    def prediction_length(self) -> int:
        """Steps of a window."""
        return self.entries.prediction_length

    @property
    def models(self) -> list[str]:
        """Names of the models that have results, in the order in which they ran."""
        return list(dict.fromkeys(model for model, _ in self.scores))

    @property
    def results(self) -> pd.DataFrame:
        """Tidy table, one row per model, seed and metric.

        Columns ``dataset, model, network, inference, family, seed, metric, value,
        gradient_evaluations, wall_s``. ``gradient_evaluations`` is missing where nobody counted
        them, 0 where nothing was trained; ``wall_s`` is the training's wall time. Beside the
        scores (see :func:`tsbnn.evaluation.metrics.score_windows`) the metrics are ``predict_s``
        and ``peak_memory_mib`` (on CUDA also ``peak_cuda_memory_mib``) of the run.
        """
        frame = pd.DataFrame(self._rows, columns=list(COLUMNS))
        types = {"seed": "int64", "value": "float64", "wall_s": "float64"}
        return frame.astype({**types, "gradient_evaluations": "Int64"})

    def add(
        self,
        model: str,
        seed: int,
        description: dict[str, Any],
        run: Run,
        scores: WindowScores,
        values: dict[str, float],
        *,
        keep_forecasts: bool = True,
    ) -> None:
        """Enter what one model gave under one seed."""
        cell = (model, seed)
        self.forecasts[cell] = run.forecasts if keep_forecasts else []
        self.scores[cell] = scores
        about = self.settings.setdefault(model, {**description, "runs": []})
        about["runs"].append({**run.summary, "seed": seed})
        cost = {"predict_s": run.predict_s, "peak_memory_mib": run.peak_memory_mib}
        if run.peak_cuda_memory_mib is not None:
            cost["peak_cuda_memory_mib"] = run.peak_cuda_memory_mib
        names = (description["network"], description["inference"], description["family"])
        cost_columns = (run.gradient_evaluations, run.train_s)
        for metric, value in {**values, **cost}.items():
            self._rows.append((self.dataset, model, *names, seed, metric, value, *cost_columns))

    def aggregate(self) -> pd.DataFrame:
        """Mean and standard error over seeds.

        Returns
        -------
        pandas.DataFrame
            ``model, metric, mean, standard_error, num_seeds``; also ``gradient_evaluations`` and
            ``wall_s`` as metrics. The standard error, sd/√n, is NaN for a single seed. It tells
            how training scatters; how far the test data decide is what
            :func:`tsbnn.evaluation.statistics.paired_difference` tells.
        """
        results = self.results
        keys = ["model", "metric"]
        runs = results.drop_duplicates(["model", "seed"])
        costs = [
            pd.DataFrame(
                {
                    "model": runs["model"],
                    "metric": cost,
                    "value": runs[cost].to_numpy(np.float64, na_value=np.nan),
                }
            )
            for cost in ("gradient_evaluations", "wall_s")
        ]
        both = pd.concat([results[["model", "metric", "value"]], *costs])
        grouped = both.groupby(keys, sort=False)["value"]
        frame = grouped.agg(mean="mean", standard_error="sem", num_seeds="size")
        return frame.reset_index()

    def summary(self, metrics: Iterable[str] | None = None) -> pd.DataFrame:
        """Table to print: one row per model, mean ± standard error over seeds as text.

        Parameters
        ----------
        metrics
            Columns, by default :data:`SUMMARY_METRICS`. A width stands beside every coverage.

        Raises
        ------
        ValueError
            If a metric is unknown.
        """
        frame = self.aggregate()
        chosen = list(SUMMARY_METRICS if metrics is None else metrics)
        known = list(dict.fromkeys(frame["metric"]))
        if unknown := [metric for metric in chosen if metric not in known and self._rows]:
            raise ValueError(f"unknown metrics {unknown}; there are {', '.join(known)}")
        frame["text"] = [
            _text(mean, error)
            for mean, error in zip(frame["mean"], frame["standard_error"], strict=True)
        ]
        table = frame.pivot(index="model", columns="metric", values="text")
        table = table.reindex(index=self.models, columns=chosen)
        return table.rename_axis(columns=None)


def _text(mean: float, error: float) -> str:
    """Four digits, and two of the standard error if there is one."""
    if not np.isfinite(mean):
        return "–"
    number = f"{mean:.4g}" if abs(mean) < 1e4 else f"{mean:.0f}"
    return number if not error > 0 else f"{number} ± {error:.2g}"


class BacktestError(RuntimeError):
    """Some models failed; what the others gave is in ``backtest``.

    Attributes
    ----------
    backtest
        All finished models and seeds, with the errors in ``backtest.failures``.
    """

    def __init__(self, backtest: Backtest) -> None:
        self.backtest = backtest
        failures = [
            f"{model} (seed {seed}): {type(error).__name__}: {error}"
            for (model, seed), error in backtest.failures.items()
        ]
        super().__init__(
            f"{len(failures)} of {len(failures) + len(backtest.scores)} runs failed; the others "
            "are in the error's `backtest`:\n" + "\n".join(failures)
        )
