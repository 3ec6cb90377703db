"""Bytes of tensors are counted once, and no longer than they live."""

from __future__ import annotations

import torch
from torch.func import vmap

from tsbnn.forecasting.prediction.live_memory import LiveMemory, peak_bytes


def test_the_peak_is_of_what_lives_at_once() -> None:
    before = torch.zeros(1000)
    with LiveMemory() as memory:
        view = before[:10]
        first = before + 1
        part = first[100:]
        assert memory.now == memory.peak == 4000
        del first
        # A view keeps the whole storage.
        assert memory.now == 4000
        del part
        assert memory.now == 0
        second = torch.zeros(500)
        second += 1
        assert (memory.now, memory.peak) == (2000, 4000)
    assert len(view) == 10


def test_batched_work_is_seen() -> None:
    matrices = torch.zeros(5, 10, 10)
    assert peak_bytes(lambda: vmap(lambda one: one @ one)(matrices)) == 5 * 10 * 10 * 4
