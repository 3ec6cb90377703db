"""Small series, and estimators that stand in for real ones: some honest, some not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from gluonts.model.forecast import SampleForecast


def series(
    count: int = 3, length: int = 60, freq: str = "D", seed: int = 0, **fields: Any
) -> list[dict[str, Any]]:
    """Noisy weekly patterns on different levels."""
    rng = np.random.default_rng(seed)
    pattern = np.sin(2 * np.pi * np.arange(length) / 7)
    return [
        {
            "item_id": f"s{i}",
            "start": pd.Period("2024-01-01", freq),
            "target": (10 * (i + 1) + pattern + rng.normal(0, 0.3, length)).astype(np.float32),
            **fields,
        }
        for i in range(count)
    ]


class Fake:
    """Estimator and predictor in one: Gaussian paths around the last value it is given.

    It remembers what it was shown, and draws from NumPy's global state, as foreign code does.
    """

    def __init__(self, prediction_length: int = 5, spread: float = 1.0) -> None:
        self.prediction_length = prediction_length
        self.spread = spread
        self.trained: list[list[dict[str, Any]]] = []
        self.shown: list[dict[str, Any]] = []

    def train(self, training_data: Any) -> Fake:
        self.trained.append(list(training_data))
        return self

    def center(self, entry: dict[str, Any]) -> np.ndarray:
        return np.full(self.prediction_length, np.nan_to_num(entry["target"])[-1])

    def predict(self, dataset: Any, num_samples: int = 20) -> Iterator[SampleForecast]:
        for entry in dataset:
            self.shown.append(entry)
            noise = np.random.standard_normal((num_samples, self.prediction_length))  # noqa: NPY002
            yield SampleForecast(
                samples=self.center(entry) + self.spread * noise,
                start_date=entry["start"] + len(entry["target"]),
                item_id=entry.get("item_id"),
            )


class Cheat(Fake):
    """Returns the last values of what it is given: perfect if these are the labels."""

    def center(self, entry: dict[str, Any]) -> np.ndarray:
        return np.nan_to_num(entry["target"])[-self.prediction_length :]

    def predict(self, dataset: Any, num_samples: int = 20) -> Iterator[SampleForecast]:
        for forecast, entry in zip(super().predict(dataset, num_samples), dataset, strict=True):
            forecast.samples = np.repeat(self.center(entry)[None], num_samples, axis=0)
            yield forecast


class Described(Fake):
    """Seeded by ``with_seed``, with a name and a training summary, and Bayesian forecasts."""

    def __init__(self, seed: int = -1, evaluations: int = 12) -> None:
        super().__init__()
        self.seed = seed
        self.training_summary = {
            "gradient_evaluations": evaluations,
            "num_observations": 99,
            "temperature": 0.5,
        }

    def with_seed(self, seed: int) -> Described:
        return Described(seed, self.training_summary["gradient_evaluations"])

    def describe(self) -> dict[str, str]:
        return {"network": "deepar", "inference": "score", "family": "mean_field"}

    def predict(self, dataset: Any, num_samples: int = 20) -> Iterator[SampleForecast]:
        rng = np.random.default_rng(self.seed)
        for forecast in super().predict(dataset, num_samples):
            forecast.samples = forecast.samples + rng.normal()
            forecast.epistemic_variance = np.full(self.prediction_length, 0.25)
            forecast.total_std = np.full(self.prediction_length, 1.0)
            yield forecast


class Failing(Fake):
    """Fails in training under odd seeds, which it is told by the global random state."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def with_seed(self, seed: int) -> Failing:
        return Failing(seed)

    def train(self, training_data: Any) -> Failing:
        if self.seed % 2:
            raise ArithmeticError("the weights are NaN")
        return self
