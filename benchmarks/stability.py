"""Does score VI with its default settings ever diverge on GluonTS's default-size DeepAR?

`python -m benchmarks.stability` trains 20 seeds of 1,000 minibatches and 3 seeds of 5,000 on
exchange_rate and etth1 (read from TSBNN_DATA_DIR) and writes results/stability_DATASET.csv, a row
for each run. Finished runs are not run again: a killed one loses at most the run it was in. A
shard, e.g. `python -m benchmarks.stability etth1`, may run beside another.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from gluonts.torch import DeepAREstimator

from benchmarks.output import append, read, show
from tsbnn import BayesianEstimator, ProximalScoreVI
from tsbnn.datasets import load

DATASETS = ("exchange_rate", "etth1")
RUNS = [(1_000, seed) for seed in range(20)] + [(5_000, seed) for seed in range(3)]


def train(dataset: str, minibatches: int, seed: int) -> dict[str, Any]:
    data = load(dataset)
    network = DeepAREstimator(
        freq=data.freq,
        prediction_length=data.prediction_length,
        num_batches_per_epoch=100,
        trainer_kwargs={
            "max_epochs": minibatches // 100,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    )
    estimator = BayesianEstimator(network, inference=ProximalScoreVI(), seed=seed)
    started = time.perf_counter()
    predictor = estimator.train(data.training, cache_data=True)
    posterior = predictor.posterior
    samples = np.stack([f.samples for f in predictor.predict(data.training, num_samples=20)])
    scale = np.mean([np.nanmean(np.abs(entry["target"])) for entry in data.training])
    return {
        "dataset": dataset,
        "minibatches": minibatches,
        "seed": seed,
        "finite": bool(
            torch.isfinite(posterior.mean).all()
            and torch.isfinite(posterior.variance).all()
            and np.isfinite(samples).all()
        ),
        "train_loss": predictor.training_summary["train_loss"],
        "largest_mean": float(posterior.mean.abs().max()),
        "smallest_sd": float(posterior.variance.sqrt().min()),
        "largest_sd": float(posterior.variance.sqrt().max()),
        "median_width_over_scale": float(
            np.median(np.quantile(samples, 0.9, axis=1) - np.quantile(samples, 0.1, axis=1)) / scale
        ),
        "wall_s": time.perf_counter() - started,
    }


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for dataset in sys.argv[1:] or DATASETS:
        name = f"stability_{dataset}"
        done = read(name, ["minibatches", "seed"])
        for minibatches, seed in RUNS:
            if ((done.minibatches == minibatches) & (done.seed == seed)).any():
                continue
            done = append(done, train(dataset, minibatches, seed), name)
        losses = done.groupby("minibatches").train_loss
        show(
            pd.DataFrame(
                {
                    "runs": losses.count(),
                    "not finite": (~done.finite).groupby(done.minibatches).sum(),
                    "lowest loss": losses.min(),
                    "highest loss": losses.max(),
                    "largest weight": done.groupby("minibatches").largest_mean.max(),
                }
            ).reset_index(),
            f"Score VI on {dataset}, default settings",
        )
        if not done.finite.all() or not all(math.isfinite(loss) for loss in done.train_loss):
            raise SystemExit(f"{dataset}: a run diverged")


if __name__ == "__main__":
    main()
