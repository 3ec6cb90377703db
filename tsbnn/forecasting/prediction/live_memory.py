"""How many bytes of tensors a piece of work holds at its peak, counted as they come and go."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside a ``with`` block and not yet freed.

    Views share their storage and count once; tensors from before the block do not count. What a
    kernel takes and gives back within one call is not seen. Every operation costs some
    microseconds more, so this is for small trials and tests.

    Attributes
    ----------
    now
        Bytes alive at this moment.
    peak
        The most that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count what it made."""
        made = func(*args, **(kwargs or {}))
        new = [tensor for tensor in _tensors(made) if self._key(tensor) not in self._known]
        if new:
            # Views of tensors from before the block are not new.
            given = {self._key(tensor) for tensor in _tensors((args, kwargs))}
            for tensor in new:
                if self._key(tensor) not in given:
                    self._count(tensor)
        return made

    @staticmethod
    def _key(tensor: Tensor) -> int:
        return int(tensor.untyped_storage()._cdata)

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = int(storage._cdata), storage.nbytes()
        if key in self._known:
            return

        def freed(_: Any) -> None:
            self._known.pop(key, None)
            self.now -= size

        self._known[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Find the dense tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        if value.layout == torch.strided:
            yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def peak_bytes(work: Callable[[], Any]) -> int:
    """Run ``work`` and return the most bytes of its own tensors that were alive at once."""
    with LiveMemory() as memory:
        work()
    return memory.peak
