r"""DeepAR at many weight vectors at once, without gradients: one batched product for all draws.

.. math:: G_k = b_k + (x_k, h_k) W_k, \qquad k = 1, \dots, K,

for rows of series and paths, is one ``baddbmm`` per layer and time, and everything after it runs in
place. In the context the inputs' part of it is one product for all times. What static categories
add is the same at all times and for all paths, and computed once per draw and series. All gates
are sigmoids: :math:`\tanh x = 2\sigma(2x) - 1`, on a CPU several times faster than torch's tanh.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tsbnn.networks.deepar import DeepAR

# On a CPU the context is read by so many draws at a time that their gates stay in its cache: the
# products of all at once take twice as long (100 draws, 8 series, 30 times, 40 units).
CACHE_BYTES = 4 * 2**20


class LayerState(NamedTuple):
    """One layer between two times, and its working memory.

    Attributes
    ----------
    joint
        Inputs, then the hidden state, ``draws x rows x (inputs + hidden_size)``; after the context
        the hidden state only.
    cell
        Twice the cell state, ``draws x rows x hidden_size``.
    bias
        ``draws x rows x 4 hidden_size``, or ``draws x 1 x ...``.
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
        Stacked parameters by name, ``draws x shape`` each; tied ones under all their names.
    """

    def __init__(self, network: DeepAR, parameters: Mapping[str, Tensor]) -> None:
        draws = len(next(iter(parameters.values())))
        own = dict(network.named_parameters(remove_duplicate=False))

        def stacked(name: str) -> Tensor:
            found = parameters.get(name)
            return own[name].detach().expand(draws, *own[name].shape) if found is None else found

        self.hidden_size = network.rnn.hidden_size
        self.embeddings = [
            stacked(f"embedder._embedders.{place}.weight")
            for place in range(len(network.cardinality))
        ]
        layers = range(network.rnn.num_layers)
        inputs = [self._packed(stacked(f"rnn.weight_ih_l{layer}")) for layer in layers]
        # Embedded categories stand behind the lags.
        sizes = [len(network.lags_seq), sum(network.embedding_dimension)]
        lags, self.static, others = inputs[0].split(
            [*sizes, inputs[0].shape[1] - sum(sizes)], dim=1
        )
        inputs[0] = torch.cat((lags, others), dim=1)
        recurrent = [self._packed(stacked(f"rnn.weight_hh_l{layer}")) for layer in layers]
        # `draws x (inputs + hidden_size) x 4 hidden_size`.
        self.weights = [torch.cat(pair, dim=1) for pair in zip(inputs, recurrent, strict=True)]
        self.biases = [
            self._packed(
                (stacked(f"rnn.bias_ih_l{layer}") + stacked(f"rnn.bias_hh_l{layer}")).unsqueeze(-1)
            )
            for layer in layers
        ]
        head: Any = network.param_proj
        heads = range(len(head.proj))
        weights = [stacked(f"param_proj.proj.{place}.weight") for place in heads]
        self.sizes = [weight.shape[1] for weight in weights]
        self.head = torch.cat(weights, dim=1).transpose(1, 2).contiguous()
        offsets = [stacked(f"param_proj.proj.{place}.bias") for place in heads]
        self.head_bias = torch.cat(offsets, dim=1).unsqueeze(1)
        self.domain_map = head.domain_map

    @staticmethod
    def _packed(gates: Tensor) -> Tensor:
        """Put gates last, ``draws x inputs x 4 hidden_size``, and double the candidate's.

        torch has them in the order input, forget, cell (here candidate), output.
        """
        enter, keep, candidate, leave = gates.transpose(1, 2).chunk(4, dim=-1)
        return torch.cat((enter, keep, leave, 2.0 * candidate), dim=-1)

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, list[LayerState]]:
        """Read tokens ``batch x time x num_features``, the same for all draws.

        Returns
        -------
        tuple
            Outputs, ``draws x batch x time x hidden_size``, and the state for :meth:`branch`.
        """
        batch, time, _ = tokens.shape
        rows = tokens.transpose(0, 1).reshape(time * batch, -1)
        draws = len(self.head)
        gate_bytes = rows.shape[0] * 4 * self.hidden_size * rows.element_size()
        together = draws if tokens.is_cuda else max(1, CACHE_BYTES // gate_bytes)
        outputs = rows.new_empty(draws, time, batch, self.hidden_size)
        states = [
            self._encode(slice(first, first + together), rows, static_cat, outputs)
            for first in range(0, draws, together)
        ]
        layers = zip(*states, strict=True)
        joined = [LayerState(*map(torch.cat, zip(*parts, strict=True))) for parts in layers]
        return outputs.transpose(1, 2), joined

    def _encode(
        self, draws: slice, rows: Tensor, static_cat: Tensor | None, outputs: Tensor
    ) -> list[LayerState]:
        """Read rows ``(time * batch) x num_features`` with some of the draws."""
        outputs, states = outputs[draws], []
        some, time, batch, _ = outputs.shape
        below = rows.expand(some, -1, -1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            inputs, recurrent = weight[draws].split([below.shape[-1], self.hidden_size], dim=1)
            bias = bias[draws]
            if layer == 0:
                bias = bias + self._from_categories(draws, static_cat)
            projected = torch.bmm(below, inputs).view(some, time, batch, -1)
            projected += bias.unsqueeze(1)
            cell = projected.new_zeros(some, batch, self.hidden_size)
            for now, gates in enumerate(projected.unbind(1)):
                if now:
                    gates = torch.baddbmm(gates, outputs[:, now - 1], recurrent)
                self._gate_(gates, cell, outputs[:, now])
            states.append(LayerState(outputs[:, -1].clone(), cell, bias))
            below = outputs.flatten(1, 2)
        return states

    def _from_categories(self, draws: slice, static_cat: Tensor | None) -> Tensor | float:
        """What the categories add to the gates, ``draws x batch x 4 hidden_size``."""
        if static_cat is None or not self.embeddings:
            return 0.0
        columns = static_cat.long().unbind(-1)
        parts = [
            table[draws][:, column] for table, column in zip(self.embeddings, columns, strict=True)
        ]
        return torch.bmm(torch.cat(parts, dim=-1), self.static[draws])

    def branch(self, state: list[LayerState], num_paths: int) -> list[LayerState]:
        """Repeat each series' state for its paths: ``rows`` are ``batch * num_paths``."""
        branched = []
        for weight, (hidden, cell, bias) in zip(self.weights, state, strict=True):
            hidden, cell = (part.repeat_interleave(num_paths, dim=1) for part in (hidden, cell))
            if bias.shape[1] > 1:
                bias = bias.repeat_interleave(num_paths, dim=1)
            joint = cell.new_empty(*cell.shape[:2], weight.shape[1])
            joint[..., -self.hidden_size :] = hidden
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
        below = tokens.flatten(1, 2)
        for weight, (joint, cell, bias) in zip(self.weights, state, strict=True):
            joint[..., : -self.hidden_size] = below
            below = joint[..., -self.hidden_size :]
            self._gate_(torch.baddbmm(bias, joint, weight), cell, below)
        return below.unflatten(1, tokens.shape[1:3]), state

    @staticmethod
    def _gate_(gates: Tensor, cell: Tensor, hidden: Tensor) -> None:
        """Overwrite cell and hidden state, ``draws x rows x hidden_size``; uses up the gates."""
        enter, keep, leave, candidate = gates.sigmoid_().chunk(4, dim=-1)
        cell.mul_(keep).addcmul_(enter, candidate, value=4.0).sub_(enter, alpha=2.0)
        squashed = torch.sigmoid(cell, out=candidate)
        torch.mul(leave, squashed, out=hidden).mul_(2.0).sub_(leave)

    def param_proj(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Arguments of the head, ``draws x batch x paths``, from outputs ``... x hidden_size``."""
        unbounded = torch.baddbmm(self.head_bias, hidden.flatten(1, 2), self.head)
        parts = unbounded.unflatten(1, hidden.shape[1:3]).split(self.sizes, dim=-1)
        arguments: tuple[Tensor, ...] = self.domain_map(*parts)
        return arguments
