"""How much memory is free, and how much of it the stored series may take."""

from __future__ import annotations

import os
from pathlib import Path

import torch

# Transformed series may take a quarter of the memory that is free: while they are stored, one
# field at a time exists twice, and the rest belongs to the network and to other processes.
SHARE = 0.25
# Where the system does not tell what is free.
_UNKNOWN = 4 * 2**30
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def default_limit() -> int:
    """Bytes that stored series may take by default: a quarter of the free host memory."""
    return int(SHARE * free_host_memory())


def free_host_memory() -> int:
    """Bytes that this process can still get, as far as the system tells.

    On Linux what is available, or what is left to the container if that is less; elsewhere half
    of the physical memory, or 4 GiB where not even that is known (Windows).
    """
    if _MEMINFO.exists():
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text("ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
        return max(0, min(free, _left_to_container(free)))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN


def fits_device(nbytes: int, device: torch.device) -> bool:
    """Say whether so many bytes may lie on a device for good.

    CUDA devices lend a quarter of what is free there. Others keep nothing: their batches come
    from the host.
    """
    if device.type == "cpu":
        return True
    return device.type == "cuda" and nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]


def _left_to_container(otherwise: int) -> int:
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        used = int((_CGROUP / "memory.current").read_text("ascii"))
        counts = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return otherwise
    # Files that were read stay in memory as long as nobody else wants it.
    return otherwise if limit == "max" else int(limit) - used + int(counts.get("inactive_file", 0))
