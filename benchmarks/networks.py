"""Our networks beside GluonTS's DeepAR, on test windows: is anything lost by being faster?

`python -m benchmarks.networks` writes results/networks_DATASET.csv with one row per model, seed and
metric: 5 seeds and 2,000 gradient evaluations for every model, data from TSBNN_DATA_DIR. Finished
cells are not run again; name datasets on the command line to run one beside another. All settings
are defaults.

`deepar, map` and `gluonts_deepar, map` are the same model, trained alike from different initial
weights and windows: they should agree within noise. GluonTS's DeepAR trained by GluonTS itself
stands beside them, and the Transformers.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from gluonts.torch import DeepAREstimator as GluonTSDeepAR

from benchmarks.forecasting import CachedDeepAR, run, summary
from benchmarks.output import show
from tsbnn import (
    BayesianEstimator,
    DeepAREstimator,
    PatchTransformerEstimator,
    TransformerEstimator,
)
from tsbnn.evaluation import SeasonalNaiveGaussian

DATASETS = ("exchange_rate", "etth1", "m4_hourly")
GRADIENT_EVALUATIONS = 2_000


def models(data: Any) -> dict[str, Any]:
    settings = {"freq": data.freq, "prediction_length": data.prediction_length}
    networks = {
        "deepar": DeepAREstimator(**settings),
        "gluonts_deepar": GluonTSDeepAR(**settings),
        "transformer": TransformerEstimator(**settings),
        "patch_transformer": PatchTransformerEstimator(**settings),
    }

    def bayesian(network: str, inference: str) -> BayesianEstimator:
        return BayesianEstimator(
            networks[network], inference, gradient_evaluations=GRADIENT_EVALUATIONS
        )

    steps = {"max_steps": GRADIENT_EVALUATIONS, "max_epochs": -1}
    return {
        "seasonal_naive": SeasonalNaiveGaussian(data.prediction_length, data.season),
        "deepar, map": bayesian("deepar", "map"),
        "gluonts_deepar, map": bayesian("gluonts_deepar", "map"),
        "gluonts_deepar, adam": CachedDeepAR(**settings, trainer_kwargs=steps),
        "deepar, score": bayesian("deepar", "score"),
        "transformer, map": bayesian("transformer", "map"),
        "transformer, score": bayesian("transformer", "score"),
        "patch_transformer, map": bayesian("patch_transformer", "map"),
        "patch_transformer, score": bayesian("patch_transformer", "score"),
    }


def main() -> None:
    torch.set_num_threads(1)
    for dataset in sys.argv[1:] or DATASETS:
        results = run(dataset, f"networks_{dataset}", models)
        show(summary(results), f"{dataset}: mean ± standard error over the seeds")


if __name__ == "__main__":
    main()
