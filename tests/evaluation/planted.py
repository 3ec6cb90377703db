"""Backtests to report on: models with planted errors, posteriors and traces of training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from gluonts.model.forecast import SampleForecast

from tsbnn.evaluation import Backtest, backtest

STEPS = 4


class Drawn(SampleForecast):
    """Paths of ten weight draws."""

    num_draws = 10

    @property
    def epistemic_variance(self) -> np.ndarray:
        return np.linspace(-0.1, 0.3, STEPS)

    @property
    def total_std(self) -> np.ndarray:
        return self.samples.std(axis=0)


def diagnostics(seed: int, warnings: list[str]) -> dict[str, Any]:
    """What training tells of a posterior over two tensors, one of them without a spread."""
    layer = {
        "name": "head.weight <i>",
        "num_weights": 1200,
        "num_spread": 1200,
        "spread": [0.0123, 0.456, 0.99],
        "shift": 0.1,
        "learnt_nothing": 0.25,
        "collapsed": 0.0,
        "gradient_noise": 0.97,
        "details": {"strength": 33.3},
    }
    empty = dict.fromkeys(["spread", "shift", "learnt_nothing", "collapsed", "gradient_noise"])
    fixed = {"name": "body", "num_weights": 7, "num_spread": 0, **empty}
    return {
        "num_observations": 123,
        "temperature": 0.5,
        "elbo": -1.25 - seed,
        "elbo_note": None,
        "gradient_noise": 0.97,
        "learnt_nothing": 0.25,
        "collapsed": None,
        "details": {"trust_region_hits": 0.125, "swaps": None},
        "layers": [layer, {**fixed, "details": {"strength": 4e-7}}],
        "warnings": warnings,
    }


class Planted:
    """An estimator and predictor that adds noise and bias to the last value."""

    prediction_length = STEPS

    def __init__(self, bias: float, kind: type = SampleForecast, seed: int = 0) -> None:
        self.bias, self.kind, self.seed = bias, kind, seed
        self.training_summary: dict[str, Any] = {}

    def with_seed(self, seed: int) -> Planted:
        return Planted(self.bias, self.kind, seed)

    def describe(self) -> dict[str, str]:
        return {"network": "planted <b>", "inference": "score", "family": "mean_field"}

    def train(self, training_data: Any) -> Planted:
        self.training_summary = {
            "gradient_evaluations": 10 + self.seed,
            "num_observations": 123,
            "num_weights": 4567,
            "temperature": 0.5,
            "settings": {"learning_rate": 0.005, "prior": {"name": "<script>"}},
            "trace": {"gradient_evaluations": [2.0, 5.0, 10.0], "loss": [3.0, 2.0, 1.5]},
        }
        if self.kind is Drawn:
            found = diagnostics(self.seed, [f"Collapsed & under seed {self.seed}."])
            self.training_summary["diagnostics"] = found
        return self

    def predict(self, dataset: Any, num_samples: int) -> Iterator[SampleForecast]:
        generator = np.random.default_rng(self.seed)
        for entry in dataset:
            noise = generator.normal(self.bias, 1, (num_samples, STEPS)).cumsum(axis=1)
            yield self.kind(
                samples=entry["target"][-1] + noise,
                start_date=entry["start"] + len(entry["target"]),
                item_id=entry["item_id"],
            )


def series(count: int = 2, length: int = 120) -> list[dict[str, Any]]:
    """Random walks of shops."""
    generator = np.random.default_rng(0)
    return [
        {
            "item_id": f"shop & {i}",
            "start": pd.Period("2024-01-01", freq="D"),
            "target": generator.normal(0, 1, length).cumsum().astype(np.float32),
        }
        for i in range(count)
    ]


def run(
    seeds: tuple[int, ...] = (0,),
    windows: int = 12,
    count: int = 2,
    dataset_name: str = "shops",
    **models: Any,
) -> Backtest:
    """Backtest models, by default a good one with a posterior and a biased one without."""
    return backtest(
        models or {"good": Planted(0.0, Drawn), "biased": Planted(2.0)},
        series(count),
        prediction_length=STEPS,
        windows=windows,
        seeds=seeds,
        num_samples=50,
        baselines={},
        dataset_name=dataset_name,
    )
