"""Private streams of global randomness: they go on where they stopped and leave nothing behind."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch

from tsbnn.forecasting.random_state import RandomStream, SeededLoader, derived_seed, generator


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


class Noise:
    def __iter__(self):
        return iter(draw() for _ in range(3))


@pytest.mark.usefixtures("unchanged_global_random_state")
def test_a_seeded_loader_repeats_its_passes_whatever_happens_between_batches() -> None:
    loader = SeededLoader(Noise(), seed=5)
    undisturbed = list(loader)
    disturbed = []
    with RandomStream(9).active():
        for batch in loader:
            disturbed.append(batch)
            draw()
    assert disturbed == undisturbed
    assert len(set(undisturbed)) == 3


def test_derived_seeds_differ_by_purpose_and_fit_torch() -> None:
    seeds = {derived_seed(seed, purpose) for seed in range(50) for purpose in range(4)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert generator(max(seeds)).initial_seed() == max(seeds)
