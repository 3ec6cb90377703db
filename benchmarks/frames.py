"""Frames in and out: time and memory of from_frame, and of making tidy frames of forecasts.

In: 100,000 series of 100 days with ids, in order and shuffled; goals are 20 s and four times the
frame's own memory (as NumPy and pandas ask for it, so that the machine's other work does not
count). Out: forecasts of 100,000 series with 100 paths of 100 steps, as they come from a network in
batches, made into quantiles, bounds and standard deviations. Random numbers stand for the paths.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.output import machine, show, write
from tsbnn.datasets import FrameDataset, from_frame
from tsbnn.forecasting.frames import FrameBuilder, FrameColumns
from tsbnn.forecasting.prediction.prediction import Predicted

STEPS, HORIZON, PATHS, DRAWS, BATCH = 100, 100, 100, 20, 32
GOALS = {"seconds": 20.0, "times_the_frame": 4.0}


def long_frame(series: int, shuffled: bool) -> pd.DataFrame:
    """Build a frame of daily series, ids as text."""
    generator = np.random.default_rng(0)
    ids = np.array([f"series-{number:06}" for number in range(series)], dtype=object)
    days = pd.date_range("2024-01-01", periods=STEPS).to_numpy()
    frame = pd.DataFrame(
        {
            "item_id": np.repeat(ids, STEPS),
            "timestamp": np.tile(days, series),
            "target": generator.normal(size=series * STEPS),
        },
        copy=False,
    )
    return frame.sample(frac=1, random_state=0, ignore_index=True) if shuffled else frame


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Run work twice, by the clock and by its memory; return its result, seconds and peak bytes."""
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    del result
    tracemalloc.start()
    result = work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, seconds, float(peak)


def reading(series: int) -> list[dict[str, Any]]:
    """Measure from_frame."""
    rows = []
    for order in ("in order", "shuffled"):
        frame = long_frame(series, order == "shuffled")
        size = int(frame.memory_usage(index=False).sum())
        dataset, seconds, peak = measured(lambda frame=frame: from_frame(frame))
        assert len(dataset) == series
        rows.append(
            {
                "work": f"from_frame, {order}",
                "series": series,
                "rows": len(frame),
                "seconds": seconds,
                "frame_mib": size / 2**20,
                "peak_mib": peak / 2**20,
                "times_the_frame": peak / size,
            }
        )
    return rows


def writing(series: int, dataset: FrameDataset) -> dict[str, Any]:
    """Measure the way from batches of paths to a tidy frame; drawing the paths is not counted."""
    generator = np.random.default_rng(1)
    paths = generator.normal(size=(BATCH, PATHS, HORIZON)).astype(np.float32)
    draw_index = np.repeat(np.arange(DRAWS), PATHS // DRAWS)

    def work() -> pd.DataFrame:
        builder = FrameBuilder(dataset, 0, HORIZON, FrameColumns())
        for begin in range(0, series, BATCH):
            batch = Predicted(paths[: min(BATCH, series - begin)], None, None)
            builder.add(batch, draw_index, num_atoms=None)
        return builder.frame()

    frame, seconds, peak = measured(work)
    assert len(frame) == series * HORIZON
    size = int(frame.memory_usage(index=False).sum())
    return {
        "work": "tidy frame of forecasts",
        "series": series,
        "rows": len(frame),
        "seconds": seconds,
        "frame_mib": size / 2**20,
        "peak_mib": peak / 2**20,
        "times_the_frame": peak / size,
    }


def main() -> None:
    """Measure, print, write results/frames.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    series = parser.parse_args().series
    rows = reading(series)
    dataset = from_frame(long_frame(series, shuffled=False))
    results = pd.DataFrame([*rows, writing(series, dataset)]).assign(machine=machine())
    show(results.drop(columns="machine"), "Frames in and out")
    for row in rows:
        for name, goal in GOALS.items():
            met = "met" if row[name] < goal else "missed"
            print(f"{row['work']}: {name} {row[name]:.3g}, goal {goal:g}: {met}")
    if series == 100_000:
        print(write(results, "frames"))


if __name__ == "__main__":
    main()
