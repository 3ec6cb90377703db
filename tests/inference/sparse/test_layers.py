"""Sparse linear layers against dense ones: products, gradients, copies, misuse."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tsbnn.inference import SparseSubspaceVI
from tsbnn.inference.sparse.layers import SparseLinear, is_hollow, largest_inactive


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def converted(bias: bool = True) -> tuple[SparseLinear, Tensor]:
    """Return a converted 5 x 4 layer with 7 active weights, and its dense weight."""
    layer = nn.Linear(4, 5, bias=bias, dtype=torch.float64)
    positions = torch.randperm(20, generator=generator())[:7].sort().values.int()
    values = torch.randn(7, dtype=torch.float64, generator=generator(1))
    dense = torch.zeros(20, dtype=torch.float64)
    dense[positions.long()] = values
    sparse = SparseLinear.convert(layer, positions, values.requires_grad_())
    return sparse, dense.view(5, 4)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_products_and_gradients_equal_those_of_the_dense_layer(
    shape: tuple[int, ...], bias: bool
) -> None:
    layer, dense = converted(bias)
    inputs = torch.randn(*shape, dtype=torch.float64, generator=generator(2)).requires_grad_()
    weight, same = dense.clone().requires_grad_(), inputs.detach().clone().requires_grad_()
    expected = functional.linear(same, weight, layer.bias)
    output = layer(inputs)
    torch.testing.assert_close(output, expected)
    layer.active.wanted = 3
    output.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(inputs.grad, same.grad)
    active = dense.reshape(-1) != 0
    torch.testing.assert_close(layer.active.values.grad, weight.grad.reshape(-1)[active])
    assert layer.weight.grad is None
    # The inactive weights of the largest gradients, for the next swap.
    positions, gradients = layer.active.found
    inactive = weight.grad.reshape(-1).masked_fill(active, 0.0)
    assert sorted(positions.tolist()) == sorted(inactive.abs().topk(3).indices.tolist())
    torch.testing.assert_close(gradients, inactive[positions])


def test_the_largest_inactive_gradients_are_found() -> None:
    gradient = torch.tensor([[9.0, -3.0, 0.0], [1.0, -8.0, 2.0]])
    positions, gradients = largest_inactive(gradient, torch.tensor([0, 4]), 2)
    assert positions.tolist() == [1, 5]
    assert gradients.tolist() == [-3.0, 2.0]


def test_under_autocast_it_computes_in_the_precision_of_its_weights() -> None:
    layer, dense = converted()
    layer.active.values = layer.active.values.detach().float().requires_grad_()
    inputs = torch.randn(3, 4, generator=generator(2))
    layer.bias.data = layer.bias.data.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(inputs.bfloat16())
        output.square().sum().backward()
    assert output.dtype == torch.float32
    rounded = inputs.bfloat16().float()
    torch.testing.assert_close(output, functional.linear(rounded, dense.float(), layer.bias))


def test_state_copies_and_conversions_are_ordinary() -> None:
    layer, dense = converted()
    assert is_hollow(layer.weight)
    assert layer.weight.untyped_storage().nbytes() == 8
    assert bool(layer.weight.isnan().all())
    assert torch.equal(layer.state_dict()["weight"], dense)
    clone = copy.deepcopy(layer)
    assert type(clone) is nn.Linear
    assert torch.equal(clone.weight, dense)
    assert not clone._forward_pre_hooks
    assert isinstance(layer, SparseLinear)
    layer.load_state_dict({"weight": dense + 1, "bias": layer.bias.detach()})
    assert type(layer) is nn.Linear
    assert torch.equal(layer.weight, dense + 1)
    other, dense = converted()
    assert torch.equal(other.float().weight, dense.float())
    assert type(other) is nn.Linear


def test_a_weight_read_past_the_forward_is_refused() -> None:
    class Roundabout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, inputs: Tensor) -> Tensor:
            return functional.linear(inputs, self.layer.weight)

    module = Roundabout()
    optimizer = SparseSubspaceVI(kernels="sparse").optimizer(
        module, num_observations=10, total_steps=10
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = module(torch.ones(2, 8)).square().mean()
        loss.backward()
        return loss

    message = r"uses 'layer.weight' past the forward of its layer.*kernels='dense'"
    with pytest.raises(ValueError, match=message):
        optimizer.step(closure)


def test_tied_derived_and_attention_layers_stay_dense() -> None:
    class Derived(nn.Linear):
        pass

    tied = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
    tied[1].weight = tied[0].weight
    module = nn.ModuleList([tied, Derived(8, 8), nn.MultiheadAttention(8, 2), nn.Linear(8, 8)])
    optimizer = SparseSubspaceVI(kernels="sparse").optimizer(
        module, num_observations=10, total_steps=10
    )
    names = [layer.name for layer in optimizer.sparsity_report().layers if layer.sparse_kernel]
    assert names == ["3.weight"]
