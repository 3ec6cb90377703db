"""Score VI, ELBO and MAP on GluonTS's DeepAR, beside GluonTS's own training, on test windows.

`python -m benchmarks.forecasting` writes results/forecasting_DATASET.csv with one row per model,
seed and metric: 5 seeds, 3,000 gradient evaluations for every model, data from TSBNN_DATA_DIR.
Finished cells are not run again, and a killed run loses at most the cell it was in; name datasets
on the command line to run one beside another.

All settings are defaults, which were chosen on validation windows alone (see RESULTS.md). GluonTS's
own DeepAR runs as it comes (learning rate 1e-3, dropout 0.1, gradient clipping, best epoch kept).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from gluonts.torch import DeepAREstimator

from benchmarks.output import RESULTS, show, write
from tsbnn import BayesianEstimator
from tsbnn.datasets import load
from tsbnn.evaluation import SeasonalNaiveGaussian, backtest

DATASETS = ("exchange_rate", "etth1")
SEEDS = range(5)
GRADIENT_EVALUATIONS = 3_000
SHOWN = ("crps", "mean_wql", "coverage_50", "width_50", "coverage_95", "width_95")


class CachedDeepAR(DeepAREstimator):
    """GluonTS's DeepAR, its series transformed once, so that time goes into training."""

    def train(self, training_data: Any, *args: Any, **kwargs: Any) -> Any:
        return super().train(training_data, *args, **{**kwargs, "cache_data": True})

    def describe(self) -> dict[str, str]:
        return {"network": "gluonts_deepar", "inference": "adam", "family": "point"}


def models(data: Any) -> dict[str, Any]:
    settings = {"freq": data.freq, "prediction_length": data.prediction_length}
    steps = {"max_steps": GRADIENT_EVALUATIONS, "max_epochs": -1}
    bayesian = {
        name: BayesianEstimator(
            DeepAREstimator(**settings), name, gradient_evaluations=GRADIENT_EVALUATIONS
        )
        for name in ("score", "map", "elbo")
    }
    return {
        "seasonal_naive": SeasonalNaiveGaussian(data.prediction_length, data.season),
        "score": bayesian["score"],
        "map": bayesian["map"],
        "gluonts_deepar": CachedDeepAR(**settings, trainer_kwargs=steps),
        "elbo": bayesian["elbo"],
    }


def run(dataset: str, name: str, make: Callable[[Any], dict[str, Any]] = models) -> pd.DataFrame:
    """Run what ``make`` builds for the data with every seed; keep cells in results/NAME.csv."""
    path = RESULTS / f"{name}.csv"
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["model", "seed"])
    data = load(dataset)
    for seed in SEEDS:
        for model, estimator in make(data).items():
            if ((done.model == model) & (done.seed == seed)).any():
                continue
            cell = backtest(
                {model: estimator},
                data.dataset,
                prediction_length=data.prediction_length,
                windows=data.windows,
                stride=data.stride,
                season=data.season,
                training_data=data.training,
                seeds=(seed,),
                baselines=False,
                dataset_name=dataset,
                keep_forecasts=False,
            ).results
            values = cell.set_index("metric").value
            print(dataset, model, seed, {key: round(values[key], 5) for key in SHOWN}, flush=True)
            done = pd.concat([done, cell], ignore_index=True) if len(done) else cell
            write(done, name)
    return done


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Tabulate mean ± standard error over the seeds."""
    groups = results.groupby(["model", "metric"], sort=False).value
    table = pd.DataFrame({"mean": groups.mean(), "se": groups.sem()}).unstack("metric")
    shown = pd.DataFrame(
        {
            metric: table["mean"][metric].map("{:.4g}".format)
            + " ± "
            + table["se"][metric].map("{:.2g}".format)
            for metric in (*SHOWN, "predict_s")
        }
    )
    shown["train_s"] = results.groupby("model").wall_s.mean().round(1)
    return shown.reset_index()


def main() -> None:
    torch.set_num_threads(1)
    for dataset in sys.argv[1:] or DATASETS:
        results = run(dataset, f"forecasting_{dataset}")
        show(summary(results), f"{dataset}: mean ± standard error over {len(SEEDS)} seeds")


if __name__ == "__main__":
    main()
