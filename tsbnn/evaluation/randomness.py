"""Streams of random numbers of our own, by purpose."""

from __future__ import annotations

import numpy as np

# Streams of ours start at (seed, purpose): data that somebody drew from `default_rng(seed)` must
# not meet their own noise again.
_PURPOSES = {"pit": 11, "naive": 12, "paths": 13, "bootstrap": 14, "bootstrap seeds": 15}


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Build a generator for one purpose, independent of ``numpy.random.default_rng(seed)``."""
    return np.random.default_rng((seed, _PURPOSES[purpose]))
