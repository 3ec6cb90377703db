"""The LSTM's two ways to the same numbers."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from tsbnn.networks import LSTM

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def network(num_layers: int, seed: int = 0, **settings: float) -> LSTM:
    torch.manual_seed(seed)
    layer = LSTM(4, 6, num_layers, **settings)
    with torch.no_grad():
        for weights in layer.parameters():
            weights.mul_(2.0)
    return layer


def plain(layer: LSTM) -> LSTM:
    other = copy.deepcopy(layer)
    other.fused = False
    return other


def gradients(layer: LSTM, sequence: Tensor, state: tuple[Tensor, Tensor] | None) -> list[Tensor]:
    sequence = sequence.clone().requires_grad_()
    output, (hidden, cell) = layer(sequence, state)
    # Every output takes part, with weights of its own.
    loss = (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum()
    loss = loss + hidden.sin().sum() + cell.cos().sum()
    grads = torch.autograd.grad(loss, [sequence, *layer.parameters()])
    return [output, hidden, cell, *grads]


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("has_state", [False, True])
@pytest.mark.parametrize("time", [1, 9])
def test_plain_and_fused_agree_forward_and_backward(
    num_layers: int, has_state: bool, time: int
) -> None:
    layer = network(num_layers)
    sequence = torch.randn(5, time, 4)
    state = (torch.randn(num_layers, 5, 6), torch.randn(num_layers, 5, 6)) if has_state else None
    fused = gradients(layer, sequence, state)
    # The recurrent weights have no part in a single step from zeros.
    assert all(grad.detach().abs().max() > 0.01 for grad in fused) or (time == 1 and not has_state)
    for one, other in zip(fused, gradients(plain(layer), sequence, state), strict=True):
        torch.testing.assert_close(other, one, **CLOSE)


def test_it_is_torchs() -> None:
    layer = network(2)
    theirs = nn.LSTM(4, 6, 2, batch_first=True)
    theirs.load_state_dict(layer.state_dict())
    sequence = torch.randn(3, 7, 4)
    for ours in (layer, plain(layer)):
        torch.testing.assert_close(ours(sequence)[0], theirs(sequence)[0], **CLOSE)


def test_dropout_acts_between_layers_in_training_only() -> None:
    layer = network(2, dropout=0.5)
    sequence = torch.randn(3, 7, 4)
    for either in (layer, plain(layer)):
        first, second = either(sequence)[0], either(sequence)[0]
        assert not torch.equal(first, second)
        either.eval()
        assert torch.equal(either(sequence)[0], either(sequence)[0])


def test_a_single_layer_has_no_dropout() -> None:
    assert network(1, dropout=0.5).dropout == 0.0


def test_plain_can_be_batched_over_weights() -> None:
    members = [plain(network(2, seed)) for seed in range(3)]
    sequence = torch.randn(5, 9, 4)
    weights, buffers = stack_module_state(members)

    def run(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> tuple[Tensor, ...]:
        output, state = functional_call(members[0], (weights, buffers), (sequence,))
        return output, *state

    batched = vmap(run)(weights, buffers)
    for k, member in enumerate(members):
        output, state = member(sequence)
        for one, other in zip((output, *state), batched, strict=True):
            torch.testing.assert_close(other[k], one, **CLOSE)
    assert not torch.allclose(batched[0][0], batched[0][1], atol=0.01)


@pytest.mark.parametrize("fused", [False, True])
def test_copies_keep_the_way(fused: bool) -> None:
    layer = network(2)
    layer.fused = fused
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.fused is fused
        sequence = torch.randn(2, 3, 4)
        assert torch.equal(other(sequence)[0], layer(sequence)[0])
