"""Attention layers: the formula, causality, shared contexts, stacked weights."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F  # noqa: N812

from tsbnn.networks.attention import AttentionLayer, Memory, attend, sinusoids

WIDTH, HEADS = 12, 3


def layer(seed: int = 0, dropout_rate: float = 0.0) -> AttentionLayer:
    torch.manual_seed(seed)
    built = AttentionLayer(WIDTH, HEADS, 20, dropout_rate)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return built


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("causal", [False, True])
def test_a_layer_is_torchs_pre_norm_layer(causal: bool) -> None:
    ours = layer()
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, 20, 0.0, batch_first=True, norm_first=True)
    names = {
        "norm1": ours.attention_norm,
        "norm2": ours.feedforward_norm,
        "linear1": ours.expand,
        "linear2": ours.contract,
        "self_attn.out_proj": ours.attention.out_proj,
    }
    for name, part in names.items():
        theirs.get_submodule(name).load_state_dict(part.state_dict())
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(ours.attention.in_proj.weight)
        theirs.self_attn.in_proj_bias.copy_(ours.attention.in_proj.bias)
    x = normal(2, 7, WIDTH)
    mask = nn.Transformer.generate_square_subsequent_mask(7) if causal else None
    expected = theirs(x, src_mask=mask)
    torch.testing.assert_close(ours(x, causal)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("time", [1, 5, 64, 65, 200])
def test_products_equal_the_fused_kernel(causal: bool, time: int) -> None:
    queries, keys, values = (normal(2, 3, time, 4, seed=seed) for seed in range(3))
    expected = F.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    torch.testing.assert_close(attend(queries, keys, values, causal), expected)


def test_a_causal_layer_sees_no_later_position() -> None:
    built, x = layer(), normal(2, 8, WIDTH)
    changed = x.clone()
    changed[:, 5:] += 10 * normal(2, 3, WIDTH, seed=2)
    before, after = built(x, True)[0], built(changed, True)[0]
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().min() > 0
    assert (built(x, False)[0] - built(changed, False)[0]).abs().amin() > 0


def unrolled(built: AttentionLayer, context: Tensor, future: Tensor) -> Tensor:
    """Run all paths `batch x paths x steps x width` one step at a time after a shared context."""
    _, memory = built(context, True)
    outputs = []
    for step in range(future.shape[2]):
        output, memory = built.advance(future[:, :, step], memory)
        outputs.append(output)
    assert memory.length == context.shape[1] + future.shape[2]
    return torch.stack(outputs, dim=2)


@pytest.mark.parametrize("context_length", [1, 6])
def test_paths_that_share_a_context_equal_whole_sequences(context_length: int) -> None:
    built = layer()
    context, future = normal(2, context_length, WIDTH), normal(2, 3, 11, WIDTH, seed=2)
    whole = torch.cat([context.unsqueeze(1).expand(-1, 3, -1, -1), future], dim=2)
    expected = built(whole.flatten(0, 1), True)[0].view(2, 3, -1, WIDTH)[:, :, context_length:]
    torch.testing.assert_close(unrolled(built, context, future), expected, rtol=1e-5, atol=1e-5)


def test_advancing_leaves_the_memory_as_it_was() -> None:
    built, tokens = layer(), normal(2, 3, WIDTH, seed=2)
    _, memory = built(normal(2, 4, WIDTH), True)
    for _ in range(3):
        _, memory = built.advance(tokens, memory)
    first, _ = built.advance(tokens, memory)
    built.advance(100 * tokens, memory)
    assert torch.equal(built.advance(tokens, memory)[0], first)


def test_large_scores_do_not_overflow() -> None:
    built, x = layer(), normal(1, 6, WIDTH)
    with torch.no_grad():
        built.attention.in_proj.weight.mul_(1e3)
    expected = built(x, True)[0][:, 2:]
    found = unrolled(built, x[:, :2], x[:, 2:].unsqueeze(1))[:, 0]
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


class Advance(nn.Module):
    def __init__(self, layer: AttentionLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        return self.layer.advance(x, memory)


def test_stacked_weights_equal_a_loop() -> None:
    layers = [layer(seed) for seed in range(3)]
    context, future = normal(2, 5, WIDTH), normal(2, 4, 6, WIDTH, seed=2)
    whole, _ = stack_module_state(layers)
    inner, _ = stack_module_state([Advance(built) for built in layers])
    with warnings.catch_warnings():
        # torch warns where it has no batching rule and loops.
        warnings.simplefilter("error")
        _, memory = vmap(lambda weights: functional_call(layers[0], weights, (context, True)))(
            whole
        )
        advance = Advance(layers[0])
        for step in range(future.shape[2]):
            output, memory = vmap(
                lambda weights, state, x=future[:, :, step]: functional_call(
                    advance, weights, (x, state)
                )
            )(inner, memory)
    expected = torch.stack([unrolled(built, context, future)[:, :, -1] for built in layers])
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    built, x = layer(dropout_rate=0.5), normal(2, 4, WIDTH)
    assert not torch.equal(built(x, True)[0], built(x, True)[0])
    built.eval()
    assert torch.equal(built(x, True)[0], built(x, True)[0])


@pytest.mark.parametrize(("length", "width"), [(1, 4), (30, 8), (30, 7), (5, 1)])
def test_sinusoids_tell_positions_apart(length: int, width: int) -> None:
    table = sinusoids(length, width)
    assert table.shape == (length, width)
    assert table.abs().max() <= 1
    distances = torch.cdist(table, table) + 10 * torch.eye(length)
    assert distances.min() > 1e-3
    torch.testing.assert_close(table[:, 0], torch.arange(length).float().sin())


def test_the_longest_wave_is_about_the_window() -> None:
    length, width = 1000, 64
    slowest = sinusoids(length, width)[:, -2]
    # The last rate is length^(-31/32): just above one radian a window.
    rate = length ** -(31 / 32)
    torch.testing.assert_close(slowest, torch.sin(torch.arange(length) * rate), atol=1e-4, rtol=0)
    assert 1 < rate * length < math.pi
