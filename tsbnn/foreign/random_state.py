"""A private stream of Python's, NumPy's and torch's global randomness, for code that draws from it.

GluonTS's window samplers and ``torch.distributions`` know no generator of their own: they draw
from global state. A :class:`RandomStream` lends them its own state for a while and puts the
caller's back, so that results depend on a seed and nothing outside changes.
"""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch


class _Turns:
    """A lock that one thread holds at a time, more than once if it likes, and may hand on."""

    def __init__(self) -> None:
        self._queue, self._lock = threading.Lock(), threading.Lock()
        self._owner: int | None = None
        self._depth = 0

    def take(self) -> None:
        """Wait for one's turn; whoever has it already goes one deeper."""
        if not self.mine:
            # Who hands on comes back by the queue too, and so after whom it has let in.
            with self._queue:
                self._lock.acquire()
            self._owner = threading.get_ident()
        self._depth += 1

    def leave(self) -> None:
        """Go one up; at the top others have their turn."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()

    @property
    def mine(self) -> bool:
        """Whether this thread has its turn."""
        return self._owner == threading.get_ident()

    @property
    def wanted(self) -> bool:
        """Whether others wait for a turn that its owner, at the top, can hand on."""
        return self._depth == 1 and self._queue.locked()


# Global state can have one tenant at a time.
_TURNS = _Turns()


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
        self._outside: list[_State] = []

    @contextmanager
    def active(self) -> Iterator[None]:
        """Put this stream in place of the global state; give the caller's back at the end.

        One stream at a time is active: other threads wait, until this one ends or gives way.
        """
        self._outside.append(self._enter())
        try:
            yield
        finally:
            # Not where an interrupt came while this thread was waiting to go on.
            if _TURNS.mine:
                self._leave(self._outside.pop())

    def give_way(self) -> None:
        """Let one of the threads that wait have its turn, from inside :meth:`active`.

        For long work, between two of its steps: whoever waits gets the global state as it was
        outside, and the stream goes on where it was. Nothing happens where nobody waits, and in a
        stream that is active inside of another one.
        """
        if _TURNS.wanted:
            self._leave(self._outside.pop())
            self._outside.append(self._enter())

    def _enter(self) -> _State:
        _TURNS.take()
        outside = _state()
        if self._inside is None:
            _set_seed(self.seed)
        else:
            _set_state(self._inside)
        return outside

    def _leave(self, outside: _State) -> None:
        self._inside = _state()
        _set_state(outside)
        _TURNS.leave()
