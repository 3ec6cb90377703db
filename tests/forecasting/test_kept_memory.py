"""Steps that allocate and free the same memory do not ask the system for it again and again."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

# In a process of its own: the allocator's thresholds depend on everything freed before.
_SCRIPT = """
import ctypes
import torch
from tsbnn.forecasting.kept_memory import keep_freed_memory

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd",
        "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Mallinfo

def is_mapped_alone(num_bytes):
    before = mallinfo().hblks
    block = torch.empty(num_bytes, dtype=torch.uint8)
    return mallinfo().hblks - before

# Kept for good, so that only the call in between changes the thresholds.
first = torch.empty(31 * 2**20, dtype=torch.uint8)
mapped = mallinfo().hblks
keep_freed_memory()
print(mapped, is_mapped_alone(31 * 2**20))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="another allocator than that of glibc 2.33 or newer",
)
def test_blocks_of_a_step_are_no_longer_mapped_alone() -> None:
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True, env=environment
    )
    mapped, mapped_after = map(int, result.stdout.split())
    assert mapped >= 1
    assert mapped_after == 0
