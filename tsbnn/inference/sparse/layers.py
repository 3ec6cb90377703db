r"""Linear layers that compute with their active weights alone, forward and backward.

With W in compressed rows (CSR) and :math:`\mathcal A` its active entries,

.. math:: Y = X W^\top, \qquad \frac{\partial L}{\partial X} = G\, W, \qquad
          \frac{\partial L}{\partial W_{ij}} = \sum_b G_{bi} X_{bj} \;\; \text{for } (i, j)
          \in \mathcal A \text{ only},

each at :math:`2 |\mathcal A|` operations a row of X. No dense weight and no dense gradient exist
meanwhile. PyTorch's kernels do the work (MKL's on a CPU, cuSPARSE on a GPU).
"""

from __future__ import annotations

import copy
import warnings
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class ActiveWeights:
    """The active entries of one matrix in compressed rows, and of its transpose.

    Parameters
    ----------
    positions
        Where the entries stand in the flattened matrix, ``num_active``; ascending.
    shape
        Rows and columns of the matrix.
    values
        The entries, ``num_active``: a leaf whose gradient is wanted.
    """

    def __init__(self, positions: Tensor, shape: torch.Size, values: Tensor) -> None:
        self.shape = shape
        self.values = values
        # How many inactive entries the next backward is to find, and the found.
        self.wanted = 0
        self.found: tuple[Tensor, Tensor] | None = None
        rows, columns = shape
        row = torch.div(positions, columns, rounding_mode="floor")
        self.columns = torch.remainder(positions, columns)
        self.starts = _starts(row, rows)
        order = self.columns.argsort(stable=True)
        self.order = order.to(positions.dtype)
        self.rows = row[order]
        self.transposed_starts = _starts(self.columns, columns)

    def matrix(self, values: Tensor) -> Tensor:
        """Return the matrix with the given entries in compressed rows; nothing is copied."""
        return _csr(self.starts, self.columns, values, (self.shape[0], self.shape[1]))

    def transposed(self, values: Tensor) -> Tensor:
        """Return the transposed matrix in compressed rows."""
        entries = values.gather(0, self.order)
        return _csr(self.transposed_starts, self.rows, entries, (self.shape[1], self.shape[0]))

    def dense(self) -> Tensor:
        """Return the matrix in full, as a new tensor."""
        return self.matrix(self.values.detach()).to_dense()

    def find(self, gradient: Tensor, positions: Tensor) -> None:
        """Remember the inactive entries of the largest gradient in a full ``gradient``."""
        self.found = largest_inactive(gradient, positions, self.wanted)

    def positions(self) -> Tensor:
        """Return where the entries stand in the flattened matrix, ``num_active``."""
        lengths = self.starts.diff()
        row = torch.arange(self.shape[0], device=lengths.device, dtype=lengths.dtype)
        return row.repeat_interleave(lengths) * self.shape[1] + self.columns

    def tensors(self) -> list[Tensor]:
        """Return what is kept beside the values."""
        return [self.starts, self.columns, self.transposed_starts, self.rows, self.order]


def largest_inactive(gradient: Tensor, active: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the inactive weights of one parameter with the largest absolute gradients.

    Returns
    -------
    positions, gradients
        Vectors (``count``).
    """
    flat = gradient.reshape(-1)
    size = flat.abs().scatter_(0, active, -1.0)
    positions = size.topk(count).indices
    return positions, flat[positions]


def _starts(sorted_or_not: Tensor, length: int) -> Tensor:
    counts = torch.bincount(sorted_or_not, minlength=length)
    return functional.pad(counts.cumsum(0), (1, 0)).to(sorted_or_not.dtype)


def _csr(starts: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        # PyTorch says once a process that this layout may still change.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(starts, columns, values, size, check_invariants=False)


class _SparseProduct(torch.autograd.Function):
    """``inputs @ matrix.T`` with gradients for the inputs and for the active entries."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, values: Tensor, active: ActiveWeights) -> Tensor:
        ctx.save_for_backward(inputs, values)
        ctx.active = active
        return torch.mm(active.matrix(values), inputs.T).T.contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (inputs, values), (gradient,) = ctx.saved_tensors, gradients
        active = cast(ActiveWeights, ctx.active)
        to_inputs = to_values = None
        if ctx.needs_input_grad[0]:
            to_inputs = torch.mm(active.transposed(values), gradient.T).T.contiguous()
        if ctx.needs_input_grad[1]:
            # beta = 0: of the first argument only the pattern counts.
            pattern = active.matrix(values)
            to_values = torch.sparse.sampled_addmm(pattern, gradient.T, inputs, beta=0.0).values()
            if active.wanted:
                active.find(gradient.T @ inputs, active.positions())
        return to_inputs, to_values, None


class SparseLinear(nn.Linear):
    """An ``nn.Linear`` whose weight lives in its :class:`ActiveWeights` for the while.

    Made of a plain linear layer by :meth:`convert`, which :meth:`unfold` takes back. Meanwhile
    ``weight`` is one NaN seen in the weight's shape: who reads it past the layer's own forward
    gets NaN, never a wrong number. Copies and ``state_dict`` of the layer hold ordinary dense
    weights; a change of dtype or device and ``load_state_dict`` unfold it.
    """

    active: ActiveWeights
    _pause: Any

    @staticmethod
    def convert(layer: nn.Module, positions: Tensor, values: Tensor) -> SparseLinear:
        """Turn a linear layer, plain or converted before, in place."""
        layer.__class__ = SparseLinear
        converted = cast(SparseLinear, layer)
        shape = converted.weight.shape
        converted.__dict__["active"] = ActiveWeights(positions, shape, values)
        converted.weight.data = values.new_full((1, 1), torch.nan).expand(shape)
        if "_pause" not in converted.__dict__:
            # Fused kernels that read weights themselves (nn.TransformerEncoder's) step back from
            # layers with hooks.
            converted.__dict__["_pause"] = converted.register_forward_pre_hook(_no_change)
        return converted

    def unfold(self) -> None:
        """Become a plain linear layer with a dense weight again."""
        if is_hollow(self.weight):
            self.weight.data = self.active.dense()
        self.__dict__.pop("_pause").remove()
        del self.__dict__["active"]
        self.__class__ = nn.Linear  # type: ignore[assignment]

    def forward(self, input: Tensor) -> Tensor:
        """Multiply by the active weights, or by a dense weight that was put in their place."""
        if not is_hollow(self.weight):
            return functional.linear(input, self.weight, self.bias)
        values = self.active.values
        with torch.autocast(input.device.type, enabled=False):
            rows = input.reshape(-1, self.in_features).to(values.dtype)
            product = cast(Tensor, _SparseProduct.apply(rows, values, self.active))  # type: ignore[no-untyped-call]
            if self.bias is not None:
                product = product + self.bias
        return product.view(*input.shape[:-1], self.out_features)

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Linear:
        """Copy as a plain linear layer."""
        clone = nn.Linear.__new__(nn.Linear)
        memo[id(self)] = clone
        weight = copy.deepcopy(self.weight, memo)
        if is_hollow(self.weight):
            weight.data = self.active.dense()
        left_out = ("active", "_pause", "_forward_pre_hooks")
        kept = {key: value for key, value in self.__dict__.items() if key not in left_out}
        clone.__dict__.update(copy.deepcopy(kept, memo))
        hooks = dict(self._forward_pre_hooks)
        hooks.pop(self._pause.id, None)
        clone.__dict__["_forward_pre_hooks"] = type(self._forward_pre_hooks)(hooks)
        return clone

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        self.unfold()
        return cast(nn.Module, nn.Linear._apply(self, fn, recurse))  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unfold()
        nn.Linear._load_from_state_dict(self, *args, **kwargs)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if is_hollow(self.weight):
            destination[prefix + "weight"] = self.active.dense()


def _no_change(_layer: nn.Module, _inputs: object) -> None:
    """Do nothing."""


def is_hollow(parameter: Tensor) -> bool:
    """Say whether a matrix is one number seen many times: a weight without storage of its own."""
    return parameter.ndim == 2 and parameter.stride() == (0, 0)
