"""The training loss of one batch: at the weights in place, or at several weight draws at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from gluonts.torch.model.deepar.module import DeepARModel
from gluonts.torch.model.wavenet.module import WaveNet
from torch import Tensor, nn

from tsbnn.forecasting.likelihood import Batch, window_losses
from tsbnn.forecasting.prediction.draws import ways_agree
from tsbnn.foreign.random_state import RandomStream
from tsbnn.inference import evaluate_at, weights_at
from tsbnn.networks import LSTM, AutoregressiveNetwork

_WIDE = 1_000_000


def batch_sums(
    network: nn.Module, batch: Batch, draws: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of a batch in nats, and its number of observed points.

    Parameters
    ----------
    network
        The network.
    batch
        Fields by name.
    draws
        Weight vectors ``draws x num_weights`` to evaluate in one pass; by default the weights in
        place.

    Returns
    -------
    tuple
        0-dim and 0-dim; with ``draws`` the first one is a vector of as many.
    """
    if draws is None:
        losses = window_losses(network, batch)
        return losses.total.sum(), losses.observed.sum()
    with _batchable_recurrence(network):
        totals, observed = evaluate_at(network, draws, lambda own: batch_sums(own, batch))
    return totals, observed[0]


def choose_for_training(
    network: nn.Module, device: torch.device, draws: int, num_weights: int
) -> str:
    """Choose the loop or the batched way of a training step's draws: a pair, or K.

    Time of a whole step with all draws together over that with one after the other, in turns on one
    core of a CPU (batch 32, context 48, horizon 24; the pairs of ``score``, and ``alpha``):

    ==================================  =========  ====  =======  =======
    network                             weights    pair  4 draws  8 draws
    ==================================  =========  ====  =======  =======
    DeepAR, 2 layers of 40                 24,000  1.83     1.72     1.42
    Transformer, 2 layers of 32            26,000  1.29     1.19     1.36
    Transformer, 2 layers of 128          400,000  1.34
    PatchTransformer, 2 layers of 32       36,000  1.10     0.79     0.72
    SimpleFeedForward, 2 layers of 20      11,000  1.44     0.69     0.40
    SimpleFeedForward, 2 layers of 512  6,300,000  1.98     1.97
    ==================================  =========  ====  =======  =======

    So there the batched way is for networks that give the whole horizon at once, are small, and
    have more than two draws. Elsewhere a single draw fills the machine, and the loop keeps oneDNN's
    LSTM and attention. On CUDA, without figures yet, a step of such sizes waits for the start of
    its kernels, of which the batched way has half as many for a pair: batched. Except for networks
    with an LSTM, which would lose cuDNN's: one kernel for what is hundreds.

    Parameters
    ----------
    network, device
        The network, and where it is trained.
    draws, num_weights
        Numbers of weight vectors evaluated on one batch, and of weights in each.
    """
    parts = list(network.modules())
    if device.type != "cpu":
        return "loop" if any(isinstance(part, nn.RNNBase) for part in parts) else "batched"
    steps = (AutoregressiveNetwork, DeepARModel, WaveNet)
    is_direct = not any(isinstance(part, steps) for part in parts)
    return "batched" if is_direct and draws > 2 and num_weights <= _WIDE else "loop"


def trains_together(
    network: nn.Module, weights: Tensor, batch: Batch, draws: int, evaluation: str
) -> bool:
    """Say whether a training step should evaluate all its draws in one pass.

    Parameters
    ----------
    network, batch
        What is trained, and some windows.
    weights
        The network's own, ``num_weights``.
    draws
        How many weight vectors a step evaluates on one batch.
    evaluation
        ``"auto"``, see :func:`choose_for_training`, ``"loop"``, or ``"batched"``. Networks that
        cannot be batched, or whose loss is random (dropout), take the loop.
    """
    way = evaluation
    if way == "auto":
        way = choose_for_training(network, weights.device, draws, len(weights))
    if way == "loop" or draws < 2:
        return False
    some = torch.stack([weights, 1.01 * weights])

    def trial(way: str) -> Tensor:
        if way == "batched":
            return batch_sums(network, batch, some)[0]
        totals = []
        for row in some:
            with weights_at(network, row):
                totals.append(batch_sums(network, batch)[0])
        return torch.stack(totals)

    # A trial must not take random numbers from training.
    with RandomStream(0).active(), torch.no_grad():
        return ways_agree(network, trial)


@contextmanager
def _batchable_recurrence(network: nn.Module) -> Iterator[None]:
    """Let our LSTMs run plain operations, which can be batched."""
    fused = [part for part in network.modules() if isinstance(part, LSTM) and part.fused]
    try:
        for part in fused:
            part.fused = False
        yield
    finally:
        for part in fused:
            part.fused = True
