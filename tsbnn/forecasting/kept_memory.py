"""Memory that a training step frees is kept for the next one, instead of being asked for again.

A step on a CPU allocates and frees the same megabytes again and again. glibc's allocator gives
them back to the system where they lie at the end of the heap or were mapped alone, so that every
page is cleared and mapped anew: for a DeepAR on windows of 60 points 1,700 page faults and a
quarter of the time of each gradient evaluation. From which size on it does so adapts itself to the
largest block freed so far, up to 32 MiB (``mallopt(3)``, M_MMAP_THRESHOLD). One such block, never
written to, therefore takes it there; up to 64 MiB that are free are then kept.
"""

from __future__ import annotations

import torch

# Just below the most that glibc adapts to; the block comes with a header, in whole pages.
_BLOCK = 2**25 - 2**16


def keep_freed_memory() -> None:
    """Make glibc's allocator keep what is freed; with other allocators nothing happens."""
    block = torch.empty(_BLOCK, dtype=torch.uint8)
    del block
