"""What is learnt: seasons, and a covariate that a seasonal naive forecast does not know of."""

from __future__ import annotations

import numpy as np
import pytest
from gluonts.dataset.common import ListDataset

from tsbnn import (
    BayesianEstimator,
    DeepAREstimator,
    PatchTransformerEstimator,
    TransformerEstimator,
)
from tsbnn.evaluation import SeasonalNaiveGaussian
from tsbnn.evaluation.scores import crps
from tsbnn.foreign.random_state import RandomStream

HORIZON, SEASON, LENGTH = 8, 8, 120
SMALL = {"d_model": 16, "num_layers": 1, "dim_feedforward": 32, "context_length": 16}
LAGS = {"lags_seq": [1, 8]}
NETWORKS = {
    "deepar": (DeepAREstimator, {"hidden_size": 16, "num_layers": 1, **LAGS}),
    "transformer": (TransformerEstimator, SMALL | LAGS),
    "patch_transformer": (PatchTransformerEstimator, SMALL | {"patch_len": 1}),
}


def series() -> tuple[np.ndarray, np.ndarray]:
    """Waves of different levels and phases, raised by half their level where a covariate is 1."""
    rng = np.random.default_rng(3)
    time = np.arange(LENGTH)[None, :] + rng.integers(SEASON, size=(20, 1))
    level = rng.uniform(5, 50, size=(20, 1))
    promotion = rng.integers(2, size=(20, LENGTH)).astype(float)
    noise = 0.05 * rng.normal(size=(20, LENGTH))
    wave = 0.5 * np.sin(2 * np.pi * time / SEASON)
    return level * (1 + wave + 0.5 * promotion + noise), promotion


def score(predictor, history, labels) -> float:
    with RandomStream(0).active():
        samples = np.stack([f.samples for f in predictor.predict(history, num_samples=100)])
    # Each series counts alike, whatever its level.
    level = labels.mean(1, keepdims=True)
    return crps(labels / level, samples / level[..., None])


@pytest.mark.parametrize(
    ("name", "inference"), [*((name, None) for name in NETWORKS), ("deepar", "score")]
)
def test_a_network_beats_the_seasonal_naive(name, inference) -> None:
    target, promotion = series()

    def data(cut: int) -> ListDataset:
        rows = [
            {"start": "2021-01-01", "target": row[:-HORIZON], "feat_dynamic_real": [known]}
            for row, known in zip(target, promotion[:, : LENGTH - cut], strict=True)
        ]
        return ListDataset(rows, freq="h")

    training, history, labels = data(HORIZON), data(0), target[:, -HORIZON:]
    cls, sizes = NETWORKS[name]
    steps = {} if inference else {"max_steps": 200, "max_epochs": -1}
    estimator = cls(
        "h",
        HORIZON,
        lr=1e-3 if inference else 1e-2,
        time_features=[],
        num_feat_dynamic_real=1,
        trainer_kwargs={"enable_progress_bar": False, "enable_model_summary": False, **steps},
        **sizes,
    )
    if inference:
        estimator = BayesianEstimator(estimator, inference, gradient_evaluations=300)
    with RandomStream(0).active():
        predictor = estimator.train(training)
    naive = SeasonalNaiveGaussian(HORIZON, SEASON).train(history)
    found, bar = score(predictor, history, labels), score(naive, history, labels)
    assert found < 0.6 * bar
