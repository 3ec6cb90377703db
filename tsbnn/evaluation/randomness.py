"""Seeds: streams of our own by purpose, and global state lent to foreign code and given back."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

# Streams of ours start at (seed, purpose): data that somebody drew from `default_rng(seed)` must
# not meet their own noise again.
_PURPOSES = {"pit": 11, "naive": 12, "paths": 13, "bootstrap": 14, "bootstrap seeds": 15}


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Build a generator for one purpose, independent of ``numpy.random.default_rng(seed)``."""
    return np.random.default_rng((seed, _PURPOSES[purpose]))


# Global state can have one tenant at a time.
_LOCK = threading.RLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global randomness, and restore all of it at the end.

    Parameters
    ----------
    seed
        At least 0.
    """
    import torch

    with _LOCK:
        python, tensor = random.getstate(), torch.get_rng_state()
        numpy = np.random.get_state()  # noqa: NPY002
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            torch.set_rng_state(tensor)
            if cuda:
                torch.cuda.set_rng_state_all(cuda)
