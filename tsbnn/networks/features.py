r"""The tokens of an autoregressive network, prepared without any weight.

The token of time t holds what is known just before t; the network's output at it describes the
target of time t. In GluonTS's order:

====================  ==========================================================================
lagged targets        :math:`(y_{t-l} - \mathrm{loc}) / \mathrm{scale}` for each lag l
static categories     embedded; put in by the network, whose weights they need
static numbers        as they are
log scale             of the window
log(1 + abs(loc))     of the window; with ``scaling="std"`` only
time features         of time t, known covariates among them
past covariates       of time t-1, and 1; 0 and 0 where t-1 lies beyond the forecast start, in
                      training as well: it sees what prediction sees
====================  ==========================================================================

A window has ``past_length = context_length + max(lags) - 1`` points before the forecast start, and
``context_length - 1 + prediction_length`` tokens, the first ``context_length`` of which need no
value beyond it. Prediction takes its tokens from the same function as training, with zeros for
what has not been sampled yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tsbnn.networks.checks import check_fields
from tsbnn.networks.scaling import WindowScaler


class Tokens(NamedTuple):
    """Tokens of a batch of windows.

    Attributes
    ----------
    values
        ``batch x (context_length - 1 + prediction_length) x num_features``, without the embedded
        categories, which belong behind the first ``len(lags_seq)`` columns.
    loc, scale
        Of the windows, ``batch x 1``, in target units.
    """

    values: Tensor
    loc: Tensor
    scale: Tensor


class TokenFeatures(nn.Module):
    """Prepares tokens; it has no parameters, only indices that move along with the network.

    Parameters
    ----------
    context_length, prediction_length, lags_seq, num_feat_dynamic_real, num_past_feat_dynamic_real
    num_feat_static_real, scaling, default_scale
        As those of :class:`~tsbnn.networks.AutoregressiveNetwork`.
    """

    positions: Tensor
    short_lags: Tensor
    short_columns: Tensor

    def __init__(
        self,
        context_length: int,
        prediction_length: int,
        lags_seq: list[int],
        num_feat_dynamic_real: int,
        num_past_feat_dynamic_real: int,
        num_feat_static_real: int,
        scaling: str | None,
        default_scale: float | None,
    ) -> None:
        super().__init__()
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.lags_seq = lags_seq
        self.num_feat_dynamic_real = num_feat_dynamic_real
        self.num_past_feat_dynamic_real = num_past_feat_dynamic_real
        self.num_feat_static_real = num_feat_static_real
        self.scaler = WindowScaler(scaling, default_scale)
        self.past_length = context_length + max(lags_seq) - 1
        lags = torch.tensor(lags_seq)
        targets = torch.arange(max(lags_seq), self.past_length + prediction_length)
        self.register_buffer("positions", (targets[:, None] - lags).flatten(), persistent=False)
        # Lags that reach into the horizon, in the order in which they do.
        order = sorted(range(len(lags_seq)), key=lags_seq.__getitem__)
        short = [column for column in order if lags_seq[column] < prediction_length]
        self.register_buffer("short_columns", torch.tensor(short).long(), persistent=False)
        self.register_buffer("short_lags", lags[short].long(), persistent=False)

    @property
    def num_features(self) -> int:
        """Width of a token, embedded categories left out."""
        num_past = self.num_past_feat_dynamic_real
        return (
            len(self.lags_seq)
            + self.num_feat_static_real
            + (2 if self.scaler.scaling == "std" else 1)
            + self.num_feat_dynamic_real
            + (num_past + 1 if num_past else 0)
        )

    def forward(
        self,
        inputs: Mapping[str, Tensor | None],
        future_target: Tensor | None = None,
        future_observed_values: Tensor | None = None,
    ) -> Tokens:
        """Tokens of training windows, or, without a future, of prediction windows.

        Parameters
        ----------
        inputs
            The fields of :meth:`AutoregressiveNetwork.forward`, by name.
        future_target, future_observed_values
            ``batch x prediction_length``; without them lags that reach beyond the forecast start
            are 0.

        Raises
        ------
        ValueError
            If a field is missing, or is not as wide or long as the network was built for.
        """
        self._check(inputs)
        past = needed(inputs, "past_target")
        observed = needed(inputs, "past_observed_values")
        loc, scale = self.scaler(past, observed, self.context_length)
        steps = self.prediction_length - 1
        if future_target is None:
            future = (loc if self.scaler.scaling == "std" else torch.zeros_like(scale)).expand(
                -1, steps
            )
            future_observed = torch.ones_like(future)
        else:
            future = future_target[:, :steps]
            future_observed = (
                torch.ones_like(future)
                if future_observed_values is None
                else future_observed_values[:, :steps]
            )
        values = torch.cat((past, future), dim=-1)
        if self.scaler.scaling == "std":
            # What was filled in for gaps knows nothing of the mean.
            known = torch.cat((observed, future_observed), dim=-1) > 0
            values = torch.where(known, values - loc, 0.0)
        values = values / scale
        num_tokens = self.context_length + steps
        lags = values.index_select(-1, self.positions)
        parts = [lags.view(-1, num_tokens, len(self.lags_seq)), self._static(inputs, loc, scale)]
        parts[1] = parts[1].unsqueeze(1).expand(-1, num_tokens, -1)
        parts += self._dynamic(inputs)
        return Tokens(torch.cat(parts, dim=-1), loc, scale)

    def _static(self, inputs: Mapping[str, Tensor | None], loc: Tensor, scale: Tensor) -> Tensor:
        parts = [needed(inputs, "feat_static_real")] if self.num_feat_static_real else []
        parts.append(scale.log())
        if self.scaler.scaling == "std":
            parts.append(loc.abs().log1p())
        return torch.cat(parts, dim=-1)

    def _dynamic(self, inputs: Mapping[str, Tensor | None]) -> list[Tensor]:
        parts = []
        if self.num_feat_dynamic_real:
            past, future = (needed(inputs, f"{when}_time_feat") for when in ("past", "future"))
            start = self.past_length - self.context_length + 1
            parts.append(torch.cat((past[:, start:], future), dim=1))
        if self.num_past_feat_dynamic_real:
            past = needed(inputs, "past_feat_dynamic_real")[:, -self.context_length :]
            known = torch.cat((past, torch.ones_like(past[..., :1])), dim=-1)
            unknown = known.new_zeros(1, 1, 1).expand(
                known.shape[0], self.prediction_length - 1, known.shape[2]
            )
            parts.append(torch.cat((known, unknown), dim=1))
        return parts

    def _check(self, inputs: Mapping[str, Tensor | None]) -> None:
        past = needed(inputs, "past_target")
        if past.ndim != 2 or past.shape[1] != self.past_length:
            raise ValueError(
                f"past_target of shape {tuple(past.shape)}: expected batch x {self.past_length}, "
                f"context_length={self.context_length} and {max(self.lags_seq) - 1} points for lags"
            )
        check_fields(
            {
                "feat_static_real": (self.num_feat_static_real, inputs.get("feat_static_real")),
                "past_time_feat": (self.num_feat_dynamic_real, inputs.get("past_time_feat")),
                "future_time_feat": (self.num_feat_dynamic_real, inputs.get("future_time_feat")),
                "past_feat_dynamic_real": (
                    self.num_past_feat_dynamic_real,
                    inputs.get("past_feat_dynamic_real"),
                ),
            },
            {
                "past_time_feat": self.past_length,
                "future_time_feat": self.prediction_length,
                "past_feat_dynamic_real": self.past_length,
            },
        )

    def fill(self, token: Tensor, samples: Tensor, step: int) -> None:
        """Put the lags that reach into the horizon in place, in every path's token.

        Parameters
        ----------
        token
            ``... x num_features``, the tokens of time ``step`` of the horizon (0 is its first);
            changed in place.
        samples
            Scaled samples, ``... x prediction_length``, of which those before ``step`` are read.
        step
            From 1 on.
        """
        count = sum(lag <= step for lag in self.lags_seq)
        if count:
            values = samples.index_select(-1, step - self.short_lags[:count])
            token.index_copy_(-1, self.short_columns[:count], values)


def needed(inputs: Mapping[str, Tensor | None], name: str) -> Tensor:
    """Return a field of a batch, or raise ValueError."""
    field = inputs.get(name)
    if field is None:
        raise ValueError(f"{name}=None: expected a tensor")
    return field
