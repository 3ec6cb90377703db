r"""Which draws, series and paths are computed together, so that memory stays within a limit.

What a network needs for k draws of b series with p paths each is close to

.. math:: \text{bytes}(k, b, p) = k\,(c_d + b\,(c_s + p\,c_p)),

with costs of a draw, a series and a path that three small trials measure. Work beyond the limit
is cut, draws first, which costs least; then paths; and series where one draw of them is too
much for one path each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from tsbnn.forecasting.prediction.live_memory import peak_bytes
from tsbnn.networks.checks import check_whole

# What a kernel takes for itself within one call is not seen in trials.
MARGIN = 1.25
CPU_BYTES = 2**30
CUDA_SHARE = 0.25
# Series and paths: large enough for what grows with them to make the peak.
_TRIALS = ((1, 8), (1, 72), (9, 8))


class Cost(NamedTuple):
    """Bytes of a draw, of each of its series, and of each path of these."""

    draw: float
    series: float
    path: float


class Chunk(NamedTuple):
    """Draws, series and paths (of each draw) that are computed together."""

    draws: range
    series: range
    paths: range


def check_memory_limit(value: Any) -> int | None:
    """Return a memory limit in bytes, or None for the default.

    Raises
    ------
    ValueError
        If it is no whole number, or below 1.
    """
    return None if value is None else check_whole(value, "memory_limit")


def default_memory_limit(device: torch.device) -> int:
    """Return a limit for predictions: 1 GiB; on CUDA a quarter of the device's memory.

    It depends on the machine and not on what is free at the moment, so that a prediction does not
    change with its neighbours; on CUDA half of what is free is the most, however.
    """
    if device.type != "cuda":
        return CPU_BYTES
    free, total = torch.cuda.mem_get_info(device)
    return int(min(CUDA_SHARE * total, 0.5 * free))


def measure(work: Callable[[int, int], Any], built: float = 0.0) -> Cost:
    """Fit the costs to three trials of ``work(series, paths)``, each of one draw.

    ``built`` bytes for each draw stand outside of them.
    """
    few, more_paths, more_series = (
        MARGIN * peak_bytes(partial(work, series, paths)) for series, paths in _TRIALS
    )
    (one, paths), (_, many_paths), (many, _) = _TRIALS
    path = max(0.0, more_paths - few) / (many_paths - paths)
    rows = max(paths * path, (more_series - few) / (many - one))
    return Cost(MARGIN * built + max(0.0, few - rows), rows - paths * path, path)


def chunks(
    draws: range, num_series: int, num_paths: int, cost: Cost, limit: float
) -> Iterator[Chunk]:
    """Cut draws x series x paths into parts of nearly equal size that fit the limit.

    One path of one series is never cut, and what a draw takes by itself (a large network's
    weights) leaves a quarter of the limit to its series and paths in any case.
    """
    room = max(limit - cost.draw, limit / 4)
    rows = num_series * (cost.series + num_paths * cost.path)
    most_draws, most_series, most_paths = 1, num_series, num_paths
    if rows <= room:
        most_draws = max(1, int(limit // max(1.0, cost.draw + rows)))
    else:
        # Series take half of the room at most, so that each has several paths at a time.
        most_series = _most(room / 2, cost.series + cost.path, num_series)
        most_paths = _most(room / most_series - cost.series, cost.path, num_paths)
    for some_draws in _parts(draws, most_draws):
        for some_series in _parts(range(num_series), most_series):
            for some_paths in _parts(range(num_paths), most_paths):
                yield Chunk(some_draws, some_series, some_paths)


def _most(room: float, size: float, wanted: int) -> int:
    return max(1, min(wanted, int(room // max(1.0, size))))


def _parts(whole: range, most: int) -> Iterator[range]:
    """Cut a range into as few parts of nearly equal size as ``most`` allows."""
    count = math.ceil(len(whole) / most)
    ends = [whole.start + len(whole) * number // count for number in range(count + 1)]
    return (range(start, stop) for start, stop in pairwise(ends))
