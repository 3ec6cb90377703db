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

# Global state can have one tenant at a time.
_LOCK = threading.RLock()


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

        One stream at a time is active: other threads wait.
        """
        with _LOCK:
            outside = _state()
            if self._inside is None:
                _set_seed(self.seed)
            else:
                _set_state(self._inside)
            try:
                yield
            finally:
                self._inside = _state()
                _set_state(outside)
