"""The causes of a loss: a posterior's mean alone, and the table."""

from __future__ import annotations

import pandas as pd
import torch

from benchmarks.forecasting import ablation
from benchmarks.forecasting.models import estimator
from tsbnn.datasets import load


def test_the_mean_of_a_posterior_is_kept_as_a_point() -> None:
    data = load("us_macro")
    posterior = estimator("deepar, score", data, gradient_evaluations=20)
    alone = ablation.MeanAlone(posterior).with_seed(3).train(data.training)
    whole = posterior.with_seed(3).train(data.training)
    assert alone.posterior.num_atoms == 1
    assert whole.posterior.num_atoms is None
    assert torch.equal(alone.posterior.mean, whole.posterior.mean)
    forecast = next(iter(alone.predict(data.training)))
    assert forecast.num_draws == 1


def test_trials_stand_beside_what_was_compared() -> None:
    def rows(model: str, dataset: str, *crps: float) -> list[dict[str, object]]:
        metrics = {"mean_wql": 0.01, "coverage_95": 0.9}
        return [
            {"dataset": dataset, "model": model, "seed": seed, "metric": metric, "value": value}
            for seed, one in enumerate(crps)
            for metric, value in {"crps": one, **metrics}.items()
        ]

    m4 = ablation.DATASET
    compared = [*rows("deepar, map", m4, 190.0, 200.0), *rows("deepar, map", "etth1", 1.0)]
    trial = "map, half of the gradients"
    found = ablation.table(pd.DataFrame(rows(trial, m4, 250.0)), pd.DataFrame(compared))
    assert found.trained.tolist() == ["map", trial]
    assert found["CRPS by seed"].tolist() == ["190, 200", "250"]
    assert found["mean"].tolist() == ["195", "250"]
    assert found["95 % covers"].tolist() == ["90%", "90%"]
