"""The trainable weights of a module as one flat vector, and the guard that keeps them so.

Parameters become views of one buffer, so that a weight draw or an update is a handful of vector
operations whatever the number of layers. Views are fragile: ``module.double()``,
``module.to("cuda")``, ``copy.deepcopy``, ``load_state_dict(assign=True)`` and cuDNN's
``flatten_parameters`` all break them without a word, so :meth:`FlatWeights.synchronise` checks
them before every step and rebinds, keeping the values that the module has now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Slot:
    """One trainable parameter: where it lives in its module and in the flat vector."""

    name: str
    owner: nn.Module
    attribute: str
    shape: torch.Size
    offset: int

    @property
    def size(self) -> int:
        """Number of weights in the parameter."""
        return self.shape.numel()

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter that the module holds at this moment."""
        parameter = self.owner._parameters[self.attribute]
        if parameter is None:
            raise ValueError(f"parameter {self.name!r} was removed from its module")
        return parameter

    def view(self, vector: Tensor) -> Tensor:
        """Return this parameter's part of ``vector`` (``num_weights``) in its own shape."""
        return vector[self.offset : self.offset + self.size].view(self.shape)


def slots(module: nn.Module) -> list[Slot]:
    """List the trainable parameters of ``module``: frozen ones left out, tied ones once.

    The order is that of ``module.parameters()``.
    """
    found: list[Slot] = []
    seen: set[int] = set()
    offset = 0
    for prefix, owner in module.named_modules():
        for attribute, parameter in owner._parameters.items():
            if parameter is None or not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            name = f"{prefix}.{attribute}" if prefix else attribute
            found.append(Slot(name, owner, attribute, parameter.shape, offset))
            offset += parameter.numel()
    if not found:
        raise ValueError(
            f"{type(module).__name__} has no trainable parameters: nothing to infer. "
            "Set requires_grad=True on at least one of them."
        )
    kinds = {(slot.parameter.dtype, slot.parameter.device) for slot in found}
    if len(kinds) > 1:
        listing = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
        raise ValueError(
            "all trainable parameters must share one floating dtype and one device, "
            f"found {listing}. Convert the module first, e.g. module.to(device, dtype)."
        )
    if not found[0].parameter.is_floating_point():
        raise ValueError(f"weights must be real floating point, not {found[0].parameter.dtype}")
    return found


def count_weights(module: nn.Module) -> int:
    """Count the trainable weights of ``module``, tied ones once."""
    return sum(slot.size for slot in slots(module))


@contextmanager
def weights_at(module: nn.Module, weights: Tensor) -> Iterator[nn.Module]:
    """Run ``module`` at the flat vector ``weights``, then give it its own weights back.

    Nothing is copied: the parameters point into ``weights`` for the while, so it must not change
    meanwhile. Gradients that a caller takes inside are gradients at ``weights``.

    Parameters
    ----------
    module
        Any module.
    weights
        Vector (``num_weights``) in the order of ``module.parameters()``, frozen parameters left
        out, tied ones once; of the module's dtype and device.

    Raises
    ------
    ValueError
        If the length, dtype or device is not that of the module's weights.
    """
    places = slots(module)
    total = places[-1].offset + places[-1].size
    first = places[0].parameter
    if weights.shape != (total,):
        raise ValueError(f"weights have shape {tuple(weights.shape)}, the module needs ({total},)")
    if weights.dtype != first.dtype or weights.device != first.device:
        raise ValueError(
            f"weights are {weights.dtype} on {weights.device}, "
            f"the module is {first.dtype} on {first.device}"
        )
    weights = weights.detach().contiguous()
    kept = [slot.parameter.data for slot in places]
    try:
        for slot in places:
            slot.parameter.data = slot.view(weights)
        yield module
    finally:
        for slot, data in zip(places, kept, strict=True):
            slot.parameter.data = data


class FlatWeights:
    """Two flat buffers, of weights and of gradients, with a module's parameters as their views.

    Parameters
    ----------
    module
        The module to bind. Its parameters keep their values.

    Attributes
    ----------
    values, gradient
        Vectors (``num_weights``) that the parameters and their gradients are views of.
    sizes
        Number of weights of each parameter, on the device of the weights.
    slots
        The parameters in order.
    """

    def __init__(self, module: nn.Module) -> None:
        self.slots = slots(module)
        refuse_inference_mode(self.slots)
        self.num_weights = self.slots[-1].offset + self.slots[-1].size
        self.values: Tensor
        self.gradient: Tensor
        self.sizes: Tensor
        self._gradient_views: list[Tensor] = []
        self._bound: list[tuple[nn.Parameter, int]] = []
        self._bind()

    def views(self, vector: Tensor) -> list[Tensor]:
        """Split a vector (``num_weights``) into one flat view for each parameter."""
        return list(torch.split(vector, [slot.size for slot in self.slots]))

    def synchronise(self) -> bool:
        """Make the parameters views of :attr:`values` again if they are not.

        Returns
        -------
        bool
            True if somebody else replaced or changed weights since :meth:`mark`: the module's
            values then stand in :attr:`values` (perhaps of a new dtype or device).

        Raises
        ------
        ValueError
            If a parameter was frozen or changed its shape meanwhile.
        """
        parameters = [slot.parameter for slot in self.slots]
        for slot, parameter in zip(self.slots, parameters, strict=True):
            if not parameter.requires_grad:
                raise ValueError(
                    f"parameter {slot.name!r} was frozen after the optimizer was built: freeze "
                    "first, then build a new optimizer"
                )
        if not self._aliased(parameters):
            self._bind()
            return True
        changed = any(
            parameter is not known or parameter._version != version
            for parameter, (known, version) in zip(parameters, self._bound, strict=True)
        )
        if changed:
            self.mark()
        return changed

    def mark(self) -> None:
        """Take the weights as they are now for known: later foreign changes are noticed."""
        self._bound = [(slot.parameter, slot.parameter._version) for slot in self.slots]

    def zero_gradient(self) -> None:
        """Set the gradient to zero in place, each ``parameter.grad`` a view of it."""
        self.gradient.zero_()
        for slot, view in zip(self.slots, self._gradient_views, strict=True):
            slot.parameter.grad = view

    def collect_gradient(self) -> Tensor:
        """Return the flat gradient, after copying in parts that were allocated elsewhere.

        A parameter without gradient (the loss does not depend on it) counts as zero.
        """
        for slot, own in zip(self.slots, self._gradient_views, strict=True):
            parameter = slot.parameter
            if parameter.grad is own:
                continue
            if parameter.grad is None:
                own.zero_()
            elif parameter.grad.data_ptr() != own.data_ptr():
                own.copy_(parameter.grad)
            parameter.grad = own
        return self.gradient

    def _aliased(self, parameters: list[nn.Parameter]) -> bool:
        base, width = self.values.data_ptr(), self.values.element_size()
        return all(
            parameter.data_ptr() == base + slot.offset * width
            and parameter.dtype == self.values.dtype
            and parameter.device == self.values.device
            and parameter.is_contiguous()
            for slot, parameter in zip(self.slots, parameters, strict=True)
        )

    def _bind(self) -> None:
        parameters = [slot.parameter for slot in self.slots]
        self.values = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.gradient = torch.zeros_like(self.values)
        # Kept here: to copy numbers to an accelerator waits for it.
        self.sizes = self.values.new_tensor([slot.size for slot in self.slots])
        self._gradient_views = [slot.view(self.gradient) for slot in self.slots]
        for slot, parameter, view in zip(self.slots, parameters, self._gradient_views, strict=True):
            if parameter.shape != slot.shape:
                raise ValueError(
                    f"parameter {slot.name!r} changed its shape from {tuple(slot.shape)} to "
                    f"{tuple(parameter.shape)}: build a new optimizer"
                )
            old = parameter.grad
            parameter.data = slot.view(self.values)
            if old is not None:
                view.copy_(old)
                parameter.grad = view
        self.mark()


def refuse_inference_mode(places: Iterable[Slot] = ()) -> None:
    """Refuse tensors that have no gradients, whatever ``torch.enable_grad()`` says.

    Raises
    ------
    ValueError
        Under ``torch.inference_mode()``, and for parameters that were made under it.
    """
    if torch.is_inference_mode_enabled():
        raise ValueError(
            "there are no gradients under torch.inference_mode(): build optimizers and take their "
            "steps outside of it, or under torch.inference_mode(False)"
        )
    for slot in places:
        if slot.parameter.is_inference():
            raise ValueError(
                f"parameter {slot.name!r} was made under torch.inference_mode() and never has a "
                "gradient: build the module outside of it"
            )
