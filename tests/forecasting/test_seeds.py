"""Seeds by purpose, and loaders that repeat their passes."""

from __future__ import annotations

import pytest

from tests.foreign.test_random_state import draw
from tsbnn.forecasting.seeds import SeededLoader, derived_seed, generator
from tsbnn.foreign.random_state import RandomStream


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
