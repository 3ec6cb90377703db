"""Seeds of a training or a prediction by purpose, loaders that repeat themselves, and turns."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from tsbnn.foreign.random_state import RandomStream


class GivingWay(pl.Callback):
    """Lets predictions of other threads in between two steps of a training.

    Parameters
    ----------
    stream
        The training's, active.
    """

    def __init__(self, stream: RandomStream) -> None:
        self.stream = stream

    def on_train_batch_end(self, *_: Any) -> None:
        """Give way after every step."""
        self.stream.give_way()


class SeededLoader:
    """Batches of a loader whose random choices are the same on every pass.

    Parameters
    ----------
    loader
        Anything that can be iterated again and again.
    seed
        Where the randomness of each pass starts.
    """

    def __init__(self, loader: Iterable[Any], seed: int) -> None:
        self.loader = loader
        self.seed = seed

    def __iter__(self) -> Iterator[Any]:
        stream = RandomStream(self.seed)
        with stream.active():
            batches = iter(self.loader)
        while True:
            with stream.active():
                try:
                    batch = next(batches)
                except StopIteration:
                    return
            yield batch


def derived_seed(seed: int, *path: int) -> int:
    """Derive an independent seed, ``0 <= seed < 2**63``, for one purpose named by ``path``."""
    words = np.random.SeedSequence(seed, spawn_key=path).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])


def fresh_seed() -> int:
    """Draw a seed from the operating system's entropy."""
    return secrets.randbits(32)


def generator(seed: int) -> torch.Generator:
    """Build a CPU generator: it gives the same numbers wherever the weights lie."""
    return torch.Generator().manual_seed(seed)
