"""What it brings to leave out the age, and lags and calendar features that data cannot teach.

`python -m benchmarks.inputs [--datasets ...] [--jobs N]` writes results/inputs.csv: our DeepAR with
its default inputs (see `tsbnn.forecasting.estimators.teachable`), with the age of a series besides,
and with all that GluonTS has for the frequency, by score VI and by MAP, 5,000 gradient evaluations,
two seeds, on windows that lie before every test range. The half years end where a year does: July
to December of Victoria's demand train a network for the four weeks from 4 January on.
"""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd

from benchmarks.cells import Cell, run_cells
from benchmarks.forecasting.grid import DATASETS
from benchmarks.forecasting.models import GRADIENT_EVALUATIONS, INFERENCE
from benchmarks.output import markdown, plain
from benchmarks.protocol import validate
from benchmarks.series import cut
from tsbnn import BayesianEstimator
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest, backtest
from tsbnn.forecasting.catalogue import features, network

HALF_YEARS = {f"vic_electricity, half of {year}": year for year in (2012, 2013)}
METHODS, SEEDS = ("score", "map"), (0, 1)
ALL, AGED, DEFAULT = "all of GluonTS", "with the age", "default inputs"
#: What is compared, and where.
COMPARED = {
    (AGED, DEFAULT): DATASETS,
    (ALL, AGED): (*HALF_YEARS, "seattle_weather"),
}
DAYS = 28


def evaluate(cell: Cell) -> Backtest:
    """Train DeepAR with the inputs that the cell's model names, and score its forecasts."""
    method, inputs = cell.model.split(", ")
    data = load("vic_electricity" if cell.dataset in HALF_YEARS else cell.dataset)

    def deepar(**arguments: Any) -> Any:
        known = features(data.dataset)
        return network("deepar", prediction_length=data.prediction_length, **known, **arguments)

    chosen = deepar()
    if inputs == AGED:
        chosen = deepar(age_feature=True)
    elif inputs == ALL:
        given = {"lags_seq": chosen.lags_seq, "time_features": chosen.time_features}
        chosen = deepar(age_feature=True, **given)
    name, settings = INFERENCE[method]
    estimator = BayesianEstimator(
        chosen,
        name,
        inference_kwargs=settings | {"learning_rate": learning_rate(cell.dataset, method)},
        gradient_evaluations=GRADIENT_EVALUATIONS,
    )
    if cell.dataset not in HALF_YEARS:
        return validate(cell, estimator)
    year = HALF_YEARS[cell.dataset]
    (series,) = data.dataset
    return backtest(
        {cell.model: estimator},
        [cut(series, f"{year}-07-01", f"{year + 1}-02-01")],
        prediction_length=data.prediction_length,
        windows=DAYS,
        season=data.season,
        training_data=[cut(series, f"{year}-07-01", f"{year + 1}-01-04")],
        seeds=(cell.seed,),
        baselines=False,
        dataset_name=cell.dataset,
        keep_forecasts=False,
    )


def learning_rate(dataset: str, method: str) -> float:
    """What the trials of the comparison had chosen at that time."""
    rates = {"score": 2e-3, "map": 5e-3} if dataset in DATASETS else {"score": 5e-3, "map": 2e-3}
    return rates[method]


def table(rows: pd.DataFrame, before: str, after: str) -> pd.DataFrame:
    """One line a dataset and method: mean_wQL and 95 % coverage with either inputs."""
    shown = rows[rows.metric.isin(["mean_wql", "coverage_95"])].copy()
    shown[["method", "inputs"]] = shown.model.str.split(", ").tolist()
    lines = shown[shown.inputs == after][["dataset", "method"]].drop_duplicates()
    keys = ["dataset", "method", "inputs", "metric"]
    mean = shown.groupby(keys).value.mean().unstack(["inputs", "metric"])
    wanted = pd.MultiIndex.from_product([(before, after), ("mean_wql", "coverage_95")])
    mean = mean.reindex(index=pd.MultiIndex.from_frame(lines), columns=wanted).dropna()
    lines = mean.index.to_frame(index=False)
    for inputs in (before, after):
        lines[f"{inputs}: mean_wQL"] = [plain(v, 3) for v in mean[inputs, "mean_wql"]]
    change = mean[after, "mean_wql"] / mean[before, "mean_wql"] - 1
    lines["change"] = change.map("{:+.1%}".format).to_numpy()
    for inputs in (before, after):
        covered = mean[inputs, "coverage_95"].map("{:.1%}".format)
        lines[f"{inputs}: 95 % covers"] = covered.to_numpy()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="*", help="only these")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    given = parser.parse_args()
    cells = [
        Cell(dataset, f"{method}, {inputs}", seed)
        for seed in SEEDS
        for compared, datasets in COMPARED.items()
        for dataset in datasets
        if dataset in (given.datasets or [dataset])
        for method in METHODS
        for inputs in compared
    ]
    rows = run_cells(evaluate, cells, "inputs", jobs=given.jobs)
    for before, after in COMPARED:
        print(f"\n## {after}\n\n{markdown(table(rows, before, after))}")


if __name__ == "__main__":
    main()
