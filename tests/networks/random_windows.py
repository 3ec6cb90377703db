"""Windows of random numbers for a network's fields, and windows of a seasonal series to learn."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

# Every kind of field, two statics categories among them.
ALL_FIELDS: dict[str, Any] = {
    "num_feat_dynamic_real": 2,
    "num_past_feat_dynamic_real": 1,
    "num_feat_static_real": 1,
    "num_feat_static_cat": 2,
    "cardinality": [3, 5],
}


def windows(network: Any, batch: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Fields of training windows with positive whole targets, all observed."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(network.positions)

    def counts(time: int) -> Tensor:
        rate = torch.full((batch, time), 6.0)
        return (1 + torch.poisson(rate, generator=generator)).to(network.positions)

    past, horizon = network.past_length, network.prediction_length
    categories = [
        torch.randint(values, (batch,), generator=generator) for values in network.cardinality
    ]
    return {
        "feat_static_cat": torch.stack(categories, dim=1)
        if categories
        else torch.zeros(batch, 0).long(),
        "feat_static_real": normal(batch, network.num_feat_static_real),
        "past_time_feat": normal(batch, past, network.num_feat_dynamic_real),
        "future_time_feat": normal(batch, horizon, network.num_feat_dynamic_real),
        "past_feat_dynamic_real": normal(batch, past, network.num_past_feat_dynamic_real),
        "past_target": counts(past),
        "past_observed_values": torch.ones(batch, past).to(network.positions),
        "future_target": counts(horizon),
        "future_observed_values": torch.ones(batch, horizon).to(network.positions),
    }


def inputs(fields: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those fields that a forecast is made from."""
    return {
        name: field
        for name, field in fields.items()
        if name not in ("future_target", "future_observed_values")
    }


def seasonal_windows(
    network: Any, batch: int, generator: torch.Generator, period: int = 12, noise: float = 0.5
) -> dict[str, Tensor]:
    """Windows from anywhere in a sine of amplitude 5 around 10 with normal noise; no features."""
    length = network.past_length + network.prediction_length
    start = torch.randint(period, (batch, 1), generator=generator)
    angle = 2 * math.pi * (start + torch.arange(length)) / period
    target = 10 + 5 * angle.sin() + noise * torch.randn(angle.shape, generator=generator)
    past, future = target.split([network.past_length, network.prediction_length], dim=1)
    return {
        "past_target": past,
        "past_observed_values": torch.ones_like(past),
        "future_target": future,
        "future_observed_values": torch.ones_like(future),
    }


def gain_over_constant_spread(network: Any, steps: int, learning_rate: float) -> float:
    """Nats per point that a trained network gains over one normal distribution for all points.

    The best that can be gained is log(spread of all points / noise), about 1.97 nats.
    """
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        losses = network.point_losses(**seasonal_windows(network, 32, generator))
        (losses.nll.sum() / losses.observed.sum()).backward()
        optimizer.step()
    network.eval()
    test = seasonal_windows(network, 200, generator)
    with torch.no_grad():
        losses = network.point_losses(**test)
    spread = test["future_target"].std()
    constant = 0.5 * math.log(2 * math.pi * math.e) + math.log(spread)
    return constant - float(losses.nll.sum() / losses.observed.sum())
