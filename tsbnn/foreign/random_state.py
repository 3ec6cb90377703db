"""A private stream of Python's, NumPy's and torch's global randomness, for code that draws from it.

GluonTS's window samplers and ``torch.distributions`` know no generator of their own: they draw
from global state. A :class:`RandomStream` lends them its own state for a while and puts the
caller's back, so that results depend on a seed and nothing outside changes.
"""

from __future__ import annotations

import functools
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

# Global state can have one tenant at a time: whoever owns the lock. Those who wait stand in a
# queue, so that a tenant who hands on comes back after whom it has let in. States that tenants
# found and will put back lie in a stack: several where streams are active inside of one another.
_LOCK, _QUEUE = threading.RLock(), threading.Lock()
_OUTSIDE: list[_State] = []


def _is_mine() -> bool:
    """Whether this thread is the tenant; the lock knows, wherever an interrupt comes."""
    return bool(_LOCK._is_owned())  # type: ignore[attr-defined]


def _renew() -> None:
    """In a process that was forked from another thread than the tenant's, nobody is left of it."""
    global _LOCK, _QUEUE
    if not _is_mine():
        _LOCK, _QUEUE = threading.RLock(), threading.Lock()
        _OUTSIDE.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class _State(NamedTuple):
    python: Any
    numpy: Any
    cpu: torch.Tensor
    seed: int
    cuda: list[torch.Tensor] | None


@functools.cache
def _has_cuda() -> bool:
    return torch.cuda.is_available()


def _state() -> _State:
    awake = _has_cuda() and torch.cuda.is_initialized()
    return _State(
        random.getstate(),
        np.random.get_state(),  # noqa: NPY002
        torch.get_rng_state(),
        torch.initial_seed(),
        torch.cuda.get_rng_state_all() if awake else None,
    )


def _set_state(state: _State) -> None:
    random.setstate(state.python)
    np.random.set_state(state.numpy)  # noqa: NPY002
    torch.set_rng_state(state.cpu)
    if state.cuda is not None:
        torch.cuda.set_rng_state_all(state.cuda)
    elif _has_cuda():
        # CUDA slept when the state was taken: give it what torch would have woken it with.
        torch.cuda.manual_seed_all(state.seed)


def _set_seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    if _has_cuda():
        torch.cuda.manual_seed_all(seed)


class RandomStream:
    """Global random state of one's own, that starts at a seed and goes on where it was left.

    Parameters
    ----------
    seed
        Where the stream starts, ``0 <= seed < 2**63``.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._inside: _State | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Put this stream in place of the global state; give the caller's back at the end.

        One stream at a time is active: other threads wait, until this one ends or gives way.
        """
        depth = len(_OUTSIDE) if _is_mine() else 0
        try:
            self._enter()
            yield
        finally:
            # Not where an interrupt came while this thread was waiting.
            if _is_mine():
                if len(_OUTSIDE) > depth:
                    self._leave()
                if not _OUTSIDE:
                    _LOCK.release()

    def give_way(self) -> None:
        """Let one of the threads that wait have its turn, from inside :meth:`active`.

        For long work, between two of its steps: whoever waits gets the global state as it was
        outside, and the stream goes on where it was. Nothing happens where nobody waits, and in a
        stream that is active inside of another one.
        """
        if _is_mine() and len(_OUTSIDE) == 1 and _QUEUE.locked():
            self._leave()
            _LOCK.release()
            self._enter()

    def _enter(self) -> None:
        if not _is_mine():
            with _QUEUE:
                _LOCK.acquire()
        _OUTSIDE.append(_state())
        if self._inside is None:
            _set_seed(self.seed)
        else:
            _set_state(self._inside)

    def _leave(self) -> None:
        self._inside = _state()
        _set_state(_OUTSIDE.pop())
