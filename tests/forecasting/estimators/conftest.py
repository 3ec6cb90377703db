"""Tiny estimators of our networks, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tsbnn import DeepAREstimator, PatchTransformerEstimator, TransformerEstimator

HORIZON = 4
QUIET = {
    "max_epochs": 2,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}
SIZES = {"d_model": 4, "nhead": 2, "num_layers": 1, "dim_feedforward": 4}
OURS: dict[str, tuple[type, dict[str, Any]]] = {
    "deepar": (DeepAREstimator, {"hidden_size": 4, "lags_seq": [1, 2, 7]}),
    "transformer": (TransformerEstimator, {"lags_seq": [1, 2, 7], **SIZES}),
    "patch_transformer": (PatchTransformerEstimator, {"context_length": 10, **SIZES}),
}


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    """Build a tiny estimator of ours by the name of its network."""

    def make(name: str, trainer_kwargs: dict[str, Any] | None = None, **arguments: Any) -> Any:
        cls, sizes = OURS[name]
        settings = {
            "freq": "h",
            "prediction_length": HORIZON,
            "batch_size": 4,
            "num_batches_per_epoch": 3,
            "num_parallel_samples": 10,
            **sizes,
            **arguments,
        }
        return cls(**settings, trainer_kwargs={**QUIET, **(trainer_kwargs or {})})

    return make


@pytest.fixture(params=list(OURS))
def name(request: pytest.FixtureRequest) -> str:
    """Each of our networks in turn."""
    network: str = request.param
    return network
