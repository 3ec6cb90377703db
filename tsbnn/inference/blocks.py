"""Blocks of weights that stay in the processor's cache while many operations work on them."""

from __future__ import annotations

import torch
from torch import Tensor

# Weights for each thread: eight float32 vectors of so many fit into 1 MiB, and torch does not
# divide less than this among threads.
WEIGHTS_PER_THREAD = 65_536


def blocks(vector: Tensor) -> list[slice]:
    """Cut a vector (``num_weights``) into blocks for a chain of operations.

    A pass over a vector that is larger than the cache waits for the memory, and a fresh vector of
    that size costs several passes more, since the system has to provide its pages; both cost little
    for a block. An accelerator takes the whole vector at once.
    """
    size = len(vector)
    if vector.device.type != "cpu":
        return [slice(0, size)]
    length = WEIGHTS_PER_THREAD * torch.get_num_threads()
    return [slice(start, min(start + length, size)) for start in range(0, size, length)]
