"""Tiny estimators of every supported network, and small data sets for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gluonts.dataset.common import ListDataset
from gluonts.torch import (
    DeepAREstimator,
    DLinearEstimator,
    LagTSTEstimator,
    PatchTSTEstimator,
    SimpleFeedForwardEstimator,
    TemporalFusionTransformerEstimator,
    TiDEEstimator,
    WaveNetEstimator,
)
from gluonts.torch.distributions import StudentTOutput
from gluonts.torch.model.i_transformer import ITransformerEstimator

from tsbnn import DeepAREstimator as OurDeepAREstimator
from tsbnn import PatchTransformerEstimator, TransformerEstimator

HORIZON = 4
QUIET = {"max_epochs": 2, "enable_progress_bar": False, "enable_model_summary": False}
SIZES = {"d_model": 4, "nhead": 2, "num_layers": 1, "dim_feedforward": 4}

TINY: dict[str, tuple[type, dict[str, Any]]] = {
    "deepar": (DeepAREstimator, {"freq": "h", "hidden_size": 4, "num_layers": 1, "lags_seq": [1]}),
    "simple_feedforward": (
        SimpleFeedForwardEstimator,
        {"context_length": 8, "hidden_dimensions": [4, 4]},
    ),
    "patch_tst": (
        PatchTSTEstimator,
        {
            "context_length": 8,
            "patch_len": 4,
            "d_model": 4,
            "nhead": 2,
            "dim_feedforward": 4,
            "num_encoder_layers": 1,
        },
    ),
    "tft": (
        TemporalFusionTransformerEstimator,
        {
            "freq": "h",
            "context_length": 8,
            "hidden_dim": 4,
            "variable_dim": 4,
            "num_heads": 2,
            "distr_output": StudentTOutput(),
        },
    ),
    "wavenet": (
        WaveNetEstimator,
        {
            "freq": "h",
            "num_bins": 16,
            "num_residual_channels": 3,
            "num_skip_channels": 3,
            "dilation_depth": 3,
            "negative_data": True,
        },
    ),
    "tide": (
        TiDEEstimator,
        {
            "freq": "h",
            "context_length": 8,
            "encoder_hidden_dim": 4,
            "decoder_hidden_dim": 4,
            "temporal_hidden_dim": 4,
            "distr_hidden_dim": 2,
            "decoder_output_dim": 2,
            "feat_proj_hidden_dim": 2,
        },
    ),
    "d_linear": (DLinearEstimator, {"context_length": 8, "hidden_dimension": 2, "kernel_size": 3}),
    "lag_tst": (
        LagTSTEstimator,
        {
            "freq": "h",
            "context_length": 8,
            "lags_seq": [1, 2],
            "d_model": 4,
            "nhead": 2,
            "dim_feedforward": 4,
            "num_encoder_layers": 1,
        },
    ),
    "i_transformer": (
        ITransformerEstimator,
        {
            "context_length": 8,
            "d_model": 4,
            "nhead": 2,
            "dim_feedforward": 4,
            "num_encoder_layers": 1,
        },
    ),
    "our_deepar": (
        OurDeepAREstimator,
        {"freq": "h", "hidden_size": 4, "num_layers": 1, "lags_seq": [1]},
    ),
    "our_transformer": (TransformerEstimator, {"freq": "h", "lags_seq": [1], **SIZES}),
    "our_patch_transformer": (
        PatchTransformerEstimator,
        {"freq": "h", "context_length": 8, "patch_len": 3, **SIZES},
    ),
}


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Any]:
    """Build a tiny estimator by the name of its network: GluonTS's, or one of ours."""

    def build(name: str, trainer_kwargs: dict[str, Any] | None = None, **arguments: Any) -> Any:
        cls, defaults = TINY[name]
        return cls(
            **{
                "prediction_length": HORIZON,
                "batch_size": 4,
                "num_batches_per_epoch": 3,
                **defaults,
                **arguments,
            },
            trainer_kwargs={**QUIET, **(trainer_kwargs or {})},
        )

    return build


@pytest.fixture(scope="session")
def series() -> ListDataset:
    """Three hourly series of different lengths, with ids, info, gaps and a field nobody knows."""
    rng = np.random.default_rng(7)
    entries = []
    for number, length in enumerate([60, 35, 90]):
        target = 10 + np.sin(np.arange(length) / 4) + 0.1 * rng.normal(size=length)
        target[number + 5 : number + 9] = np.nan
        entries.append(
            {
                "item_id": f"series-{number}",
                "start": "2021-01-01 00:00",
                "target": target,
                "info": {"owner": number},
                "unheard_of": "ignored",
            }
        )
    return ListDataset(entries, freq="h")


@pytest.fixture(scope="session")
def multivariate() -> ListDataset:
    """Two bivariate series, with gaps."""
    rng = np.random.default_rng(8)
    entries = []
    for number, length in enumerate([50, 40]):
        target = 10 + rng.normal(size=(2, length))
        target[number, 20:25] = np.nan
        entries.append({"item_id": f"pair-{number}", "start": "2021-01-01", "target": target})
    return ListDataset(entries, freq="h", one_dim_target=False)
