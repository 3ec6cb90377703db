"""Training DeepAR by score VI and by MAP, beside GluonTS's training of its own DeepAR.

Every side is the whole `train` call on exchange_rate with 5,000 gradient evaluations: GluonTS's 100
epochs of 50 batches, and as many evaluations of ours. Weights, context, batch size and dropout are
equal (dropout is 0, as posterior methods have none), and checked to be. Each side has a process of
its own: ours makes the memory allocator keep what is freed, which would help GluonTS's too.
"""

from __future__ import annotations

import functools
import logging
import tempfile
import warnings
from typing import Any

import torch
from gluonts.torch import DeepAREstimator as GluonTSDeepAR

from benchmarks.speed.timing import Side, alternate, row
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.datasets import load
from tsbnn.inference import count_weights

EVALUATIONS, BATCHES_PER_EPOCH, REPEATS = 5_000, 50, 5
# Of each side before the first turn.
FIRST = 200
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}
GOALS = {
    ("score", "gluonts"): 0.40,
    ("score", "gluonts, cached"): 0.85,
    ("map", "gluonts"): 0.38,
    ("map", "gluonts, cached"): 0.80,
}


def settings(data: Any) -> dict[str, Any]:
    """Arguments of both estimators."""
    return {
        "freq": data.freq,
        "prediction_length": data.prediction_length,
        "dropout_rate": 0.0,
        "num_batches_per_epoch": BATCHES_PER_EPOCH,
    }


@functools.cache
def prepare() -> Any:
    """Load the data and quieten the process, once in each."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    return load("exchange_rate")


def train_gluonts(evaluations: int, *, cache: bool) -> None:
    """Train GluonTS's DeepAR as it does."""
    data = prepare()
    with tempfile.TemporaryDirectory() as folder:
        theirs = {
            **QUIET,
            "max_epochs": evaluations // BATCHES_PER_EPOCH,
            "default_root_dir": folder,
        }
        estimator = GluonTSDeepAR(**settings(data), trainer_kwargs=theirs)
        output = estimator.train_model(data.training, cache_data=cache)
    if output.trainer.global_step != evaluations:
        raise ValueError(f"GluonTS took {output.trainer.global_step} steps, not {evaluations}")


def train_own(evaluations: int, inference: str) -> None:
    """Train our DeepAR by an inference method."""
    data = prepare()
    estimator = BayesianEstimator(
        DeepAREstimator(**settings(data), trainer_kwargs=QUIET),
        inference,
        gradient_evaluations=evaluations,
    )
    spent = estimator.train(data.training).training_summary["gradient_evaluations"]
    # A budget that ends between the two evaluations of a pair loses one.
    if not evaluations - 1 <= spent <= evaluations:
        raise ValueError(f"{inference} took {spent} gradient evaluations, not {evaluations}")


def check_equal(theirs: Any, ours: Any) -> None:
    """Check that both networks have as many weights and see as much.

    Raises
    ------
    ValueError
        If anything differs.
    """
    networks = [side.create_lightning_module().model for side in (theirs, ours)]
    compared = {
        "weights": [count_weights(network) for network in networks],
        "context": [network.context_length for network in networks],
        "points before the forecast": [network.past_length for network in networks],
        "lags": [len(network.lags_seq) for network in networks],
        "batch size": [side.batch_size for side in (theirs, ours)],
        "dropout": [network.rnn.dropout for network in networks],
        "layers": [network.rnn.num_layers for network in networks],
    }
    for name, (their, our) in compared.items():
        if their != our:
            raise ValueError(f"the sides differ in {name}: {their} of GluonTS's, {our} of ours")


def sides(evaluations: int) -> dict[str, Side]:
    """Build the `train` calls that are timed."""
    partial = functools.partial
    return {
        "gluonts": partial(train_gluonts, evaluations, cache=False),
        "gluonts, cached": partial(train_gluonts, evaluations, cache=True),
        "score": partial(train_own, evaluations, "score"),
        "map": partial(train_own, evaluations, "map"),
    }


def rows() -> list[dict[str, Any]]:
    """Measure all pairs of sides."""
    data = prepare()
    ours = DeepAREstimator(**settings(data)).adapted_to(data.training)
    check_equal(GluonTSDeepAR(**settings(data)), ours)
    seconds = alternate(sides(EVALUATIONS), REPEATS, before=sides(FIRST), apart=True)
    return [
        row(
            "training",
            f"DeepAR, {own}, {EVALUATIONS:,} evaluations, exchange_rate",
            seconds[own],
            seconds[other],
            goal=goal,
            against=f"{other}: its DeepAREstimator.train",
        )
        for (own, other), goal in GOALS.items()
    ]
