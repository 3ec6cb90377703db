"""Why MAP beats score VI on m4_hourly: score VI with one thing changed at a time.

`python -m benchmarks.forecasting.ablation [--seeds ...] [--jobs N]` writes
results/forecasting_ablation.csv. These are the test windows, to find the cause of a loss that was
found there; nothing is chosen from them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pandas as pd
from gluonts.model.estimator import Estimator

from benchmarks import protocol
from benchmarks.cells import Cell, kept, run_cells
from benchmarks.forecasting.grid import SEEDS
from benchmarks.forecasting.models import GRADIENT_EVALUATIONS, estimator
from benchmarks.output import PAGE, fill, markdown, plain
from tsbnn import BayesianEstimator
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest
from tsbnn.forecasting import BayesianPredictor
from tsbnn.inference.posteriors import PointMass

DATASET = "m4_hourly"
TITLE = "What costs score VI the win on m4_hourly"


class MeanAlone(Estimator):
    """Forecast with the mean of a posterior, as a point.

    Parameters
    ----------
    estimator
        Trains the posterior.
    """

    def __init__(self, estimator: BayesianEstimator) -> None:
        super().__init__()
        self.estimator = estimator

    def with_seed(self, seed: int | None) -> MeanAlone:
        """Give the training a seed."""
        return MeanAlone(self.estimator.with_seed(seed))

    def train(self, training_data: Any, validation_data: Any = None) -> BayesianPredictor:
        """Train, and keep the mean."""
        predictor = self.estimator.train(training_data, validation_data)
        predictor.prediction_net.posterior = PointMass(predictor.posterior.mean)
        return predictor


def _score(data: Any, **settings: Any) -> BayesianEstimator:
    plain = estimator("deepar, score", data)
    return BayesianEstimator(
        plain.estimator,
        plain.inference.replace(**settings),
        gradient_evaluations=GRADIENT_EVALUATIONS,
    )


TRIALS: dict[str, Callable[[Any], Any]] = {
    "score, the mean of its posterior alone": lambda data: MeanAlone(_score(data)),
    "score, single draws instead of pairs": lambda data: _score(data, antithetic=False),
    "score, twice the gradients": lambda data: estimator(
        "deepar, score", data, 2 * GRADIENT_EVALUATIONS
    ),
    "map, half of the gradients": lambda data: estimator(
        "deepar, map", data, GRADIENT_EVALUATIONS // 2
    ),
}
#: What the comparison has already.
COMPARED = {"deepar, score": "score", "deepar, map": "map", "deepar, map at 2e-3": "map at 2e-3"}


def evaluate(cell: Cell) -> Backtest:
    """Train a trial and score its forecasts of the test windows."""
    return protocol.test(cell, TRIALS[cell.model](load(cell.dataset)))


def table(rows: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """One line a trial, after those of the comparison: CRPS of every seed, their mean, coverage."""
    known = compared[(compared.dataset == DATASET) & compared.model.isin(COMPARED)]
    rows = pd.concat([known.replace({"model": COMPARED}), rows])
    values = rows.pivot_table(index=["model", "seed"], columns="metric", values="value")
    lines = []
    for name in (*COMPARED.values(), *TRIALS):
        if name in values.index:
            own = values.loc[name]
            lines.append(
                {
                    "trained": name,
                    "CRPS by seed": ", ".join(f"{value:.0f}" for value in own.crps),
                    "mean": f"{own.crps.mean():.0f}",
                    "mean_wQL": plain(own.mean_wql.mean(), 3),
                    "95 % covers": f"{own.coverage_95.mean():.0%}",
                }
            )
    return pd.DataFrame(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    given = parser.parse_args()
    cells = [Cell(DATASET, trial, seed) for seed in given.seeds for trial in TRIALS]
    rows = run_cells(evaluate, cells, "forecasting_ablation", jobs=given.jobs)
    found = markdown(table(rows, kept("forecasting")))
    print(f"\n## {TITLE}\n\n{found}")
    fill(PAGE, {TITLE: found})


if __name__ == "__main__":
    main()
