"""The training loss of a network, compiled by torch for the one shape that its batches have.

On a CPU it does not pay: the time is in matrix products and in oneDNN's LSTM, which stay as they
are. Processor time of one evaluation with its gradient on exchange_rate (batch 32, one core, three
turns with both sides), compiled over not compiled:

====================================  =============
network                               ratio
====================================  =============
DeepAR, 2 layers of 40                1.11 to 1.15
PatchTransformer, 2 layers of 32      1.08 to 1.10
Transformer, 2 layers of 32           1.08 to 1.23
Transformer, 2 layers of 128          1.15 to 1.24
====================================  =============

To compile a network takes ten seconds to minutes. On CUDA, where small kernels wait for their
launch, it has not been measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from tsbnn.forecasting.batch_sums import batch_sums
from tsbnn.forecasting.likelihood import Batch, window_losses
from tsbnn.foreign.shared import SharedChange

Sums = Callable[..., tuple[Tensor, Tensor]]


def _trust() -> Callable[[], None]:
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    return functools.partial(Distribution.set_default_validate_args, before)


_TRUSTED = SharedChange(_trust)


def without_validation() -> AbstractContextManager[None]:
    """Let distributions not look at their values, which cannot be compiled, and look again after.

    torch.compile turns this off for the whole process, the first time that it is called.
    """
    return _TRUSTED


def check_compiler(device: torch.device) -> None:
    """Compile a sum, to see whether it can be done here at all.

    Raises
    ------
    RuntimeError
        If it cannot: for a CPU a C++ compiler is needed, for CUDA Triton.
    """
    needed = "Triton" if device.type == "cuda" else "a C++ compiler (g++, or what CXX names)"
    try:
        torch.compile(_probe)(torch.ones(8, device=device))
    except RuntimeError as error:
        raise RuntimeError(
            f"compile=True: torch.compile does not work here on {device}; it needs {needed}. "
            f"Install it, or leave compile out. torch says: {error}"
        ) from error


def _probe(values: Tensor) -> Tensor:
    return (values * 2.0).sum()


def compiled_sums(network: nn.Module, device: torch.device, **options: Any) -> Sums:
    """Compile the summed losses and the count of observed points of a batch.

    The network itself stays as it is: nothing compiled can get into a file with it. Its weights may
    be changed in place, or be views of a vector. On CUDA the loss is replayed as CUDA graphs,
    without a launch for each kernel.

    Parameters
    ----------
    network
        Registered with :func:`tsbnn.forecasting.window_losses`.
    device
        Where it is trained.
    options
        For ``torch.compile``.

    Returns
    -------
    Callable
        As :func:`tsbnn.forecasting.batch_sums.batch_sums`, compiled where there are no ``draws``. A
        batch of another shape is compiled anew; the window loader's all have one, except for the
        last of a single pass, which training does not take.
    """
    # What is chosen by the type of a network is chosen here: dispatching cannot be compiled.
    losses_of = window_losses.dispatch(type(network))
    is_cuda = device.type == "cuda"

    def sums(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        losses = losses_of(network, batch)
        return losses.total.sum(), losses.observed.sum()

    if is_cuda:
        options = {"mode": "reduce-overhead", **options}
    compiled = torch.compile(sums, dynamic=False, **options)

    def evaluate(
        network: nn.Module, batch: Batch, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if draws is not None:
            return batch_sums(network, batch, draws)
        if not is_cuda:
            total, observed = compiled(network, batch)
            return total, observed
        torch.compiler.cudagraph_mark_step_begin()
        total, observed = compiled(network, batch)
        # The next replay writes to the same memory.
        return total.clone(), observed.clone()

    return evaluate
