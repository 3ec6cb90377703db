"""An LSTM that can be evaluated at many weights at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, Tensor]


class LSTM(nn.LSTM):
    r"""``torch.nn.LSTM`` with its parameters and a second way to the same numbers.

    .. math::
        (i, f, g, o) &= W x_t + b + U h_{t-1} + d \\
        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g) \\
        h_t &= \sigma(o) \odot \tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size, num_layers, dropout
        As torch's; dropout acts between layers.

    Attributes
    ----------
    fused
        True runs torch's fused kernels. False runs plain operations, one matrix product for the
        inputs of all times and then a loop over time, which ``torch.func.vmap`` can batch over
        weights; the fused kernels it cannot.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            # torch warns of dropout between the layers of a single one.
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.fused = True

    def forward(  # type: ignore[override]
        self, input: Tensor, hx: State | None = None
    ) -> tuple[Tensor, State]:
        """Outputs ``batch x time x hidden_size`` and the last states, ``layers x batch x ...``.

        Parameters
        ----------
        input
            ``batch x time x input_size``.
        hx
            Hidden and cell state, each ``num_layers x batch x hidden_size``; zeros by default.
        """
        if not self.fused:
            return self._plain(input, hx)
        if input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Most CPUs have no LSTM in half precision, and torch's autocast asks for one.
            with torch.autocast("cpu", enabled=False):
                output, state = super().forward(input.float(), hx)
        else:
            output, state = super().forward(input, hx)
        return output, state

    def _plain(self, input: Tensor, hx: State | None) -> tuple[Tensor, State]:
        last: list[State] = []
        for layer in range(self.num_layers):
            # By name: torch.func.functional_call replaces the attributes, not torch's flat list.
            weight, recurrent, bias, recurrent_bias = (
                getattr(self, f"{name}_l{layer}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            projected = functional.linear(input, weight, bias + recurrent_bias)
            if hx is None:
                hidden = cell = input.new_zeros(input.shape[0], self.hidden_size)
            else:
                hidden, cell = hx[0][layer], hx[1][layer]
            outputs = []
            for now in projected.unbind(1):
                gates = now + functional.linear(hidden, recurrent)
                enter, keep, candidate, leave = gates.chunk(4, dim=-1)
                cell = keep.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
                hidden = leave.sigmoid() * cell.tanh()
                outputs.append(hidden)
            input = torch.stack(outputs, dim=1)
            if layer < self.num_layers - 1:
                input = functional.dropout(input, self.dropout, self.training)
            last.append((hidden, cell))
        hiddens, cells = zip(*last, strict=True)
        return input, (torch.stack(hiddens), torch.stack(cells))
