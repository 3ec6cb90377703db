"""An autoregressive transformer: causal attention over tokens of lagged targets."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from typing import Any

import torch
from gluonts.torch.distributions import DistributionOutput, StudentTOutput
from torch import Tensor, nn

from tsbnn.networks.attention import AttentionLayers, Memory, linear, sinusoids
from tsbnn.networks.autoregressive import AutoregressiveNetwork
from tsbnn.networks.checks import check_whole
from tsbnn.networks.validated import validated

STUDENT_T = StudentTOutput()


class Transformer(AutoregressiveNetwork):
    """Autoregressive transformer with pre-norm layers (see :mod:`tsbnn.networks.attention`).

    Tokens are DeepAR's, mapped to ``d_model`` numbers by one matrix. The place of a token in its
    window, counted from the first token, is told by sinusoids that are added: windows of training
    and prediction have one length, so that the forecast start is always at the same place, and
    sinusoids have no weights to be uncertain about, where a learnt table would have
    ``d_model`` for each place.

    Parameters
    ----------
    context_length, prediction_length, lags_seq, num_feat_dynamic_real, num_feat_static_real
    num_feat_static_cat, cardinality, num_past_feat_dynamic_real, embedding_dimension
    dropout_rate, distr_output, scaling, default_scale, num_parallel_samples
    nonnegative_pred_samples
        As those of :class:`AutoregressiveNetwork` and its base;
        dropout acts on the corrections of each layer.
    d_model
        Width of the layers, a multiple of ``nhead``.
    nhead
        Attention heads of a layer.
    num_layers
        Number of layers.
    dim_feedforward
        Hidden units of the feed-forward network of a layer.
    use_cache
        Whether prediction keeps the keys and values of what it has read: those of the context once
        for all paths of a series, and those of each path. False computes everything anew at every
        step, which gives the same paths, slowly.

    Raises
    ------
    ValueError
        If an argument is not as said.
    """

    positions: Tensor

    @validated()
    def __init__(
        self,
        context_length: int,
        prediction_length: int,
        lags_seq: list[int],
        num_feat_dynamic_real: int = 0,
        num_past_feat_dynamic_real: int = 0,
        num_feat_static_real: int = 0,
        num_feat_static_cat: int = 0,
        cardinality: list[int] | None = None,
        embedding_dimension: list[int] | None = None,
        d_model: int = 32,
        nhead: int = 4,
        num_layers: int = 2,
        dim_feedforward: int = 128,
        dropout_rate: float = 0.1,
        distr_output: DistributionOutput = STUDENT_T,
        scaling: bool | str | None = "mean",
        default_scale: float | None = None,
        num_parallel_samples: int = 100,
        nonnegative_pred_samples: bool = False,
        use_cache: bool = True,
    ) -> None:
        d_model = check_whole(d_model, "d_model")
        super().__init__(
            context_length=context_length,
            prediction_length=prediction_length,
            lags_seq=lags_seq,
            num_feat_dynamic_real=num_feat_dynamic_real,
            num_past_feat_dynamic_real=num_past_feat_dynamic_real,
            num_feat_static_real=num_feat_static_real,
            num_feat_static_cat=num_feat_static_cat,
            cardinality=cardinality,
            embedding_dimension=embedding_dimension,
            dropout_rate=dropout_rate,
            distr_output=distr_output,
            scaling=scaling,
            default_scale=default_scale,
            num_parallel_samples=num_parallel_samples,
            nonnegative_pred_samples=nonnegative_pred_samples,
            width=d_model,
        )
        self.use_cache = bool(use_cache)
        self.token_proj = nn.Linear(self.input_size, d_model)
        self.layers = AttentionLayers(
            d_model, nhead, num_layers, dim_feedforward, self.dropout_rate
        )
        places = self.context_length - 1 + self.prediction_length
        self.register_buffer("positions", sinusoids(places, d_model), persistent=False)

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, Any]:
        """Read tokens in time order.

        The state is the layers' memories, or without ``use_cache`` the tokens themselves.
        """
        x = linear(self.token_proj, self.embedded(tokens, static_cat))
        hidden, memories = self.layers(x + self.positions[: tokens.shape[1]], causal=True)
        return hidden, memories if self.use_cache else tokens

    def branch(self, state: Any, num_paths: int) -> Any:
        """Let paths go on from one context: its memories are shared, tokens are repeated."""
        if not self.use_cache:
            return state.unsqueeze(1).expand(-1, num_paths, -1, -1)
        # In the order in which every step of the paths reads them.
        return tuple(
            Memory(memory.keys.contiguous(), memory.values.contiguous()) for memory in state
        )

    def advance(self, tokens: Tensor, static_cat: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        """Read one token of each path, ``batch x paths x num_features``."""
        if not self.use_cache:
            return self._replay(tokens, static_cat, state)
        memories: tuple[Memory, ...] = state
        x = linear(self.token_proj, self.embedded(tokens, static_cat))
        return self.layers.advance(x + self.positions[memories[0].length], memories)

    def _replay(
        self, tokens: Tensor, static_cat: Tensor | None, seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read all tokens of each path again, ``batch x paths x time x num_features``."""
        seen = torch.cat((seen, tokens.unsqueeze(2)), dim=2)
        batch, paths = tokens.shape[:2]
        if static_cat is not None:
            static_cat = static_cat.repeat_interleave(paths, dim=0)
        hidden, _ = self.encode(seen.flatten(0, 1), static_cat)
        return hidden[:, -1].view(batch, paths, -1), seen
