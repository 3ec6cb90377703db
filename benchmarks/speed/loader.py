"""Batches a second of training: windows cut by one gather, beside GluonTS's loader for its DeepAR.

GluonTS's default loader transforms a series each time it meets it; its cached one keeps them in
memory. All sides give the same fields of the same shapes; series are read before the clock starts,
except by the default loader, which always reads. Times are those of one batch.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from gluonts.dataset.common import ListDataset
from gluonts.itertools import Cached
from gluonts.torch import DeepAREstimator

from benchmarks.speed.timing import alternate, row
from tsbnn.datasets import load
from tsbnn.forecasting.windows import Loading, estimator_windows

DATASETS = ("exchange_rate", "m4_hourly")
BATCH_SIZE, REPEATS = 32, 5
# Batches of one turn: our side needs many for its blocks of windows to weigh what they do.
BATCHES = {"own": 2_048, "gluonts": 64, "gluonts, cached": 256}
GOALS = {"gluonts": 1 / 20, "gluonts, cached": 1 / 4}
SERIES = (10, 100, 1_000, 10_000, 100_000)


def sides(data: Any) -> dict[str, Iterator[Any]]:
    """Build endless batches of a dataset from each loader, and check that they agree."""
    estimator = DeepAREstimator(
        freq=data.freq,
        prediction_length=data.prediction_length,
        batch_size=BATCH_SIZE,
        num_batches_per_epoch=10**9,
    )
    module = estimator.create_lightning_module()

    def transformed() -> Any:
        return estimator.create_transformation().apply(data.training, is_train=True)

    loaders = {
        "own": estimator_windows(
            estimator,
            transformed(),
            module,
            Loading(
                is_single_pass=False,
                generator=torch.Generator().manual_seed(0),
                device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
            ),
        ),
        "gluonts": estimator.create_training_data_loader(transformed(), module),
        "gluonts, cached": estimator.create_training_data_loader(Cached(transformed()), module),
    }
    batches = {name: iter(loader) for name, loader in loaders.items()}
    shapes = [{k: v.shape for k, v in next(side).items()} for side in batches.values()]
    assert shapes[0] == shapes[1] == shapes[2]
    return batches


def rows() -> list[dict[str, Any]]:
    """Compare the loaders on both datasets."""
    found = []
    for name in DATASETS:
        batches = sides(load(name))

        def run(side: str, batches: dict[str, Iterator[Any]] = batches) -> None:
            for _ in itertools.islice(batches[side], BATCHES[side]):
                pass
            if torch.cuda.is_available():
                torch.cuda.synchronize()

        turns: dict[str, Callable[[], None]] = {
            side: lambda side=side, run=run: run(side) for side in batches
        }
        seconds = alternate(turns, REPEATS, warm_up=1)
        each = {side: [s / BATCHES[side] for s in spent] for side, spent in seconds.items()}
        found += [
            row(
                "loader",
                f"a batch of {BATCH_SIZE} windows, {name}",
                each["own"],
                each[other],
                goal=goal,
                against=f"{other}: its loader for DeepAR",
            )
            for other, goal in GOALS.items()
        ]
    return found


def growth_rows() -> list[dict[str, Any]]:
    """Time windows of more and more series of 30 to 60 points, in turns, best of five."""
    batches, stored = {}, {}
    for count in SERIES:
        rng = np.random.default_rng(0)
        entries = [
            {"start": "2021-01-01", "target": rng.normal(size=length)}
            for length in rng.integers(30, 61, count)
        ]
        estimator = DeepAREstimator(
            freq="D", prediction_length=7, batch_size=BATCH_SIZE, num_batches_per_epoch=10**9
        )
        started = time.perf_counter()
        series = estimator.create_transformation().apply(ListDataset(entries, freq="D"))
        loading = Loading(
            is_single_pass=False,
            generator=torch.Generator().manual_seed(0),
            device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        )
        module = estimator.create_lightning_module()
        loader = estimator_windows(estimator, series, module, loading)
        stored[count] = (time.perf_counter() - started, loader.cutter.store.nbytes)
        batches[count] = iter(loader)

    def run(count: int) -> None:
        for _ in itertools.islice(batches[count], BATCHES["own"]):
            pass
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    turns = {str(count): lambda count=count: run(count) for count in SERIES}
    seconds = alternate(turns, REPEATS, warm_up=1)
    windows = BATCHES["own"] * BATCH_SIZE
    return [
        {
            "what": "series",
            "size": count,
            "seconds": statistics.median(seconds[str(count)]),
            "us_per_unit": 1e6 * statistics.median(seconds[str(count)]) / windows,
            "storing_s": stored[count][0],
            "stored_mib": stored[count][1] / 2**20,
        }
        for count in SERIES
    ]
