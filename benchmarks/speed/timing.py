"""Two or more sides timed in turns, and the ratio of each turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

Side = Callable[[], Any]


def alternate(
    sides: Mapping[str, Side],
    repeats: int,
    *,
    warm_up: int = 0,
    before: Mapping[str, Side] | None = None,
    apart: bool = False,
) -> dict[str, list[float]]:
    """Seconds of every side in each of ``repeats`` turns; ``warm_up`` turns before are not kept.

    Every second turn goes through the sides backwards, so that none is always first.

    Parameters
    ----------
    before
        What each side does once before the first turn: imports, first calls, a trained model.
    apart
        Whether each side lives in a process of its own, so that none profits or suffers from what
        another did to the process (caches, the memory allocator's state). Sides must then be
        functions of a module, or partials of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with ExitStack() as stack:
        run: dict[str, Callable[[Side], float]] = dict.fromkeys(sides, timed)
        if apart:
            for name in sides:
                pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
                run[name] = lambda side, pool=pool: pool.submit(timed, side).result()
        for name, side in (before or {}).items():
            run[name](side)
        for turn in range(-warm_up, repeats):
            order = list(run) if turn % 2 == 0 else list(run)[::-1]
            for name in order:
                spent = run[name](sides[name])
                if turn >= 0:
                    seconds[name].append(spent)
    return seconds


def timed(side: Side) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    side()
    return time.perf_counter() - started


def row(
    part: str,
    case: str,
    own: Iterable[float],
    other: Iterable[float],
    *,
    goal: float | None = None,
    against: str,
) -> dict[str, Any]:
    """Compare two sides: medians, and the median and range of the turns' ratios own / other.

    Parameters
    ----------
    part, case, against
        What is compared with what.
    own, other
        Seconds of each turn.
    goal
        What the median ratio should not exceed.
    """
    own, other = list(own), list(other)
    ratios = [mine / theirs for mine, theirs in zip(own, other, strict=True)]
    median = statistics.median(ratios)
    return {
        "part": part,
        "case": case,
        "against": against,
        "own_s": statistics.median(own),
        "other_s": statistics.median(other),
        "ratio": median,
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "turns": len(ratios),
        "goal": goal,
        "met": None if goal is None else median <= goal,
    }
