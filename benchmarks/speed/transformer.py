"""Our Transformer: what its key/value cache saves, and what a step of score VI costs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.timing import alternate, row
from tsbnn import TransformerEstimator
from tsbnn.datasets import load
from tsbnn.forecasting import window_losses
from tsbnn.inference import method

HORIZON, PATHS, SERIES = 48, 100, 8
PREDICTIONS, STEPS, STEP_TURNS = 5, 8, 21
CACHE_GOAL, STEP_GOAL = 1 / 5, 1.10


def rows() -> list[dict[str, Any]]:
    """Measure predictions with and without cache, and training steps."""
    data = load("m4_hourly")
    estimator = TransformerEstimator(
        freq=data.freq, prediction_length=HORIZON, dropout_rate=0.0, lr=1e-3
    )
    return [cache_row(estimator, data), step_row(estimator, data)]


def first_batch(estimator: Any, data: Any) -> tuple[Any, dict[str, Tensor]]:
    """Build a network and a training batch of it."""
    torch.manual_seed(0)
    module = estimator.create_lightning_module()
    transformed = estimator.create_transformation().apply(data.training, is_train=True)
    batch = next(iter(estimator.create_training_data_loader(transformed, module)))
    return module.model, batch


def cache_row(estimator: Any, data: Any) -> dict[str, Any]:
    """Time sample paths of a few series."""
    network, batch = first_batch(estimator, data)
    network.eval()
    inputs = {name: value[:SERIES] for name, value in batch.items()}

    def predict(*, use_cache: bool) -> None:
        network.use_cache = use_cache
        with torch.no_grad():
            network(**inputs, num_parallel_samples=PATHS)

    seconds = alternate(
        {
            "with": lambda: predict(use_cache=True),
            "without": lambda: predict(use_cache=False),
        },
        PREDICTIONS,
        warm_up=1,
    )
    return row(
        "transformer",
        f"prediction with cache, h={HORIZON}, {SERIES} series x {PATHS} paths",
        seconds["with"],
        seconds["without"],
        goal=CACHE_GOAL,
        against="the same without cache",
    )


def step_row(estimator: Any, data: Any) -> dict[str, Any]:
    """Time steps of score VI (pairs, behind its probe) and of Adam; seconds of an evaluation."""
    own, batch = first_batch(estimator, data)
    other, _ = first_batch(estimator, data)
    score = method("score", warm_start=0.0, probe_steps=8).optimizer(
        own, num_observations=300_000, total_steps=5_000
    )
    adam = torch.optim.Adam(other.parameters(), 1e-3, foreach=True)

    def side(network: Any, optimizer: Any, steps: int) -> Any:
        def closure() -> Tensor:
            optimizer.zero_grad()
            losses = window_losses(network, batch)
            loss = losses.total.sum() / losses.observed.sum()
            loss.backward()
            return loss

        def run() -> None:
            for _ in range(steps):
                optimizer.step(closure)

        return run

    # A pair is two evaluations, so half as many steps are as many evaluations.
    seconds = alternate(
        {"score": side(own, score, STEPS // 2), "adam": side(other, adam, STEPS)},
        STEP_TURNS,
        warm_up=3,
    )
    return row(
        "transformer",
        f"{STEPS} gradient evaluations of score VI, batch {len(batch['past_target'])}",
        seconds["score"],
        seconds["adam"],
        goal=STEP_GOAL,
        against="as many of torch's Adam on the same network and batch",
    )
