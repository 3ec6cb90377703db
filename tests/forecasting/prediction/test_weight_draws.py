"""Weight draws: the same each time they are read, however many are kept."""

from __future__ import annotations

import torch

from tsbnn.forecasting.prediction import weight_draws as module
from tsbnn.forecasting.prediction.weight_draws import WeightDraws
from tsbnn.forecasting.seeds import generator
from tsbnn.inference.posteriors import MeanFieldGaussian, SampleSet

WIDTH = 40


def gaussian() -> MeanFieldGaussian:
    return MeanFieldGaussian(torch.zeros(WIDTH), torch.ones(WIDTH))


def test_small_ones_are_those_of_the_posterior() -> None:
    draws = WeightDraws(gaussian(), 7, seed=3, memory_limit=10**6)
    ((which, block),) = draws
    assert which == range(7)
    torch.testing.assert_close(block, gaussian().sample(7, generator(3)))
    assert next(iter(draws))[1] is block


def test_blocks_do_not_depend_on_what_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 3 * WIDTH * 4)
    kept = WeightDraws(gaussian(), 8, seed=3, memory_limit=10**6)
    anew = WeightDraws(gaussian(), 8, seed=3, memory_limit=10)
    assert (kept.fits, anew.fits) == (True, False)
    passes = [list(draws) for draws in (kept, kept, anew, anew)]
    assert [which for which, _ in passes[0]] == [range(3), range(3, 6), range(6, 8)]
    for other in passes[1:]:
        for (_, block), (_, again) in zip(passes[0], other, strict=True):
            torch.testing.assert_close(block, again, rtol=0, atol=0)
    assert passes[0][0][1] is passes[1][0][1]
    assert passes[2][0][1] is not passes[3][0][1]
    everything = torch.cat([block for _, block in passes[0]])
    assert len(everything.unique(dim=0)) == 8


def test_atoms_come_once_each(monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 4)
    atoms = SampleSet(torch.arange(6.0)[:, None].expand(6, WIDTH).clone())
    ((which, block),) = WeightDraws(atoms, 6, seed=0, memory_limit=1)
    assert which == range(6)
    assert sorted(block[:, 0].tolist()) == [0, 1, 2, 3, 4, 5]
