"""Location and scale of windows, and of those without a single point."""

from __future__ import annotations

import pytest
import torch
from gluonts.torch.scaler import MeanScaler, StdScaler
from torch import Tensor

from tsbnn.networks.scaling import WindowScaler


def contexts(observed_share: float = 0.7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 20, generator=generator) * 3 + 10
    observed = (torch.rand(4, 20, generator=generator) < observed_share).float()
    return values * observed, observed


@pytest.mark.parametrize("default_scale", [None, 2.5])
def test_mean_is_gluonts(default_scale: float | None) -> None:
    values, observed = contexts()
    observed[2] = 0.0
    loc, scale = WindowScaler("mean", default_scale)(values, observed, 20)
    theirs = MeanScaler(dim=-1, keepdim=True, default_scale=default_scale)
    assert torch.equal(scale, theirs(values, observed)[2])
    assert torch.equal(loc, torch.zeros(4, 1))


def test_std_is_gluonts_where_something_is_observed() -> None:
    values, observed = contexts()
    found = WindowScaler("std", None)(values, observed, 20)
    _, loc, scale = StdScaler(dim=-1, keepdim=True)(values, observed)
    assert torch.equal(found[0], loc)
    assert torch.equal(found[1], scale)


def test_none_is_zero_and_one() -> None:
    loc, scale = WindowScaler(None, None)(*contexts(), 20)
    assert torch.equal(loc, torch.zeros(4, 1))
    assert torch.equal(scale, torch.ones(4, 1))


def test_std_takes_the_batchs_window_where_nothing_is_observed() -> None:
    values, observed = contexts()
    observed[2] = 0.0
    loc, scale = WindowScaler("std", None)(values, observed, 20)
    others = [0, 1, 3]
    torch.testing.assert_close(loc[2], loc[others].mean(0))
    torch.testing.assert_close(scale[2], scale[others].mean(0))
    assert float(scale[2]) > 1


def test_std_takes_the_default_scale_where_nothing_is_observed() -> None:
    values, observed = contexts()
    observed[2] = 0.0
    loc, scale = WindowScaler("std", 2.5)(values, observed, 20)
    assert float(loc[2]) == 0.0
    assert float(scale[2]) == 2.5
    assert 2.5 not in scale[[0, 1, 3]]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("scaling", ["mean", "std"])
def test_a_batch_without_a_point_has_a_scale_to_live_with(scaling: str, batch: int) -> None:
    nothing = torch.zeros(batch, 20)
    loc, scale = WindowScaler(scaling, None)(nothing, nothing, 20)
    assert torch.equal(loc, torch.zeros(batch, 1))
    assert torch.equal(scale, torch.ones(batch, 1))
    _, scale = WindowScaler(scaling, 30.0)(nothing, nothing, 20)
    assert torch.equal(scale, torch.full((batch, 1), 30.0))


@pytest.mark.parametrize("default_scale", [None, 2.5])
@pytest.mark.parametrize("scaling", ["mean", "std"])
def test_a_dark_or_idle_context_is_scaled_by_the_past_behind_it(
    scaling: str, default_scale: float | None
) -> None:
    past, observed = contexts(1.0)
    dark, idle, both = 1, 2, 3
    observed[[dark, both], -5:] = 0.0
    past[idle, -5:] = 0.0
    observed[both] = 0.0
    scaler = WindowScaler(scaling, default_scale)
    loc, scale = scaler(past, observed, 5)
    whole, near = scaler(past, observed, 20), scaler(past[:, -5:], observed[:, -5:], 5)
    for found, of_past, of_context in zip((loc, scale), whole, near, strict=True):
        assert torch.equal(found[[dark, idle]], of_past[[dark, idle]])
        assert torch.equal(found[[0, both]], of_context[[0, both]])
    assert float(scale[dark]) > 1
    # What the others of the batch are does not matter.
    alone = scaler(past[dark : dark + 1], observed[dark : dark + 1], 5)
    assert torch.equal(alone[1][0], scale[dark])


def test_a_past_of_zeros_has_gluontss_smallest_scale() -> None:
    nothing = torch.zeros(1, 20)
    _, scale = WindowScaler("mean", None)(nothing, torch.ones(1, 20), 5)
    theirs = MeanScaler(dim=-1, keepdim=True)(nothing, torch.ones(1, 20))[2]
    assert torch.equal(scale, theirs)


@pytest.mark.parametrize("unit", [1e-12, 1e-20, 1e-30])
@pytest.mark.parametrize("default_scale", [None, 2.5])
@pytest.mark.parametrize("scaling", ["mean", "std"])
def test_the_unit_of_the_target_does_not_matter(
    scaling: str, default_scale: float | None, unit: float
) -> None:
    past, observed = contexts()
    scaler = WindowScaler(scaling, default_scale)
    for found, right in zip(
        scaler(unit * past, observed, 5), scaler(past, observed, 5), strict=True
    ):
        # What is added to a variance is a share of the mean square in small units.
        tolerance = 1e-5 if scaling == "mean" else 5e-3
        torch.testing.assert_close(found / unit, right, rtol=tolerance, atol=0)


def test_std_of_constants_and_zeros_is_gluonts() -> None:
    ones = torch.ones(2, 20)
    values = torch.tensor([[0.0], [5.0]]) * ones
    _, scale = WindowScaler("std", None)(values, ones, 20)
    assert torch.equal(scale, StdScaler(dim=-1, keepdim=True)(values, ones)[2])
