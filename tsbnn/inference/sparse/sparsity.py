"""How sparse a module is inferred, and what that saves: layout, bytes of state, operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.backends import mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tsbnn.inference.flat import Slot

if TYPE_CHECKING:
    from tsbnn.inference.sparse.weights import SparseWeights

aten = torch.ops.aten
LAYOUTS = ("erdos_renyi", "uniform")


def active_counts(
    places: list[Slot], dense: list[bool], density: float, layout: str = "erdos_renyi"
) -> list[int]:
    r"""Share out the active weights over the parameters.

    ``"uniform"`` gives every sparse parameter the same density. ``"erdos_renyi"`` gives a parameter
    of shape :math:`n_1 \times n_2 \times \dots` a density in proportion to
    :math:`\sum_k n_k / \prod_k n_k`, at most 1: each unit gets about the same number of
    connections, and the small last layers are not cut to pieces (D. C. Mocanu et al.,
    arXiv 1707.04780; for kernels U. Evci et al., arXiv 1911.11134).

    Parameters
    ----------
    places
        The parameters.
    dense
        Which of them keep all their weights.
    density
        Share of the weights of the other parameters, taken together, that is active.
    layout
        One of the two above.

    Returns
    -------
    list of int
        Active weights of each parameter, at least 1.
    """
    counts = [place.size for place in places]
    free = [i for i, full in enumerate(dense) if not full]
    if layout == "uniform":
        for i in free:
            counts[i] = max(1, round(density * places[i].size))
        return counts
    budget = density * sum(places[i].size for i in free)
    while free:
        connections = {i: sum(places[i].shape) for i in free}
        factor = budget / sum(connections.values())
        whole = [i for i in free if factor * connections[i] >= places[i].size]
        if not whole:
            for i in free:
                counts[i] = max(1, round(factor * connections[i]))
            break
        budget -= sum(places[i].size for i in whole)
        free = [i for i in free if i not in whole]
    return counts


@dataclass(frozen=True)
class LayerSparsity:
    """Active weights of one parameter, and whether kernels compute with these alone."""

    name: str
    weights: int
    active: int
    sparse_kernel: bool


@dataclass(frozen=True)
class SparsityReport:
    """What sparse inference keeps and computes, beside dense mean-field inference.

    Attributes
    ----------
    layers
        Active weights of each parameter.
    state_bytes
        All that lives between two steps: the module's trainable weights as they are stored, and
        gradient, posterior, moments and indices.
    dense_elbo_bytes, dense_score_bytes
        The same for dense mean-field inference of this module: weights, gradient, mean, precision
        and Adam's moments of the mean; for ``"elbo"`` also log-sds and their moments. Vectors that
        live within a step alone are not in it (the score method has two more).
    executed_flops
        Floating-point operations of one gradient evaluation as the kernels execute them (masked
        dense work counts as dense; a multiplication and an addition are two), or None without a
        closure. Counted are matrix products, convolutions and attention.
    dense_flops
        The same, all kernels dense.
    theoretical_flops
        What would be left if every kernel followed the active weights: a bound, not a measurement.
    """

    layers: tuple[LayerSparsity, ...]
    state_bytes: int
    dense_elbo_bytes: int
    dense_score_bytes: int
    executed_flops: int | None = None
    dense_flops: int | None = None
    theoretical_flops: int | None = None

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(layer.weights for layer in self.layers)

    @property
    def active(self) -> int:
        """Number of active weights."""
        return sum(layer.active for layer in self.layers)

    def __str__(self) -> str:
        """Return a table of the layers, and the totals."""
        rows = [
            f"{layer.name:40s} {layer.active:>10,} of {layer.weights:>10,} active "
            f"({layer.active / layer.weights:.1%}), "
            f"{'sparse' if layer.sparse_kernel else 'dense'} kernel"
            for layer in self.layers
        ]
        share = self.active / self.weights
        rows.append(f"{'all':40s} {self.active:>10,} of {self.weights:>10,} active ({share:.1%})")
        rows.append(
            f"training state {self.state_bytes / 2**20:.1f} MiB; dense elbo "
            f"{self.dense_elbo_bytes / 2**20:.1f}, dense score "
            f"{self.dense_score_bytes / 2**20:.1f} MiB"
        )
        if self.executed_flops is not None:
            rows.append(
                f"FLOPs of a gradient evaluation: {self.executed_flops:.3g} executed, "
                f"{self.dense_flops:.3g} all dense, {self.theoretical_flops:.3g} in theory"
            )
        return "\n".join(rows)


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what kernels compute, dense and sparse, and what is due to given weights.

    A weight takes part in three products of its layer: forward, backward to the inputs, and its
    own gradient. The first two read it, so the counter sees them; the third is as large as the
    first.

    Parameters
    ----------
    places, counts
        Parameters, and the active weights of each.

    Attributes
    ----------
    executed, dense, theoretical
        Operations as executed; with all kernels dense; with all kernels following the weights.
    """

    def __init__(self, places: list[Slot], counts: list[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.executed = self.dense = self.theoretical = 0
        self._densities = {
            slot.parameter.untyped_storage().data_ptr(): count / slot.size
            for slot, count in zip(places, counts, strict=True)
            if count < slot.size
        }

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and count it."""
        result = func(*args, **(kwargs or {}))
        kind = func._overloadpacket
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        sparse = [tensor for tensor in tensors if tensor.layout == torch.sparse_csr]
        if sparse and kind in (aten.mm, aten.addmm, aten.sparse_sampled_addmm):
            columns = args[1].shape[1] if kind is aten.sparse_sampled_addmm else result.shape[1]
            done = 2 * sparse[0].values().numel() * columns
            self.executed += done
            self.theoretical += done
            self.dense += 2 * sparse[0].numel() * columns
        elif not sparse and kind in flop_registry:
            done = int(flop_registry[kind](*args, **(kwargs or {}), out_val=result))
            self.executed += done
            self.dense += done
            self.theoretical += done - self._saved(kind, tensors, done)
        return result

    def _saved(self, kind: Any, tensors: list[Tensor], done: int) -> int:
        """Operations that inactive weights cause, that of their gradient included."""
        # The backward of a convolution is one operation that gives both gradients.
        forward = torch.is_grad_enabled() and kind is not aten.convolution
        for tensor in tensors:
            density = self._densities.get(tensor.untyped_storage().data_ptr())
            if density is not None:
                return round((1.0 - density) * done * (2 if forward else 1))
        return 0


def counted(
    closure: Callable[[], object], places: list[Slot], counts: list[int]
) -> tuple[int, int, int]:
    """Count one call of ``closure``: executed, all dense and theoretical operations."""
    counter = FlopCounter(places, counts)
    with warnings.catch_warnings():
        # Setting oneDNN's flags warns of graphics processors that are not there.
        warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")
        # Fused recurrent and attention kernels hide their products: without them the same
        # products are made one by one.
        with mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH), counter:
            closure()
    return counter.executed, counter.dense, counter.theoretical


def report_on(
    flat: SparseWeights, state: list[Tensor], closure: Callable[[], object] | None
) -> SparsityReport:
    """Write the report on sparse weights; ``state`` is what their optimizer keeps beside them."""
    parts = zip(flat.slots, flat.counts, flat.with_kernels, strict=True)
    layers = tuple(LayerSparsity(slot.name, slot.size, count, own) for slot, count, own in parts)
    operations: tuple[int, ...] = ()
    if closure is not None:
        with flat.receiving(), torch.enable_grad():
            operations = counted(closure, flat.slots, flat.counts)
    kept = [*state, *flat.tensors(), *(slot.parameter for slot in flat.slots)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    vector = flat.values.element_size() * flat.num_weights
    return SparsityReport(layers, sum(storages.values()), 9 * vector, 6 * vector, *operations)
