"""New random initialisations of a module's weights: places apart for a posterior to start from.

The members of an ensemble and the components of a mixture must begin in different basins, where
fresh trainings of the network would begin. What a layer calls its initialisation is its own
``reset_parameters``; weights whose owner has none come from their prior.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tsbnn.inference.flat import slots
from tsbnn.inference.posteriors import normal
from tsbnn.inference.resolved_prior import ResolvedPrior


def fresh_weights(
    module: nn.Module, prior: ResolvedPrior, generator: torch.Generator | None
) -> Tensor:
    """Initialise the trainable weights of ``module`` anew, without touching the module.

    Layers with a ``reset_parameters`` (those of torch; ``_reset_parameters`` of its attention)
    are reset by it, inner layers before outer ones, as when the module was built. Parameters of
    other owners are drawn from ``prior``. All is drawn on the CPU, so that one seed gives the same
    weights wherever the module lies; global random state stays as it is.

    Parameters
    ----------
    module
        Any module. It is not thread-safe meanwhile.
    prior
        The prior of its weights.
    generator
        Decides the weights; None takes torch's global random state, and moves it on by one number.

    Returns
    -------
    Tensor
        Weights (``num_weights``) of the module's dtype and device, in the order of
        ``module.parameters()``, frozen parameters left out, tied ones once.
    """
    device = None if generator is None else generator.device
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
    like = slots(module)[0].parameter.detach()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _copied_to_cpu(module):
        torch.default_generator.manual_seed(seed)
        places = slots(module)
        for slot, mean, precision in zip(places, prior.means, prior.precisions, strict=True):
            if _reset_of(slot.owner) is None:
                parameter = slot.parameter
                drawn = normal((slot.size,), parameter, None)
                drawn.mul_(precision.to(parameter).rsqrt()).add_(mean.to(parameter))
                parameter.copy_(drawn.view(slot.shape))
        for layer in reversed(list(module.modules())):
            reset = _reset_of(layer)
            if reset is not None:
                reset()
        weights = torch.cat([slot.parameter.reshape(-1) for slot in slots(module)])
    return weights.to(like)


def _reset_of(layer: nn.Module) -> Callable[[], object] | None:
    """Return the method by which a layer initialises itself, if it has one."""
    for name in ("reset_parameters", "_reset_parameters"):
        method = getattr(layer, name, None)
        if callable(method) and not _required(method):
            reset: Callable[[], object] = method
            return reset
    return None


def _required(method: Callable[..., object]) -> bool:
    """Say whether a method must be given arguments."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(
        argument.default is inspect.Parameter.empty and argument.kind not in kinds
        for argument in inspect.signature(method).parameters.values()
    )


@contextmanager
def _copied_to_cpu(module: nn.Module) -> Iterator[None]:
    """Let a module hold copies of its parameters and buffers for a while; tied ones stay tied.

    The tensors themselves are put back, not their values: other code may hold views of them, or
    count their changes.
    """
    layers = list(module.modules())
    kept = [(dict(layer._parameters), dict(layer._buffers)) for layer in layers]
    copies: dict[int, Tensor] = {}

    def copy(tensor: Tensor) -> Tensor:
        if id(tensor) not in copies:
            values = tensor.detach().to("cpu", copy=True)
            if isinstance(tensor, nn.Parameter):
                values = nn.Parameter(values, requires_grad=tensor.requires_grad)
            copies[id(tensor)] = values
        return copies[id(tensor)]

    try:
        for layer, tensors in zip(layers, kept, strict=True):
            for own, saved in zip((layer._parameters, layer._buffers), tensors, strict=True):
                own.update({name: None if t is None else copy(t) for name, t in saved.items()})  # type: ignore[attr-defined]
        yield
    finally:
        for layer, (parameters, buffers) in zip(layers, kept, strict=True):
            layer._parameters.update(parameters)
            layer._buffers.update(buffers)
