"""Private streams of global randomness: they go on where they stopped and leave nothing behind."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch

from tsbnn.foreign.random_state import RandomStream


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


@pytest.mark.usefixtures("unchanged_global_random_state")
def test_a_stream_depends_on_its_seed_alone_and_goes_on() -> None:
    stream, other = RandomStream(3), RandomStream(4)
    with stream.active():
        first = draw()
    with other.active():
        elsewhere = draw()
    with stream.active():
        second = draw()
    with RandomStream(3).active():
        together = draw(), draw()
    assert together == (first, second)
    assert elsewhere != first != second


@pytest.mark.usefixtures("unchanged_global_random_state")
def test_the_state_is_given_back_after_an_error() -> None:
    def work() -> None:
        with RandomStream(1).active():
            draw()
            raise KeyError

    with pytest.raises(KeyError):
        work()


def test_one_stream_at_a_time_is_active() -> None:
    results = {}

    def work(seed: int) -> None:
        stream = RandomStream(seed)
        values = []
        for _ in range(30):
            with stream.active():
                values.append(draw())
        results[seed] = values

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, values in results.items():
        with RandomStream(seed).active():
            assert values == [draw() for _ in range(30)]
