"""Steps that allocate and free the same memory do not ask the system for it again and again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# In a process of its own: the allocator's thresholds depend on everything freed before.
_SCRIPT = """
import resource
import torch
from tsbnn.forecasting.kept_memory import keep_freed_memory

torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [torch.zeros(2**18) for _ in range(8)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")
def test_freed_memory_is_used_again() -> None:
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True, env=environment
    )
    # 20 rounds of 8 MiB in pages of 4 KiB are 40,960 faults, unless something that lies above them
    # in the heap happens to keep it from shrinking.
    assert int(result.stdout) < 40_960 / 20
