"""How many gradient evaluations score VI and the ELBO need for an equally good posterior.

`python -m benchmarks.convergence [DATASETS] [--jobs N]` writes results/convergence.csv: our DeepAR
trained with budgets from 1,250 to 5,000 gradient evaluations on each dataset, one seed, default
settings; score VI once more with precisions that start from the pooled estimate of its probe.
What is compared is the training ELBO an observation, by one estimator for both,

.. math:: -\\frac1S \\sum_s \\mathrm{loss}(\\theta_s) - \\frac{T}{N} \\mathrm{KL}(q \\,\\|\\, p_T),

with S = 64 draws and 512 windows of the training data that are the same for all. Every budget is a
training of its own, since schedules end with the budget.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import Any

import pandas as pd
import torch
from joblib import Parallel, delayed

from benchmarks.forecasting.grid import DATASETS
from benchmarks.output import append, read, show
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.datasets import load
from tsbnn.forecasting import window_losses
from tsbnn.foreign.random_state import RandomStream

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "score": ("score", {}),
    "score, pooled": ("score", {"probe_estimate": "pooled"}),
    "elbo": ("elbo", {}),
}
REFERENCE = "elbo"
BUDGETS = (5_000, 2_500, 3_750, 1_250)
DRAWS, WINDOWS = 64, 512
KEYS = ["dataset", "method", "budget", "seed"]


def train(dataset: str, name: str, budget: int, seed: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    data = load(dataset)
    method, settings = METHODS[name]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    network = DeepAREstimator(
        freq=data.freq,
        prediction_length=data.prediction_length,
        num_feat_dynamic_real=data.dataset.num_feat_dynamic_real,
        trainer_kwargs=quiet,
    ).adapted_to(data.training)
    estimator = BayesianEstimator(
        network,
        method,
        inference_kwargs=settings,
        gradient_evaluations=budget,
        seed=seed,
    )
    started = time.perf_counter()
    predictor = estimator.train(data.training)
    found = predictor.training_summary["diagnostics"]
    return {
        **dict(zip(KEYS, (dataset, name, budget, seed), strict=True)),
        "loss": expected_loss(predictor, network, data),
        "kl": found["kl"],
        "num_observations": found["num_observations"],
        "train_s": time.perf_counter() - started,
    }


@torch.no_grad()
def expected_loss(predictor: Any, estimator: Any, data: Any) -> float:
    """Mean negative log-likelihood of an observation over draws, in nats."""
    network = predictor.network.network
    # GluonTS's sampler of windows counts what it has seen, and draws from global random state.
    estimator = copy.deepcopy(estimator)
    estimator.batch_size, estimator.num_batches_per_epoch = WINDOWS, 1
    with RandomStream(0).active():
        transformed = estimator.create_transformation().apply(data.training, is_train=True)
        loader = estimator.create_training_data_loader(
            transformed, estimator.create_lightning_module()
        )
        batch = next(iter(loader))
    generator = torch.Generator().manual_seed(0)
    total = observed = 0.0
    for _ in range(DRAWS):
        with predictor.posterior.drawn(network, generator=generator):
            losses = window_losses(network, batch)
        total += float(losses.total.sum())
        observed += float(losses.observed.sum())
    return total / observed


def with_elbo(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the training ELBO an observation."""
    return rows.assign(elbo=-rows.loss - rows.kl / rows.num_observations)


def reached(table: pd.DataFrame) -> pd.DataFrame:
    """Smallest budget of each method whose ELBO is at least the other's at the full budget."""
    rows = []
    for dataset, found in table.groupby("dataset", sort=False):
        for method in METHODS:
            if method == REFERENCE:
                continue
            row = {"dataset": dataset, "method": method}
            for own, other in ((method, REFERENCE), (REFERENCE, method)):
                goal = found[(found.method == other) & (found.budget == max(BUDGETS))].elbo
                there = found[(found.method == own) & (found.elbo >= goal.max())].budget
                row["it reaches ELBO's with" if own == method else "ELBO reaches its with"] = (
                    there.min()
                )
            rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="*", default=list(DATASETS))
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    given = parser.parse_args()
    done = read("convergence", KEYS)
    finished = set(done[KEYS].itertuples(index=False, name=None))
    runs = [
        run
        for run in ((d, m, b, 0) for b in BUDGETS for d in given.datasets for m in METHODS)
        if run not in finished
    ]
    parallel = Parallel(n_jobs=given.jobs, return_as="generator_unordered")
    for row in parallel(delayed(train)(*run) for run in runs):
        done = append(done, row, "convergence")
    done = with_elbo(done)
    table = done.pivot_table(index=["dataset", "method"], columns="budget", values="elbo")
    show(table.reset_index(), "Training ELBO an observation, by budget")
    show(reached(done), "Gradient evaluations to the other's final ELBO")


if __name__ == "__main__":
    main()
