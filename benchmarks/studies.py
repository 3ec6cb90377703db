"""What makes score VI better: one lever at a time, on validation windows.

`python -m benchmarks.studies [STUDIES] [--jobs N]` writes results/studies.csv: our DeepAR with
5,000 gradient evaluations, two seeds, trained on what lies before the validation range of etth1
and m4_hourly and scored on validation windows. Every trial changes what its name says and nothing
else. `docs/studies/` says what each study found.
"""

from __future__ import annotations

import argparse
from typing import Any

from gluonts.torch.distributions import NormalOutput

from benchmarks.cells import Cell, run_cells
from benchmarks.output import show
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest, backtest
from tsbnn.inference import FanInPrior

DATASETS = ("etth1", "m4_hourly")
SEEDS = (0, 1)
GRADIENT_EVALUATIONS = 5_000
# Every fifth day of etth1's validation range.
WINDOWS = {"etth1": {"windows": 24, "stride": 120}, "m4_hourly": {"windows": 1}}
SHOWN = ["mean_wql", "coverage_50", "coverage_80", "coverage_95", "width_95"]

#: By study and trial: inference, its settings, and arguments of the network.
Trial = tuple[str, dict[str, Any], dict[str, Any]]


def score(**settings: Any) -> Trial:
    return "score", settings, {}


STUDIES: dict[str, dict[str, Trial]] = {
    "methods": {
        "score": score(),
        "elbo": ("elbo", {}, {}),
        "elbo_natural": ("elbo_natural", {}, {}),
        "map": ("map", {}, {}),
        "ensemble": ("ensemble", {}, {}),
        "mc_dropout": ("mc_dropout", {}, {}),
    },
    "temperature": {f"score T={t:g}": score(temperature=t) for t in (0.3, 0.1, 0.03, 0.01)},
    "warm start": {f"score warm_start={w:g}": score(warm_start=w) for w in (0.0, 0.25, 0.75, 0.9)},
    "prior": {
        **{f"score gain={g:g}": score(prior=FanInPrior(gain=g)) for g in (0.5, 2.0)},
    },
    "learning rate": {
        f"{name} lr={rate:g}": (name, {"learning_rate": rate}, {})
        for name in ("score", "elbo", "map")
        for rate in (2e-3, 1e-2)
    },
    "draws": {"score single draws": score(antithetic=False)},
    "averaging": {
        "score averaging_share=0.25": score(averaging_share=0.25),
        "elbo averaging_share=0.25": ("elbo", {"averaging_share": 0.25}, {}),
    },
    "mixture": {
        "score mixture 3": score(family="mixture", num_components=3),
        "score mixture 5": score(family="mixture", num_components=5),
    },
    "low rank": {"score low rank": score(family="low_rank")},
    "head": {"score normal head": ("score", {}, {"distr_output": NormalOutput()})},
    "network": {
        "score 80 units": ("score", {}, {"hidden_size": 80}),
        "map 80 units": ("map", {}, {"hidden_size": 80}),
    },
    "batch": {
        "score batch 128": ("score", {}, {"batch_size": 128}),
        "map batch 128": ("map", {}, {"batch_size": 128}),
    },
}
TRIALS = {name: trial for study in STUDIES.values() for name, trial in study.items()}


def validate(cell: Cell) -> Backtest:
    """Train on what lies before the validation range and score on validation windows."""
    data = load(cell.dataset)
    inference, settings, arguments = TRIALS[cell.model]
    network = DeepAREstimator(freq=data.freq, prediction_length=data.prediction_length, **arguments)
    estimator = BayesianEstimator(
        network,
        inference,
        inference_kwargs=settings,
        gradient_evaluations=GRADIENT_EVALUATIONS,
    )
    return backtest(
        {cell.model: estimator},
        data.validation,
        prediction_length=data.prediction_length,
        **WINDOWS[cell.dataset],
        season=data.season,
        training_data=data.validation_training,
        seeds=(cell.seed,),
        baselines=False,
        dataset_name=cell.dataset,
        keep_forecasts=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", default=list(STUDIES), choices=STUDIES)
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    cells = [
        Cell(dataset, trial, seed)
        for study in chosen.studies
        for trial in STUDIES[study]
        for seed in SEEDS
        for dataset in DATASETS
    ]
    done = run_cells(validate, cells, "studies", jobs=chosen.jobs)
    table = done[done.metric.isin(SHOWN)].pivot_table(
        index=["dataset", "model"], columns="metric", values="value", sort=False
    )
    show(table[SHOWN].reset_index(), f"Validation windows, {GRADIENT_EVALUATIONS:,} evaluations")


if __name__ == "__main__":
    main()
