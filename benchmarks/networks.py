"""Our networks beside GluonTS's DeepAR, on test windows: is anything lost by being faster?

`python -m benchmarks.networks [--jobs N]` writes results/networks.csv: 5 seeds, 2,000 gradient
evaluations for every model, all settings defaults. Finished cells are not run again.

`deepar, map` and `gluonts_deepar, map` are the same model, trained alike from different initial
weights and windows: they should agree within noise. GluonTS's DeepAR trained by GluonTS itself
(`gluonts_deepar`) stands beside them, and the Transformers.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import pandas as pd
from scipy import stats

from benchmarks.cells import Cell, run_cells
from benchmarks.forecasting.models import AT, evaluate
from benchmarks.forecasting.tables import scoreboard
from benchmarks.output import markdown, show
from tsbnn.evaluation import Backtest

DATASETS = ("exchange_rate", "etth1", "m4_hourly")
MODELS = (
    "seasonal_naive",
    "deepar, map",
    "gluonts_deepar, map",
    "gluonts_deepar",
    "transformer, map",
    "patch_transformer, map",
)
SEEDS = range(5)
GRADIENT_EVALUATIONS = 2_000
# The defaults of map and of GluonTS, whatever the comparison's trials prefer for longer trainings.
LEARNING_RATES = {model: 5e-3 for model in MODELS if ", " in model} | {"gluonts_deepar": 1e-3}


def at_defaults(cell: Cell) -> Backtest:
    """Train a model at its default learning rate and score its forecasts of the test windows."""
    rate = LEARNING_RATES.get(cell.model)
    model = cell.model if rate is None else f"{cell.model}{AT}{rate:g}"
    return evaluate(replace(cell, model=model), GRADIENT_EVALUATIONS)


def agreement(results: pd.DataFrame) -> pd.DataFrame:
    """Relative difference in CRPS of the two DeepARs with its 95 % interval over seeds (Welch)."""
    rows = []
    for dataset, found in results[results.metric == "crps"].groupby("dataset", sort=False):
        ours, theirs = (
            found[found.model == f"{name}, map"].value for name in ("deepar", "gluonts_deepar")
        )
        interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
        difference = ours.mean() - theirs.mean()
        shares = [100 * value / theirs.mean() for value in (difference, *interval)]
        rows.append((dataset, *shares))
    return pd.DataFrame(rows, columns=["dataset", "difference, %", "from, %", "to, %"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    jobs = parser.parse_args().jobs
    cells = [Cell(dataset, model, s) for s in SEEDS for dataset in DATASETS for model in MODELS]
    results = run_cells(at_defaults, cells, "networks", jobs=jobs)
    for dataset in DATASETS:
        print(f"\n{dataset}:\n\n{markdown(scoreboard(results, dataset))}")
    show(agreement(results), "CRPS of our DeepAR over GluonTS's, both trained as map")


if __name__ == "__main__":
    main()
