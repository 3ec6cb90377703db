"""A module at several weight vectors at once: parameters with a leading dimension of draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from tsbnn.inference.flat import slots

Module = TypeVar("Module", bound=nn.Module)


def stacked_parameters(module: nn.Module, weights: Tensor) -> dict[str, Tensor]:
    """Cut weight vectors into parameters by name: views ``draws x shape``.

    Parameters
    ----------
    module
        The module whose flat weights they are.
    weights
        ``draws x num_weights``, in the order of :func:`tsbnn.inference.weights_at`: frozen
        parameters left out, tied ones once, under the first of their names.
    """
    places = slots(module)
    # One split has one gradient; that of many slices would be as many padded copies.
    parts = torch.split(weights, [slot.size for slot in places], dim=1)
    return {slot.name: part.view(-1, *slot.shape) for slot, part in zip(places, parts, strict=True)}


def evaluate_at(module: Module, weights: Tensor, function: Callable[[Module], Any]) -> Any:
    """Evaluate a function of a module at several weight vectors in one pass.

    Every operation runs once for all vectors (:func:`torch.func.vmap`), and gradients flow to
    ``weights``, not to the module's own parameters. torch's recurrent layers cannot be batched so,
    nor can code that asks for the value of a tensor (``.item()``, ``if tensor``).

    Parameters
    ----------
    module
        Any module. Parameters that are frozen, and buffers, are the same for all vectors.
    weights
        ``draws x num_weights``, of the module's dtype and device: frozen parameters left out, tied
        ones once, in the order of ``module.parameters()``.
    function
        Called with the module; returns a tensor or tuples, lists and dicts of them. Random numbers
        that it takes from torch's global state differ between the vectors.

    Returns
    -------
    What ``function`` returns, each tensor with the draws as its first dimension.

    Raises
    ------
    ValueError
        If the length, dtype or device is not that of the module's weights.
    RuntimeError
        If something cannot be batched.
    """
    places = slots(module)
    total, first = places[-1].offset + places[-1].size, places[0].parameter
    if weights.ndim != 2 or weights.shape[1] != total:
        raise ValueError(
            f"weights have shape {tuple(weights.shape)}, the module needs (draws, {total})"
        )
    if weights.dtype != first.dtype or weights.device != first.device:
        raise ValueError(
            f"weights are {weights.dtype} on {weights.device}, "
            f"the module is {first.dtype} on {first.device}"
        )
    caller = _Caller(module, function)
    parameters = {
        f"module.{name}": own for name, own in stacked_parameters(module, weights).items()
    }

    def run(own: dict[str, Tensor]) -> Any:
        return functional_call(caller, own, ())

    with batchable_attention(weights.device):
        return vmap(run, randomness="different")(parameters)


class _Caller(nn.Module):
    """Lets :func:`torch.func.functional_call`, which knows ``forward`` only, run any function."""

    def __init__(self, module: nn.Module, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.module = module
        self.function = function

    def forward(self) -> Any:
        return self.function(self.module)


@contextmanager
def batchable_attention(device: torch.device) -> Iterator[None]:
    """Keep torch's attention off the kernels that vmap cannot batch.

    These are the one for whole transformer layers in eval mode, and the flash kernel of CPUs.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
