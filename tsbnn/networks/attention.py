r"""Pre-norm attention layers whose context is stored once per series and shared by its paths.

One layer (Xiong et al., "On layer normalization in the transformer architecture", ICML 2020,
arXiv 2002.04745) adds two corrections to its input,

.. math::
    x &\leftarrow x + \mathrm{Attention}(\mathrm{Norm}(x)), \\
    x &\leftarrow x + W_2\,\mathrm{relu}(W_1 \mathrm{Norm}(x) + b_1) + b_2,

.. math::
    \mathrm{Attention}_i = \sum_{j \in J_i} \mathrm{softmax}_j(q_i^\top k_j / \sqrt{d}) \, v_j,

for each head of width d (Vaswani et al., "Attention is all you need", arXiv 1706.03762), where
:math:`J_i` are all positions, or those up to i in a causal layer. Norms are LayerNorms: nothing
depends on the batch mates.

At prediction many paths of one series continue one context. A path's next position is one more
query against the keys and values of the context, which are computed once per series, and against
those that the path appended itself. Costs of a step: one matrix product per series with the shared
context, and reading what the path appended.

Every method is made of operations that ``torch.func.vmap`` batches over stacked weights.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tsbnn.networks.checks import check_heads, check_whole

# Positions of a path are kept in blocks of this many, so that appending copies one block only.
_BLOCK = 8
# Queries of a causal layer that are answered together on a CPU.
_QUERIES = 64


class Memory(NamedTuple):
    """Keys and values of one layer: of the context, and of what each path appended.

    Attributes
    ----------
    keys, values
        Those of the context, ``batch x heads x context x width``, shared by all paths of a series.
    own_keys, own_values
        Those of the paths' positions so far, in blocks ``steps x heads x width x batch x paths``
        of at most 8 steps; empty before the first.
    """

    keys: Tensor
    values: Tensor
    own_keys: tuple[Tensor, ...] = ()
    own_values: tuple[Tensor, ...] = ()

    @property
    def length(self) -> int:
        """Number of positions that a path has seen."""
        return self.keys.shape[-2] + sum(block.shape[0] for block in self.own_keys)


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Weights on values are not dropped out, unlike in torch's layers: fused kernels on a CPU, and
    dropout of whole corrections in :class:`AttentionLayer` serves the same end.

    Parameters
    ----------
    d_model
        Width of inputs and outputs, a multiple of ``nhead``.
    nhead
        Number of heads.
    """

    def __init__(self, d_model: int, nhead: int) -> None:
        super().__init__()
        self.nhead = nhead
        self.in_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, causal: bool) -> tuple[Tensor, Memory]:
        """Attend within sequences.

        Parameters
        ----------
        x
            ``batch x time x d_model``.
        causal
            Whether a position sees no later one.

        Returns
        -------
        tuple
            Attended values, ``batch x time x d_model``, and the keys and values of all positions.
        """
        batch, time, width = x.shape
        heads = linear(self.in_proj, x).view(batch, time, 3, self.nhead, width // self.nhead)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4).unbind(0)
        attended = attend(queries, keys, values, causal).transpose(1, 2)
        return linear(self.out_proj, attended.reshape(x.shape)), Memory(keys, values)

    def advance(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Attend from the next position of every path to all that the path has seen, and itself.

        Parameters
        ----------
        x
            ``batch x paths x d_model``, one position of each path.
        memory
            What was seen; not changed.

        Returns
        -------
        tuple
            Attended values, ``batch x paths x d_model``, and the memory with the new position.
        """
        batch, paths, width = x.shape
        # Features come first, paths last: products with own keys then run along all paths at once.
        rows = x.reshape(-1, width).t()
        heads = torch.addmm(self.in_proj.bias.unsqueeze(1), self.in_proj.weight, rows)
        heads = heads.view(3, self.nhead, width // self.nhead, batch, paths)
        queries, keys, values = heads.unbind(0)
        queries = queries / math.sqrt(width // self.nhead)
        memory = memory._replace(
            own_keys=_appended(memory.own_keys, keys),
            own_values=_appended(memory.own_values, values),
        )
        shared = queries.permute(2, 0, 3, 1) @ memory.keys.transpose(-1, -2)
        own = torch.cat([(queries * block).sum(2) for block in memory.own_keys])
        # A softmax over both, without a copy of the scores of the context, the largest tensor here.
        top = torch.maximum(shared.amax(-1).transpose(0, 1), own.amax(0))
        shared = shared.sub_(top.transpose(0, 1).unsqueeze(-1)).exp_()
        own = own.sub_(top).exp_()
        total = shared.sum(-1).transpose(0, 1) + own.sum(0)
        attended = (shared @ memory.values).permute(1, 3, 0, 2)
        for block in memory.own_values:
            part, own = own[: block.shape[0]], own[block.shape[0] :]
            attended = attended + (part.unsqueeze(2) * block).sum(0)
        attended = (attended / total.unsqueeze(1)).permute(2, 3, 0, 1)
        return linear(self.out_proj, attended.reshape(x.shape)), memory


class AttentionLayer(nn.Module):
    """One pre-norm layer: self-attention, then a feed-forward network, each added to its input.

    Parameters
    ----------
    d_model
        Width of inputs and outputs, a multiple of ``nhead``.
    nhead
        Number of heads.
    dim_feedforward
        Hidden units of the feed-forward network.
    dropout_rate
        Of the two corrections, in training mode. Hidden units are left alone, as in GPT-2: their
        masks would be two thirds of all random numbers, a fifth of a step on a CPU.
    """

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int, dropout_rate: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = SelfAttention(d_model, nhead)
        self.feedforward_norm = nn.LayerNorm(d_model)
        self.expand = nn.Linear(d_model, dim_feedforward)
        self.contract = nn.Linear(dim_feedforward, d_model)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x: Tensor, causal: bool) -> tuple[Tensor, Memory]:
        """Run over whole sequences ``batch x time x d_model``; also return keys and values."""
        attended, memory = self.attention(self.attention_norm(x), causal)
        return self._feedforward(x + self.dropout(attended)), memory

    def advance(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Run over the next position of every path, ``batch x paths x d_model``."""
        attended, memory = self.attention.advance(self.attention_norm(x), memory)
        return self._feedforward(x + self.dropout(attended)), memory

    def _feedforward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(linear(self.expand, self.feedforward_norm(x)))
        return x + self.dropout(linear(self.contract, hidden))


class AttentionLayers(nn.Module):
    """Layers one upon another, and a LayerNorm of what they give.

    Weights start at torch's defaults.

    Parameters
    ----------
    d_model
        Width of inputs and outputs, a multiple of ``nhead``.
    nhead
        Number of heads.
    num_layers
        Number of layers.
    dim_feedforward
        Hidden units of each layer's feed-forward network.
    dropout_rate
        As of :class:`AttentionLayer`.

    Raises
    ------
    ValueError
        If a number is no whole number of at least 1, or ``nhead`` does not divide ``d_model``.
    """

    def __init__(
        self, d_model: int, nhead: int, num_layers: int, dim_feedforward: int, dropout_rate: float
    ) -> None:
        super().__init__()
        d_model, nhead = check_whole(d_model, "d_model"), check_whole(nhead, "nhead")
        dim_feedforward = check_whole(dim_feedforward, "dim_feedforward")
        check_heads(d_model, nhead)
        self.layers = nn.ModuleList(
            AttentionLayer(d_model, nhead, dim_feedforward, dropout_rate)
            for _ in range(check_whole(num_layers, "num_layers"))
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, causal: bool) -> tuple[Tensor, tuple[Memory, ...]]:
        """Run over sequences ``batch x time x d_model``; also return each layer's memory."""
        memories = []
        for layer in self.layers:
            x, memory = layer(x, causal)
            memories.append(memory)
        return self.norm(x), tuple(memories)

    def advance(self, x: Tensor, memories: tuple[Memory, ...]) -> tuple[Tensor, tuple[Memory, ...]]:
        """Run over the next position of every path, ``batch x paths x d_model``."""
        new = []
        for layer, memory in zip(cast(list[AttentionLayer], self.layers), memories, strict=True):
            x, grown = layer.advance(x, memory)
            new.append(grown)
        return self.norm(x), tuple(new)


def attend(queries: Tensor, keys: Tensor, values: Tensor, causal: bool) -> Tensor:
    """Attend with every head: all tensors ``batch x heads x time x width``.

    On CUDA torch's fused kernel does it. On a CPU plain products are faster forward and back at
    the lengths of forecasting windows, and ``vmap`` has no rule for the fused kernel there. Causal
    ones are cut into blocks of queries, each with the keys up to its end: that leaves out nearly
    half of the products of a long window, and the scores of a block stay in the processor's cache.
    """
    if queries.is_cuda:
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    queries = queries / math.sqrt(queries.shape[-1])
    if not causal:
        return (queries @ keys.transpose(-1, -2)).softmax(-1) @ values
    time = queries.shape[-2]
    blocks = -(-time // _QUERIES)
    ends = [time * number // blocks for number in range(blocks + 1)]
    attended = []
    for start, end in itertools.pairwise(ends):
        scores = queries[..., start:end, :] @ keys[..., :end, :].transpose(-1, -2)
        later = torch.full((end - start, end), -math.inf, dtype=scores.dtype, device=scores.device)
        scores = scores.add_(later.triu(1 + start))
        attended.append(scores.softmax(-1) @ values[..., :end, :])
    return torch.cat(attended, dim=-2)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply ``layer`` to ``... x features`` as one product of two matrices.

    With stacked weights a product of a higher-dimensional ``x`` would copy the weights for every
    series.
    """
    rows: Tensor = layer(x.reshape(-1, x.shape[-1]))
    return rows.reshape(*x.shape[:-1], -1)


def sinusoids(length: int, width: int) -> Tensor:
    r"""Sines and cosines of positions, ``length x width``.

    Wavelengths form a geometric series from :math:`2\pi` positions to :math:`2\pi` windows:
    Vaswani et al. go to 10,000, with which half of the columns would hardly vary in a window.
    """
    count = (width + 1) // 2
    # The same numbers whatever torch's default type is.
    rates = float(max(length, 2)) ** -(torch.arange(count, dtype=torch.float32) / count)
    angles = torch.arange(length).unsqueeze(1) * rates
    columns = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]
    return columns.to(torch.get_default_dtype())


def _appended(blocks: tuple[Tensor, ...], new: Tensor) -> tuple[Tensor, ...]:
    """Add one step, ``heads x width x batch x paths``, to blocks of steps; copies one block."""
    new = new.unsqueeze(0)
    if blocks and blocks[-1].shape[0] < _BLOCK:
        return (*blocks[:-1], torch.cat([blocks[-1], new]))
    return (*blocks, new)
