"""The peak is seen although it is gone at the end."""

from __future__ import annotations

import mmap
import time

import numpy as np
import pytest

from tsbnn.evaluation import memory
from tsbnn.evaluation.memory import PeakMemory


@pytest.mark.skipif(not memory._STATM.exists(), reason="the resident set is only known on Linux")
def test_a_peak_inside_the_block_is_measured():
    with PeakMemory(interval_s=0.001) as small:
        pass
    # Pages of their own, 64 MiB: an allocator may have kept some from earlier work.
    with PeakMemory(interval_s=0.001) as large, mmap.mmap(-1, 2**26) as block:
        pages = np.frombuffer(block, dtype=np.uint8)
        pages[:] = 1
        time.sleep(0.05)
        del pages
    assert 60 < large.mib < 120
    assert small.mib < 10


def test_where_the_system_does_not_tell_the_peak_is_nan(monkeypatch):
    monkeypatch.setattr(memory, "_resident", lambda: None)
    with PeakMemory() as peak:
        pass
    assert np.isnan(peak.mib)


def test_without_statm_the_high_water_mark_is_used(monkeypatch, tmp_path):
    now = memory._resident()
    monkeypatch.setattr(memory, "_STATM", tmp_path / "absent")
    assert memory._resident() >= 0.5 * now
