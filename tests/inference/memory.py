"""Counting the weight-sized tensors that are allocated and alive during a step."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveStorages(TorchDispatchMode):
    """Counts new storages of at least ``num_bytes`` that live at the same time.

    Attributes
    ----------
    peak, peak_bytes
        The largest number so far, and the most bytes that they had together.
    """

    def __init__(self, num_bytes: int) -> None:
        super().__init__()
        self.num_bytes = num_bytes
        self.peak = self.peak_bytes = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        known = {
            leaf.untyped_storage().data_ptr()
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor) and leaf.layout is torch.strided
        }
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if not isinstance(leaf, Tensor) or leaf.layout is not torch.strided:
                continue
            storage = leaf.untyped_storage()
            key = storage.data_ptr()
            if storage.nbytes() < self.num_bytes or key in known or key in self._alive:
                continue
            self._alive[key] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, key, None)
        self.peak = max(self.peak, len(self._alive))
        self.peak_bytes = max(self.peak_bytes, sum(self._alive.values()))
        return result
