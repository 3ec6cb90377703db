r"""DeepAR at many weight vectors at once, without gradients: one batched product for all draws.

Features come first and series and paths last, so that the gates of a draw are contiguous:

.. math:: G_k = b_k + W_k \begin{pmatrix} x_k \\ h_k \end{pmatrix}, \qquad k = 1, \dots, K,

is one ``baddbmm`` per layer and time, and everything after it runs in place. In the context the
inputs' part of it is one product for all times; in the first layer, whose tokens all draws share,
it is one matrix product for all draws as well. What static categories add is the same at all times
and for all paths, and computed once per draw and series.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tsbnn.networks.deepar import DeepAR


class LayerState(NamedTuple):
    """One layer between two times, and its working memory.

    Attributes
    ----------
    joint
        Inputs above the hidden state, ``draws x (inputs + hidden_size) x rows``.
    cell
        ``draws x hidden_size x rows``.
    bias
        ``draws x 4 hidden_size x rows``, or ``x 1``.
    """

    joint: Tensor
    cell: Tensor
    bias: Tensor


class StackedDeepAR:
    """Evaluates a DeepAR at K weight vectors; see :class:`tsbnn.networks.sampling.Evaluator`.

    Every output has a leading dimension of draws. A state is used up by :meth:`advance`, which
    works in place.

    Parameters
    ----------
    network
        Gives the shapes, and the values of parameters that are not in ``parameters``. Dropout is
        not applied.
    parameters
        Stacked parameters by name, ``draws x shape`` each.
    """

    def __init__(self, network: DeepAR, parameters: Mapping[str, Tensor]) -> None:
        draws = len(next(iter(parameters.values())))
        # A tied parameter is stacked under the first of its names.
        first = {id(value): name for name, value in reversed(list(network.named_parameters()))}
        own = dict(network.named_parameters(remove_duplicate=False))

        def stacked(name: str) -> Tensor:
            found = parameters.get(first[id(own[name])])
            return own[name].detach().expand(draws, *own[name].shape) if found is None else found

        self.hidden_size = network.rnn.hidden_size
        self.lags = len(network.lags_seq)
        self.embedded_size = sum(network.embedding_dimension)
        self.embeddings = [
            stacked(f"embedder._embedders.{place}.weight")
            for place in range(len(network.cardinality))
        ]
        layers = range(network.rnn.num_layers)
        inputs = [self._in_order(stacked(f"rnn.weight_ih_l{layer}")) for layer in layers]
        start, stop = self.lags, self.lags + self.embedded_size
        self.static = inputs[0][..., start:stop].contiguous()
        inputs[0] = torch.cat((inputs[0][..., :start], inputs[0][..., stop:]), dim=-1)
        recurrent = [self._in_order(stacked(f"rnn.weight_hh_l{layer}")) for layer in layers]
        # `draws x 4 hidden_size x (inputs + hidden_size)`.
        self.weights = [torch.cat(pair, dim=-1) for pair in zip(inputs, recurrent, strict=True)]
        self.biases = [
            self._in_order(stacked(f"rnn.bias_ih_l{layer}") + stacked(f"rnn.bias_hh_l{layer}"))
            for layer in layers
        ]
        head: Any = network.param_proj
        heads = range(len(head.proj))
        self.head = torch.cat([stacked(f"param_proj.proj.{n}.weight") for n in heads], dim=1)
        offsets = [stacked(f"param_proj.proj.{n}.bias") for n in heads]
        self.sizes = [offset.shape[1] for offset in offsets]
        self.head_bias = torch.cat(offsets, dim=1).unsqueeze(-1)
        self.domain_map = head.domain_map

    def _in_order(self, gates: Tensor) -> Tensor:
        """Reorder torch's gates (input, forget, cell, output): the sigmoid's three come first."""
        enter, keep, candidate, leave = gates.chunk(4, dim=1)
        return torch.cat((enter, keep, leave, candidate), dim=1)

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, list[LayerState]]:
        """Read tokens ``batch x time x num_features``, the same for all draws.

        Returns
        -------
        tuple
            Outputs, ``draws x batch x time x hidden_size``, and the state for :meth:`branch`.
        """
        batch, time, width = tokens.shape
        draws, states = len(self.head), []
        below = tokens.permute(2, 1, 0).reshape(width, time * batch)
        for layer, weight in enumerate(self.weights):
            bias = self.biases[layer].unsqueeze(-1)
            if layer == 0:
                bias = bias + self._from_categories(static_cat)
                inputs = weight[..., :width].reshape(-1, width)
                projected = (inputs @ below).view(draws, -1, time, batch)
            else:
                projected = torch.bmm(weight[..., : self.hidden_size], below)
                projected = projected.view(draws, -1, time, batch)
            projected += bias.unsqueeze(2)
            recurrent = weight[..., -self.hidden_size :]
            outputs = projected.new_empty(draws, self.hidden_size, time, batch)
            cell = projected.new_zeros(draws, self.hidden_size, batch)
            for now in range(time):
                gates = projected[:, :, now]
                if now:
                    gates = torch.baddbmm(gates, recurrent, outputs[:, :, now - 1])
                self._gate_(gates, cell, outputs[:, :, now])
            states.append(LayerState(outputs[:, :, -1], cell, bias))
            below = outputs.view(draws, self.hidden_size, time * batch)
        return outputs.permute(0, 3, 2, 1), states

    def _from_categories(self, static_cat: Tensor | None) -> Tensor | float:
        """What the categories add to the gates, ``draws x 4 hidden_size x batch``."""
        if static_cat is None or not self.embeddings:
            return 0.0
        columns = static_cat.long().unbind(-1)
        parts = [table[:, column] for table, column in zip(self.embeddings, columns, strict=True)]
        return torch.bmm(self.static, torch.cat(parts, dim=-1).transpose(1, 2))

    def branch(self, state: list[LayerState], num_paths: int) -> list[LayerState]:
        """Repeat each series' state for its paths: ``rows`` are ``batch * num_paths``."""
        branched = []
        for weight, (hidden, cell, bias) in zip(self.weights, state, strict=True):
            hidden, cell = (part.repeat_interleave(num_paths, dim=-1) for part in (hidden, cell))
            if bias.shape[-1] > 1:
                bias = bias.repeat_interleave(num_paths, dim=-1)
            joint = cell.new_empty(len(cell), weight.shape[-1], cell.shape[-1])
            joint[:, -self.hidden_size :] = hidden
            branched.append(LayerState(joint, cell, bias))
        return branched

    def advance(
        self, tokens: Tensor, static_cat: Tensor | None, state: list[LayerState]
    ) -> tuple[Tensor, list[LayerState]]:
        """Read one token of each path, ``draws x batch x paths x num_features``.

        Returns
        -------
        tuple
            Outputs, ``draws x batch x paths x hidden_size``, a view of the state; and the state.
        """
        below = tokens.flatten(1, 2).transpose(1, 2)
        for weight, layer in zip(self.weights, state, strict=True):
            layer.joint[:, : -self.hidden_size] = below
            gates = torch.baddbmm(layer.bias, weight, layer.joint)
            below = layer.joint[:, -self.hidden_size :]
            self._gate_(gates, layer.cell, below)
        return below.unflatten(-1, tokens.shape[1:3]).permute(0, 2, 3, 1), state

    def _gate_(self, gates: Tensor, cell: Tensor, hidden: Tensor) -> None:
        """Overwrite cell and hidden state, ``draws x hidden_size x rows``; uses up the gates."""
        gates[:, : 3 * self.hidden_size].sigmoid_()
        enter, keep, leave, candidate = gates.chunk(4, dim=1)
        cell.mul_(keep).addcmul_(enter, candidate.tanh_())
        torch.mul(leave, torch.tanh(cell, out=candidate), out=hidden)

    def param_proj(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Arguments of the head, ``draws x batch x paths``, from outputs ``... x hidden_size``."""
        rows = hidden.flatten(1, -2).transpose(1, 2)
        unbounded = torch.baddbmm(self.head_bias, self.head, rows).transpose(1, 2)
        parts = unbounded.unflatten(1, hidden.shape[1:-1]).split(self.sizes, dim=-1)
        arguments: tuple[Tensor, ...] = self.domain_map(*parts)
        return arguments
