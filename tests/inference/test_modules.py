"""Dropout and batch statistics inside a posterior."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tsbnn.inference import ELBOVI, MAP, ProximalScoreVI
from tsbnn.inference.modules import disable_dropout, refuse_batch_statistics


def dropping() -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "plain": nn.Dropout(0.2),
            "rnn": nn.LSTM(3, 3, num_layers=2, dropout=0.3),
            "attention": nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True),
            "none": nn.Dropout(0.0),
        }
    )


def test_every_kind_of_dropout_is_switched_off_and_the_mode_stays() -> None:
    module = dropping().train()
    disable_dropout(module)
    attention = module["attention"]
    rates = [module["plain"].p, attention.self_attn.dropout, attention.dropout.p]
    assert rates == [0.0, 0.0, 0.0]
    assert module.training
    data = torch.ones(2, 5, 4)
    assert torch.equal(module["attention"](data), module["attention"](data))
    assert module["rnn"].dropout == 0.0


@pytest.mark.parametrize("method", [ProximalScoreVI(), ELBOVI()], ids=lambda m: m.name)
def test_posterior_methods_switch_dropout_off(method) -> None:
    module = dropping()
    method.optimizer(module, num_observations=10)
    assert module["plain"].p == 0.0


def test_map_leaves_dropout_alone() -> None:
    module = dropping()
    MAP().optimizer(module, num_observations=10)
    assert module["plain"].p == 0.2


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm1d(3), nn.SyncBatchNorm(3), nn.InstanceNorm1d(3, track_running_stats=True)],
    ids=lambda layer: type(layer).__name__,
)
def test_batch_statistics_are_refused_by_name(layer: nn.Module) -> None:
    module = nn.Sequential(nn.Linear(3, 3), layer)
    with pytest.raises(ValueError, match=f"layer '1' is a {type(layer).__name__}"):
        ProximalScoreVI().optimizer(module, num_observations=10)
    MAP().optimizer(module, num_observations=10)


def test_other_normalisations_pass() -> None:
    refuse_batch_statistics(
        nn.Sequential(nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.InstanceNorm1d(3))
    )
