"""Ancestral sampling: paths of an autoregressive network, one time of all paths after another.

The loop over time runs outside of the network, and random numbers are drawn once a time step for
all weight draws, series and paths together: an evaluator that runs its draws one by one and one
that batches them give the same paths. Time features, statics and lags that end before the
forecast start are prepared once per series; only lags inside the horizon are filled in per path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tsbnn.networks import head as heads

if TYPE_CHECKING:
    from tsbnn.networks.autoregressive import AutoregressiveNetwork


class Evaluator(Protocol):
    """Runs a network's weights: the network itself, or several weight draws at once.

    With draws, everything given back has a leading dimension of draws, and so have the tokens,
    outputs and states that come in again.
    """

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, Any]:
        """Read tokens ``batch x time x num_features``; outputs and state."""

    def branch(self, state: Any, num_paths: int) -> Any:
        """Give each path its state."""

    def advance(self, tokens: Tensor, static_cat: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        """Read tokens ``(draws x) batch x paths x num_features`` of one time."""

    def param_proj(self, hidden: Tensor) -> Sequence[Tensor]:
        """Arguments of the head from outputs."""


@torch.no_grad()
def sample_paths(
    network: AutoregressiveNetwork,
    evaluator: Evaluator,
    inputs: Mapping[str, Tensor | None],
    num_paths: int,
) -> Tensor:
    """Sample paths beyond the forecast start; random numbers come from torch's global state.

    Parameters
    ----------
    network
        Prepares the tokens and has the head; its weights are not used.
    evaluator
        Runs the weights.
    inputs
        Fields of the batch by name, as :meth:`AutoregressiveNetwork.forward` takes them.
    num_paths
        Paths of each series (and draw).

    Returns
    -------
    Tensor
        ``(draws x) batch x num_paths x prediction_length``, in target units.
    """
    head, features = network.distr_output, network.features
    static_cat = network.categories(inputs)
    tokens, loc, scale = features(inputs)
    context = network.context_length
    hidden, state = evaluator.encode(tokens[:, :context], static_cat)
    state = evaluator.branch(state, num_paths)
    # The last token of the context is the same on all paths: `... x batch x paths x width`.
    hidden = hidden[..., -1:, :].expand(*hidden.shape[:-2], num_paths, hidden.shape[-1])
    value = heads.sample(head, evaluator.param_proj(hidden), loc, scale)
    samples = value.new_empty(*value.shape, network.prediction_length)
    scaled = torch.empty_like(samples)
    samples[..., 0] = value
    scaled[..., 0] = (value - loc) / scale
    for step in range(1, network.prediction_length):
        token = tokens[:, context + step - 1].unsqueeze(1)
        token = token.expand(*value.shape, token.shape[-1]).clone()
        features.fill(token, scaled, step)
        hidden, state = evaluator.advance(token, static_cat, state)
        value = heads.sample(head, evaluator.param_proj(hidden), loc, scale)
        samples[..., step] = value
        scaled[..., step] = (value - loc) / scale
    return samples.relu_() if network.nonnegative_pred_samples else samples
