"""TorchScript of a network gives the network's numbers, whatever the size of the batch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tsbnn.forecasting.catalogue import network
from tsbnn.foreign.random_state import RandomStream

LENGTH, TRANSFORMER = 3, {"d_model": 4, "nhead": 2, "num_layers": 1, "dim_feedforward": 4}
SIZES: dict[str, dict[str, Any]] = {
    "deepar": {"hidden_size": 3, "num_layers": 2, "lags_seq": [1, 2]},
    "transformer": {**TRANSFORMER, "lags_seq": [1, 2]},
    "patch_transformer": {**TRANSFORMER, "patch_len": 2},
}


class ByPlace(nn.Module):
    """Inputs by place, in the order of their names: tracing knows no others."""

    def __init__(self, net: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *fields: torch.Tensor) -> Any:
        return self.net(**dict(zip(self.names, fields, strict=True)))


def windows(net: Any, size: int) -> dict[str, torch.Tensor]:
    past = net.past_length
    return {
        "feat_static_cat": torch.randint(3, (size, 1)),
        "feat_static_real": torch.randn(size, 1),
        "past_time_feat": torch.randn(size, past, net.num_feat_dynamic_real),
        "past_target": torch.randn(size, past) + 5,
        "past_observed_values": (torch.rand(size, past) > 0.2).float(),
        "future_time_feat": torch.randn(size, LENGTH, net.num_feat_dynamic_real),
        "past_feat_dynamic_real": torch.randn(size, past, 2),
    }


def tensors(found: Any) -> list[torch.Tensor]:
    return [found] if isinstance(found, torch.Tensor) else [*found[0], *found[1:]]


@pytest.mark.parametrize("name", SIZES)
def test_traced_networks_give_equal_numbers(name: str, tmp_path: Path) -> None:
    estimator = network(
        name,
        freq="D",
        prediction_length=LENGTH,
        context_length=5,
        num_feat_dynamic_real=1,
        num_past_feat_dynamic_real=2,
        num_feat_static_cat=1,
        cardinality=[3],
        num_parallel_samples=4,
        **SIZES[name],
    )
    with RandomStream(0).active(), torch.no_grad():
        net = estimator.create_network().eval()
        few, many = windows(net, 2), windows(net, 5)
        module = ByPlace(net, list(few))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit's own, and those of constant lengths
            torch.jit.trace(module, tuple(few.values()), check_trace=False).save(tmp_path / "it.pt")
            traced = torch.jit.load(tmp_path / "it.pt")
        for fields in (few, many):
            results = []
            for one in (traced, module):
                torch.manual_seed(1)
                results.append(tensors(one(*fields.values())))
            assert len(results[0]) == len(results[1])
            for left, right in zip(*results, strict=True):
                assert left.shape[0] == len(fields["past_target"])
                torch.testing.assert_close(left, right)
