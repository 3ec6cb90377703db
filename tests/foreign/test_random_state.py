"""Private streams of global randomness: they go on where they stopped and leave nothing behind."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time

import numpy as np
import pytest
import torch

from tsbnn.foreign import random_state
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


@pytest.mark.usefixtures("unchanged_global_random_state")
def test_a_long_stream_gives_way_to_whoever_waits_and_goes_on_alike() -> None:
    with RandomStream(5).active():
        alone = [draw() for _ in range(200)]
    with RandomStream(6).active():
        other_alone = [draw() for _ in range(20)]
    others: list[list[tuple[float, float, float]]] = []
    begun, ended = threading.Event(), threading.Event()

    def long() -> list[tuple[float, float, float]]:
        stream, values = RandomStream(5), []
        with stream.active():
            begun.set()
            while len(values) < 200:
                values.append(draw())
                # The last step waits for the others: without turns they would never come.
                while len(values) == 199 and not ended.is_set():
                    stream.give_way()
                stream.give_way()
        return values

    def short() -> None:
        begun.wait()
        for _ in range(3):
            with RandomStream(6).active():
                others.append([draw() for _ in range(20)])
        ended.set()

    thread = threading.Thread(target=short)
    thread.start()
    assert long() == alone
    thread.join()
    assert others == [other_alone] * 3


def test_a_stream_inside_of_another_one_does_not_give_way() -> None:
    outer, inner, entered = RandomStream(1), RandomStream(2), threading.Event()

    def wait() -> None:
        with RandomStream(3).active():
            entered.set()

    with outer.active(), inner.active():
        thread = threading.Thread(target=wait)
        thread.start()
        for _ in range(50):
            inner.give_way()
            time.sleep(0.001)
        assert not entered.is_set()
    thread.join()
    assert entered.is_set()


@pytest.mark.usefixtures("unchanged_global_random_state")
@pytest.mark.parametrize("moment", ["waiting", "taken"])
def test_an_interrupt_leaves_turns_as_they_are(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = RandomStream(1)
    state = random_state._state

    def interrupted() -> None:
        raise KeyboardInterrupt

    class Queue:
        def locked(self) -> bool:
            return True

        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None: ...

    def work() -> None:
        with stream.active():
            draw()
            if moment == "waiting":
                monkeypatch.setattr(random_state, "_QUEUE", Queue())
            else:
                monkeypatch.setattr(random_state, "_QUEUE", Locked())
                monkeypatch.setattr(random_state, "_state", lambda: next(answers)())
            stream.give_way()

    class Locked(Queue):
        def __enter__(self) -> None: ...

    answers = iter([state, interrupted])
    with pytest.raises(KeyboardInterrupt):
        work()
    monkeypatch.undo()
    assert not random_state._is_mine()
    assert not random_state._OUTSIDE
    others: list[tuple[float, float, float]] = []

    def other() -> None:
        with RandomStream(2).active():
            others.append(draw())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(timeout=60)
    assert others


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_that_is_forked_beside_a_tenant_has_its_turns() -> None:
    begun, ended = threading.Event(), threading.Event()

    def tenant() -> None:
        with RandomStream(1).active():
            begun.set()
            ended.wait()

    thread = threading.Thread(target=tenant)
    thread.start()
    begun.wait()
    child = multiprocessing.get_context("fork").Process(target=_one_turn)
    child.start()
    child.join(timeout=60)
    ended.set()
    thread.join()
    code = child.exitcode
    child.kill()
    assert code == 0


def _one_turn() -> None:
    with RandomStream(2).active():
        draw()
