"""The learning rates of the comparison: trials for every method, on validation windows.

`python -m benchmarks.forecasting.tuning [--models ...] [--jobs N]` writes results/tuning.csv: three
rates, or as many more around a default that is not theirs, on a large, a middle and a small set,
one seed, with the budget of the comparison. The rate
with the smallest geometric mean of the three mean_wQL is that of the network and method on all
sets.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from benchmarks.cells import Cell, run_cells
from benchmarks.forecasting.grid import CORE, EXTENDED_TRIED, PEERS, SCALES, WITHOUT
from benchmarks.forecasting.models import AT, INFERENCE, estimator
from benchmarks.output import show
from benchmarks.protocol import validate
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest
from tsbnn.inference import method

DATASETS = ("etth1", "vic_electricity", "nyc_taxi")
#: One below and one above 5e-3, the default of most methods; GluonTS's is 1e-3.
RATES, PEER_RATES = (5e-3, 2e-3, 1e-2), (1e-3, 3e-3, 1e-2)
#: Around a method's own default where that is another: chains and sparse VI have these besides.
AROUND_DEFAULT = (1.0, 0.4, 2.0)
MODELS = (*CORE, *WITHOUT, *SCALES, *EXTENDED_TRIED, *PEERS)


def trials(model: str) -> list[str]:
    """Names of a model's trials: the model at each of its rates."""
    if model in PEERS:
        rates = PEER_RATES
    else:
        name, _ = INFERENCE[model.split(", ")[1]]
        default = method(name).learning_rate
        rates = (*RATES, *(factor * default for factor in AROUND_DEFAULT))
    return list(dict.fromkeys(f"{model}{AT}{rate:g}" for rate in rates))


def evaluate(cell: Cell) -> Backtest:
    """Train a model at a rate and score its forecasts of validation windows."""
    return validate(cell, estimator(cell.model, load(cell.dataset)))


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """One line a trial: mean_wQL by dataset, their geometric mean, and which rate is the best.

    A trial that lacks a dataset which another of its method has is left out, and so are methods
    that have been tried at one rate only: the best of one is none.
    """
    found = rows[rows.metric == "mean_wql"].pivot_table(
        index="model", columns="dataset", values="value", sort=False
    )
    table = found[[dataset for dataset in DATASETS if dataset in found]]
    methods = table.index.str.split(AT).str[0]
    there = table.notna()
    table = table[(there == there.groupby(methods).transform("any")).all(axis=1)].copy()
    table["geometric mean"] = np.exp(np.log(table).mean(axis=1))
    names = table.index.str.split(AT)
    table.insert(0, "method", names.str[0])
    table.insert(1, "learning_rate", names.str[1].astype(float))
    table = table[table.groupby("method").learning_rate.transform("size") > 1].copy()
    best = table.groupby("method")["geometric mean"].transform("min")
    table["best"] = np.where(table["geometric mean"] == best, "best", "")
    return table.sort_values(["method", "learning_rate"]).reset_index(drop=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    given = parser.parse_args()
    cells = [
        Cell(dataset, trial, 0)
        for model in given.models
        for dataset in DATASETS
        for trial in trials(model)
    ]
    done = run_cells(evaluate, cells, "tuning", jobs=given.jobs)
    show(chosen(done), "Learning rates, mean_wQL on validation windows")


if __name__ == "__main__":
    main()
