"""Global state is lent and given back; our own streams meet nobody else's."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tsbnn.evaluation.randomness import seeded, stream


def draws() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002


def test_the_same_seed_gives_the_same_draws_and_nothing_outside_changes(
    unchanged_global_random_state,
):
    found = []
    for seed in (3, 3, 4):
        with seeded(seed):
            found.append(draws())
    assert found[0] == found[1]
    assert all(a != b for a, b in zip(found[0], found[2], strict=True))


def test_global_state_comes_back_after_an_error_too(unchanged_global_random_state):
    def fail() -> None:
        with seeded(1):
            draws()
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()


def test_streams_differ_from_each_other_and_from_numpys_own():
    found = [stream(0, purpose).random() for purpose in ("pit", "naive", "paths", "bootstrap")]
    assert len({*found, np.random.default_rng(0).random()}) == 5
    assert stream(0, "pit").random() == found[0]
    assert stream(1, "pit").random() != found[0]
