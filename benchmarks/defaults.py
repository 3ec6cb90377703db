"""The trials that our defaults were chosen by, on validation windows alone.

`python -m benchmarks.defaults` writes results/defaults.csv: GluonTS's DeepAR trained with 2,000
gradient evaluations on what lies before the validation range of exchange_rate and etth1 (read
from TSBNN_DATA_DIR), scored on the last validation windows, one seed. Score, ELBO and MAP get
comparable numbers of trials. Finished trials are not run again.
"""

from __future__ import annotations

import pandas as pd
import torch
from gluonts.torch import DeepAREstimator

from benchmarks.output import RESULTS, show, write
from tsbnn import ELBOVI, MAP, BayesianEstimator, ProximalScoreVI
from tsbnn.datasets import load
from tsbnn.evaluation import backtest
from tsbnn.inference import InferenceMethod

GRADIENT_EVALUATIONS = 2_000
WINDOWS = {"exchange_rate": 5, "etth1": 24}
TRIALS = {
    "score": ProximalScoreVI(),
    "score lr=1e-2": ProximalScoreVI(learning_rate=1e-2),
    "score no warm start": ProximalScoreVI(warm_start=0.0),
    "elbo": ELBOVI(),
    "elbo no warm start, log-sd lr=1e-2": ELBOVI(warm_start=0.0, scale_learning_rate=1e-2),
    "map": MAP(),
}
SHOWN = ["crps", "mean_wql", "coverage_50", "width_50", "coverage_95", "width_95"]


def validate(trial: str, method: InferenceMethod, dataset: str) -> pd.DataFrame:
    """Train on what lies before the validation range and score on the validation windows."""
    data = load(dataset)
    network = DeepAREstimator(freq=data.freq, prediction_length=data.prediction_length)
    return backtest(
        {trial: BayesianEstimator(network, method, gradient_evaluations=GRADIENT_EVALUATIONS)},
        data.validation,
        prediction_length=data.prediction_length,
        windows=WINDOWS[dataset],
        season=data.season,
        training_data=data.validation_training,
        baselines=False,
        dataset_name=dataset,
        keep_forecasts=False,
    ).results


def main() -> None:
    torch.set_num_threads(1)
    path = RESULTS / "defaults.csv"
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["dataset", "model"])
    for trial, method in TRIALS.items():
        for dataset in WINDOWS:
            if ((done.dataset == dataset) & (done.model == trial)).any():
                continue
            results = validate(trial, method, dataset)
            done = pd.concat([done, results], ignore_index=True) if len(done) else results
            write(done, "defaults")
            print(dataset, trial, flush=True)
    table = done[done.metric.isin(SHOWN)].pivot_table(
        index=["dataset", "model"], columns="metric", values="value", sort=False
    )
    show(table[SHOWN].reset_index(), f"Validation windows, {GRADIENT_EVALUATIONS} evaluations")


if __name__ == "__main__":
    main()
