"""The comparison of training ELBOs: one estimator for all methods, and what it reads off."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from benchmarks import convergence
from benchmarks.convergence import expected_loss, reached
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.datasets import load
from tsbnn.forecasting import window_losses


def test_the_loss_is_that_of_fixed_draws_on_fixed_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []

    def counted(network: Any, batch: Any) -> Any:
        sizes.append(len(batch["past_target"]))
        return window_losses(network, batch)

    monkeypatch.setattr(convergence, "window_losses", counted)
    monkeypatch.setattr(convergence, "DRAWS", 3)
    data = load("elnino")
    network = DeepAREstimator(
        freq=data.freq,
        prediction_length=data.prediction_length,
        hidden_size=4,
        num_layers=1,
        trainer_kwargs={"enable_progress_bar": False, "logger": False},
    )
    short, long = (
        BayesianEstimator(network, "map", gradient_evaluations=budget).train(data.training)
        for budget in (2, 150)
    )
    first, again = (expected_loss(short, network, data) for _ in range(2))
    assert first == again
    assert sizes == 6 * [512]
    assert expected_loss(long, network, data) < first - 0.1


def test_budgets_are_the_smallest_that_reach_the_other_methods_best() -> None:
    elbos = {"score": {1_250: 0.0, 2_500: 2.0, 5_000: 3.0}, "elbo": {1_250: 1.0, 5_000: 1.5}}
    table = pd.DataFrame(
        [("a", m, b, elbo) for m, found in elbos.items() for b, elbo in found.items()],
        columns=["dataset", "method", "budget", "elbo"],
    )
    row = reached(table).set_index("method").loc["score"]
    assert row["it reaches ELBO's with"] == 2_500
    assert pd.isna(row["ELBO reaches its with"])
