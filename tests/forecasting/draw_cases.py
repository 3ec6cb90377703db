"""Small networks of ours, their inputs, and weight vectors far from one another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tsbnn.inference import count_weights
from tsbnn.networks import DeepAR, PatchTransformer, Transformer

SMALL: dict[str, Any] = {"context_length": 5, "prediction_length": 4, "lags_seq": [1, 2, 3, 7]}


def deepar(**settings: Any) -> DeepAR:
    """Build a DeepAR with random weights, in eval mode."""
    torch.manual_seed(0)
    return DeepAR(**{**SMALL, "hidden_size": 6, **settings}).eval()


def transformer(**settings: Any) -> Transformer:
    """Build a Transformer with random weights, in eval mode."""
    torch.manual_seed(0)
    small = {**SMALL, "d_model": 8, "nhead": 2, "dim_feedforward": 12}
    return Transformer(**{**small, **settings}).eval()


def patch_transformer(**settings: Any) -> PatchTransformer:
    """Build a PatchTransformer with random weights, in eval mode."""
    torch.manual_seed(0)
    small = {"context_length": 9, "prediction_length": 4, "patch_len": 3}
    small |= {"d_model": 8, "nhead": 2, "dim_feedforward": 12}
    return PatchTransformer(**{**small, **settings}).eval()


def random_weights(network: nn.Module, draws: int, scale: float = 0.5) -> Tensor:
    """Weight vectors ``draws x num_weights``."""
    generator = torch.Generator().manual_seed(draws)
    return scale * torch.randn(draws, count_weights(network), generator=generator)


def fields(network: Any, batch: int = 3) -> dict[str, Tensor]:
    """Random inputs of a prediction, with a gap."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator)

    past, horizon = network.past_length, network.prediction_length
    found = {
        "past_target": 10 + normal(past),
        "past_observed_values": torch.ones(batch, past),
        "past_time_feat": normal(past, network.num_feat_dynamic_real),
        "future_time_feat": normal(horizon, network.num_feat_dynamic_real),
        "feat_static_real": normal(network.num_feat_static_real),
        "past_feat_dynamic_real": normal(past, network.num_past_feat_dynamic_real),
    }
    found["past_observed_values"][0, -2] = 0.0
    if network.cardinality:
        categories = [
            torch.randint(values, (batch,), generator=generator) for values in network.cardinality
        ]
        found["feat_static_cat"] = torch.stack(categories, dim=1)
    return found
