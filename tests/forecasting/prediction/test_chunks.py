"""Work is cut so that every part fits, nothing is left out and nothing is done twice."""

from __future__ import annotations

import itertools

import pytest
import torch

from tsbnn.forecasting.prediction.chunks import (
    CPU_BYTES,
    MARGIN,
    Cost,
    check_memory_limit,
    chunks,
    default_memory_limit,
    measure,
)

COST = Cost(draw=1000.0, series=200.0, path=30.0)


def size(chunk) -> float:
    return len(chunk.draws) * (
        COST.draw + len(chunk.series) * (COST.series + len(chunk.paths) * COST.path)
    )


@pytest.mark.parametrize("limit", [1, 1230, 2000, 5000, 30_000, 100_000, 10**9])
@pytest.mark.parametrize(
    ("draws", "series", "paths"), [(1, 1, 1), (7, 5, 3), (3, 40, 1), (2, 3, 500)]
)
def test_all_is_done_once_and_fits(draws, series, paths, limit) -> None:
    found = list(chunks(range(10, 10 + draws), series, paths, COST, limit))
    cells = [cell for chunk in found for cell in itertools.product(*chunk)]
    assert sorted(cells) == list(
        itertools.product(range(10, 10 + draws), range(series), range(paths))
    )
    smallest = COST.draw + COST.series + COST.path
    # A draw itself cannot be cut: its series and paths have a quarter of the limit in any case.
    most = max(limit, smallest, COST.draw + 0.25 * limit)
    assert max(map(size, found)) <= most
    # No more parts than needed: two neighbours together would not fit, or the cut is of series.
    if len(found) > 1 and limit > 2 * smallest:
        assert min(map(size, found)) > limit / 8


def test_series_and_paths_are_cut_for_single_draws_only() -> None:
    for chunk in chunks(range(4), 6, 50, COST, 5000):
        assert len(chunk.draws) == 1
    for chunk in chunks(range(40), 6, 5, COST, 5000):
        assert (len(chunk.series), len(chunk.paths)) == (6, 5)


def test_a_large_network_still_gets_many_paths_at_a_time() -> None:
    cost = Cost(draw=10**9, series=200.0, path=30.0)
    assert len(list(chunks(range(1), 10, 100, cost, 10**6))) == 1


def test_costs_are_measured_by_trials() -> None:
    def work(series: int, paths: int) -> None:
        kept = [torch.zeros(100), torch.zeros(series, 50)]
        kept.append(torch.zeros(series, paths, 7))

    cost = measure(work, built=10_000)
    assert cost == pytest.approx((MARGIN * 10_400, MARGIN * 200, MARGIN * 28))


def test_limits() -> None:
    assert default_memory_limit(torch.device("cpu")) == CPU_BYTES == 2**30
    assert check_memory_limit(None) is None
    assert check_memory_limit(5) == 5
    for wrong in (0, 1.5, "1 GiB", True):
        with pytest.raises(ValueError, match=r"memory_limit=.*: expected"):
            check_memory_limit(wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_limit_of_a_gpu() -> None:
    _, total = torch.cuda.mem_get_info()
    assert 0 < default_memory_limit(torch.device("cuda")) <= total / 4
