"""The active weights of a module as short flat vectors; the module itself stays as it is.

The counterpart of :class:`~tsbnn.inference.flat.FlatWeights` for a posterior on a subspace: values
and gradients are vectors of the active weights alone. Each parameter keeps its dense tensor, zero
where no weight is active, because dense kernels need it (layers with kernels of their own, see
:mod:`tsbnn.inference.sparse.layers`, have none). A dense gradient exists for one parameter at a
time: its active entries are gathered as soon as backward has it, and it is freed.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from tsbnn.inference.flat import FlatWeights, Slot
from tsbnn.inference.posteriors.sparse import index_dtype
from tsbnn.inference.resolved_prior import ResolvedPrior
from tsbnn.inference.sparse.layers import ActiveWeights, SparseLinear, largest_inactive


class SparseWeights(FlatWeights):
    """Flat vectors of the active weights of a module, and of their gradient.

    Parameters
    ----------
    places
        The parameters, of one dtype and device.
    counts
        Active weights of each parameter. At first they are the largest in absolute value, so that
        a trained module loses as little as it can.
    sparse
        Whether plain linear layers compute with their active weights alone and keep no others.
    scaled
        Whether the active weights of a matrix are scaled until they have its sum of squares.

    Attributes
    ----------
    values, gradient
        Vectors (``num_active``).
    index
        Where the active weights stand among all weights, ``num_active``; ascending.
    wanted, found
        How many inactive weights of each parameter the next evaluations are to find, and the
        found: those of the largest absolute gradient, as positions in the parameter and gradients.
    """

    def __init__(
        self, module: nn.Module, places: list[Slot], counts: list[int], sparse: bool, scaled: bool
    ) -> None:
        self.slots = places
        self.counts = counts
        self.num_weights = places[-1].offset + places[-1].size
        self.num_active = sum(counts)
        self.want([0] * len(places))
        owners = Counter(id(p) for m in module.modules() for p in m._parameters.values())
        # Layers that compute through their own forward: plain ones, with a weight of their own.
        self.with_kernels = [
            sparse
            and count < slot.size
            and type(slot.owner) is nn.Linear
            and min(slot.shape) > 1
            and owners[id(slot.parameter)] == 1
            for slot, count in zip(places, counts, strict=True)
        ]
        self._known: list[tuple[object, ...]] = []
        self.index: Tensor
        self._choose(scaled)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what knows the parameters of this very module."""
        return {**self.__dict__, "_known": [], "found": [None] * len(self.slots)}

    def _choose(self, scaled: bool) -> None:
        """Make the largest weights that the module has now the active ones."""
        chosen, values = [], []
        for slot, count in zip(self.slots, self.counts, strict=True):
            flat = slot.parameter.detach().reshape(-1)
            positions = flat.abs().topk(count).indices.sort().values
            part = flat[positions]
            if scaled and count < slot.size and bool(part.any()):
                part *= flat.norm() / part.norm()
            values.append(part)
            chosen.append((positions + slot.offset).to(index_dtype(self.num_weights)))
        self.index, self.values = torch.cat(chosen), torch.cat(values)
        self.gradient = torch.zeros_like(self.values)
        self.settle()

    def want(self, sizes: list[int]) -> None:
        """Say how many inactive weights of each parameter the next evaluation is to find."""
        self.wanted = sizes
        self.found: list[tuple[Tensor, Tensor] | None] = [None] * len(sizes)

    def views(self, vector: Tensor) -> list[Tensor]:
        """Split a vector (``num_active``) into one view for each parameter."""
        return list(torch.split(vector, self.counts))

    def positions(self) -> list[Tensor]:
        """Return where the active weights of each parameter stand in it (new tensors)."""
        parts = zip(self.views(self.index), self.slots, strict=True)
        return [part - slot.offset for part, slot in parts]

    def settle(self) -> None:
        """Put :attr:`values` into the module and exact zeros everywhere else.

        Layers with kernels of their own lose their dense weight.
        """
        for slot, part, own in zip(
            self.slots, self.views(self.index), self.with_kernels, strict=True
        ):
            if own:
                SparseLinear.convert(slot.owner, part - slot.offset, self.values[:0])
                continue
            data = slot.parameter.data
            whole = data.untyped_storage().nbytes() == data.numel() * data.element_size()
            if not (whole and data.is_contiguous()):
                # A tensor of its own: a view would keep the whole buffer alive.
                data = torch.empty_like(data, memory_format=torch.contiguous_format)
                slot.parameter.data = data
            data.zero_()
        self.place()

    def unfold(self) -> None:
        """Give every layer an ordinary dense weight, zero where no weight is active."""
        for slot in self.slots:
            if isinstance(slot.owner, SparseLinear):
                slot.owner.unfold()
        self.mark()

    @property
    def folded(self) -> bool:
        """Whether the layers with kernels of their own are ready to use them."""
        return all(
            isinstance(slot.owner, SparseLinear)
            for slot, own in zip(self.slots, self.with_kernels, strict=True)
            if own
        )

    def place(self) -> None:
        """Put :attr:`values` into the module, whose inactive weights are zero already."""
        for slot, part, index, own in self._parts(self.values):
            if own:
                _kernel(slot).values = part.detach().requires_grad_()
            elif part.numel() == slot.size:
                slot.parameter.data.view(-1).copy_(part)
            else:
                slot.parameter.data.view(-1).scatter_(0, index - slot.offset, part)
        self.mark()

    def gather(self) -> None:
        """Take the active weights that the module has now into :attr:`values`."""
        for slot, part, index, _ in self._parts(self.values):
            part.copy_(slot.parameter.detach().reshape(-1).gather(0, index - slot.offset))

    def synchronise(self) -> bool:
        """Notice weights that somebody else changed or converted since :meth:`mark`.

        Returns
        -------
        bool
            True if so: dtype and device of :attr:`values` then follow the module, and values are
            those that it has at the active places.

        Raises
        ------
        ValueError
            If a parameter was frozen or changed its shape meanwhile.
        """
        for slot in self.slots:
            if not slot.parameter.requires_grad:
                raise ValueError(
                    f"parameter {slot.name!r} was frozen after the optimizer was built: freeze "
                    "first, then build a new optimizer"
                )
            if slot.parameter.shape != slot.shape:
                raise ValueError(
                    f"parameter {slot.name!r} changed its shape from {tuple(slot.shape)} to "
                    f"{tuple(slot.parameter.shape)}: build a new optimizer"
                )
        if self._known == self._fingerprint():
            return False
        like = self.slots[0].parameter
        self.values = torch.zeros(self.num_active, dtype=like.dtype, device=like.device)
        self.gradient = torch.zeros_like(self.values)
        self.index = self.index.to(like.device)
        self.unfold()
        self.gather()
        return True

    def mark(self) -> None:
        """Take the weights as they are now for known."""
        self._known = self._fingerprint()

    def _fingerprint(self) -> list[tuple[object, ...]]:
        parameters = (slot.parameter for slot in self.slots)
        return [(id(p), p._version, p.data_ptr(), p.dtype, p.device) for p in parameters]

    def zero_gradient(self) -> None:
        """Set the gradient to zero and free whatever dense gradients there are."""
        self.gradient.zero_()
        for slot, part, _, own in self._parts(self.gradient):
            slot.parameter.grad = None
            if own and isinstance(slot.owner, SparseLinear):
                slot.owner.active.values.grad = part

    def collect_gradient(self) -> Tensor:
        """Return the gradient of the active weights, ``num_active``.

        Raises
        ------
        ValueError
            If something read the weight of a layer with kernels of its own past its forward.
        """
        for slot, own in zip(self.slots, self.with_kernels, strict=True):
            if own and slot.parameter.grad is not None:
                slot.parameter.grad = None
                raise ValueError(
                    f"something uses {slot.name!r} past the forward of its layer, where the "
                    "weight is not stored: build the method with kernels='dense'"
                )
        return self.gradient

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Place the weights; inside, gradients are gathered and freed as backward makes them."""
        self.place()
        self.zero_gradient()
        handles = []
        for i, (slot, own) in enumerate(zip(self.slots, self.with_kernels, strict=True)):
            if own:
                _kernel(slot).wanted = self.wanted[i]
            else:
                take = partial(self._take, i)
                hook = slot.parameter.register_post_accumulate_grad_hook(take)  # type: ignore[no-untyped-call]
                handles.append(hook)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for i, (slot, own) in enumerate(zip(self.slots, self.with_kernels, strict=True)):
                if own:
                    kernel = _kernel(slot)
                    self.found[i], kernel.found, kernel.wanted = kernel.found, None, 0

    def _take(self, i: int, parameter: Tensor) -> None:
        """Gather the active part of one dense gradient, look for candidates, and free it."""
        gradient = parameter.grad
        if gradient is None:
            return
        parameter.grad = None
        flat = (gradient.to_dense() if gradient.is_sparse else gradient).reshape(-1)
        own = self.views(self.gradient)[i]
        if own.numel() == flat.numel():
            own.add_(flat)
            return
        active = self.views(self.index)[i] - self.slots[i].offset
        own.add_(flat.gather(0, active))
        if self.wanted[i]:
            self.found[i] = largest_inactive(flat, active, self.wanted[i])

    def tensors(self) -> list[Tensor]:
        """Return what is kept beside the parameters."""
        own = [
            tensor
            for slot in self.slots
            if isinstance(slot.owner, SparseLinear)
            for tensor in slot.owner.active.tensors()
        ]
        return [self.index, self.values, self.gradient, *own]

    def _parts(self, vector: Tensor) -> Iterator[tuple[Slot, Tensor, Tensor, bool]]:
        parts = self.views(vector), self.views(self.index), self.with_kernels
        return zip(self.slots, *parts, strict=True)


def _kernel(slot: Slot) -> ActiveWeights:
    return cast(SparseLinear, slot.owner).active


def restricted(prior: ResolvedPrior, positions: list[Tensor]) -> ResolvedPrior:
    """Return the prior of the weights at ``positions`` of each parameter alone."""
    chosen = copy.copy(prior)
    chosen.sizes = [part.numel() for part in positions]
    chosen.means = [_at(mean, part) for mean, part in zip(prior.means, positions, strict=True)]
    chosen.precisions = [
        _at(value, part) for value, part in zip(prior.precisions, positions, strict=True)
    ]
    return chosen


def _at(value: Tensor, positions: Tensor) -> Tensor:
    return value if value.ndim == 0 else value[positions.long()]
