"""Flat weights: order, aliasing, and the ways in which other code breaks the aliasing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.inference.scenarios import gather
from tsbnn.inference import MAP, count_weights, weights_at
from tsbnn.inference.flat import FlatWeights, slots


def network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return module


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3, bias=False)
        self.decoder = nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight
        self.frozen = nn.Linear(3, 3)
        self.frozen.requires_grad_(False)


def test_the_order_is_that_of_parameters() -> None:
    module = network()
    expected = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    assert torch.equal(gather(module), expected)
    assert [slot.name for slot in slots(module)] == [n for n, _ in module.named_parameters()]


def test_frozen_parameters_are_left_out_and_tied_ones_count_once() -> None:
    module = Tied()
    assert [slot.name for slot in slots(module)] == ["encoder.weight", "decoder.bias"]
    assert count_weights(module) == 12


def test_parameters_and_gradients_are_views() -> None:
    module = network()
    before = gather(module)
    flat = FlatWeights(module)
    assert torch.equal(flat.values, before)
    flat.values.fill_(2.0)
    assert all(bool((p == 2.0).all()) for p in module.parameters())
    flat.zero_gradient()
    module(torch.ones(5, 3)).sum().backward()
    expected = torch.cat([p.grad.reshape(-1) for p in module.parameters() if p.grad is not None])
    assert torch.equal(flat.collect_gradient(), expected)
    assert expected.abs().sum() > 0
    assert not flat.synchronise()


def test_a_gradient_allocated_elsewhere_is_collected_and_a_missing_one_is_zero() -> None:
    module = network()
    flat = FlatWeights(module)
    flat.gradient.fill_(7.0)
    module.zero_grad(set_to_none=True)
    module[0](torch.ones(1, 3)).sum().backward()
    gradient = flat.collect_gradient()
    assert torch.equal(gradient[:16], torch.ones(16))
    assert torch.equal(gradient[16:], torch.zeros(10))


@pytest.mark.parametrize(
    "break_aliasing",
    [
        pytest.param(lambda m: m.double(), id="double"),
        pytest.param(
            lambda m: m.load_state_dict(copy.deepcopy(m).state_dict(), assign=True), id="assign"
        ),
        pytest.param(
            lambda m: setattr(m[0].weight, "data", m[0].weight.detach().clone()), id="set_data"
        ),
        pytest.param(
            lambda m: setattr(m[2], "bias", nn.Parameter(m[2].bias.detach().clone())), id="replace"
        ),
    ],
)
def test_broken_views_are_noticed_and_rebound_with_the_modules_values(break_aliasing) -> None:
    module = network()
    flat = FlatWeights(module)
    break_aliasing(module)
    wanted = gather(module).clone()
    assert flat.synchronise()
    assert torch.equal(flat.values, wanted)
    assert flat.values.dtype == wanted.dtype
    flat.values.zero_()
    assert all(bool((p == 0).all()) for p in module.parameters())
    assert not flat.synchronise()


def test_deepcopy_gives_an_independent_bound_pair() -> None:
    module = network()
    pair = copy.deepcopy({"module": module, "flat": FlatWeights(module)})
    twin, flat = pair["module"], pair["flat"]
    flat.synchronise()
    flat.values.fill_(3.0)
    assert all(bool((p == 3.0).all()) for p in twin.parameters())
    assert not any(bool((p == 3.0).all()) for p in module.parameters())


def test_changes_in_place_are_noticed() -> None:
    module = network()
    flat = FlatWeights(module)
    module.load_state_dict({k: v + 1 for k, v in module.state_dict().items()})
    assert flat.synchronise()
    assert not flat.synchronise()


def test_a_changed_shape_is_refused() -> None:
    module = network()
    flat = FlatWeights(module)
    module[2].bias = nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match=r"'2\.bias' changed its shape from \(2,\) to \(3,\)"):
        flat.synchronise()


def test_freezing_under_the_optimizer_is_refused() -> None:
    module = network()
    flat = FlatWeights(module)
    module[0].weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"'0\.weight' was frozen after the optimizer was built"):
        flat.synchronise()


def test_weights_at_runs_the_module_elsewhere_and_restores_it() -> None:
    module = network()
    flat = FlatWeights(module)
    own = gather(module)
    data = torch.ones(1, 3)
    home = module(data)
    with weights_at(module, torch.zeros(count_weights(module))):
        assert torch.equal(module(data), torch.zeros(1, 2))
    assert torch.equal(module(data), home)
    assert torch.equal(gather(module), own)
    assert not flat.synchronise()
    with pytest.raises(KeyError), weights_at(module, torch.zeros(count_weights(module))):
        raise KeyError
    assert torch.equal(gather(module), own)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.zeros(3), r"shape \(3,\), the module needs \(26,\)"),
        (torch.zeros(26, dtype=torch.float64), "float64"),
    ],
)
def test_weights_at_refuses_what_does_not_fit(weights: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message), weights_at(network(), weights):
        pass


def test_modules_that_cannot_be_flat_are_refused() -> None:
    with pytest.raises(ValueError, match="no trainable parameters"):
        FlatWeights(network().requires_grad_(False))
    mixed = network()
    mixed[2].double()
    with pytest.raises(ValueError, match=r"torch.float32 on cpu, torch.float64 on cpu"):
        FlatWeights(mixed)


def test_inference_mode_is_told() -> None:
    module = network()
    optimizer = MAP().optimizer(module, num_observations=3)
    with torch.inference_mode():
        for act in (lambda: optimizer.step(lambda: torch.zeros(())), lambda: FlatWeights(module)):
            with pytest.raises(ValueError, match=r"no gradients under torch.inference_mode\(\): "):
                act()
        late = network()
    with pytest.raises(ValueError, match=r"'0.weight' was made under torch.inference_mode"):
        FlatWeights(late)
