"""How cost grows: loading with the number of series, prediction with the number of paths."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.datasets import load
from tsbnn.evaluation import plot_style
from tsbnn.evaluation.memory import PeakMemory

PATHS = (100, 300, 1_000, 3_000, 10_000)
REPEATS = 3
MEMORY_LIMIT = 64 * 2**20
IMAGE = Path(__file__).parents[2] / "docs/images/growth.png"


def path_rows() -> list[dict[str, Any]]:
    """Time predictions of 8 series by 20 draws with more and more paths, within 64 MiB."""
    data = load("exchange_rate")
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    estimator = BayesianEstimator(
        DeepAREstimator(
            freq=data.freq, prediction_length=data.prediction_length, trainer_kwargs=quiet
        ),
        gradient_evaluations=300,
        memory_limit=MEMORY_LIMIT,
    )
    predictor = estimator.train(data.training)
    list(predictor.predict(data.training, num_samples=PATHS[0]))
    rows = []
    for paths in PATHS:
        seconds, peaks = [], []
        for _ in range(REPEATS):
            started = time.perf_counter()
            with PeakMemory() as memory:
                forecasts = list(predictor.predict(data.training, num_samples=paths))
            seconds.append(time.perf_counter() - started)
            kept = sum(forecast.samples.nbytes for forecast in forecasts) / 2**20
            peaks.append(memory.mib - kept)
            del forecasts
        rows.append(
            {
                "what": "paths",
                "size": paths,
                "seconds": min(seconds),
                "us_per_unit": 1e6 * min(seconds) / paths,
                "peak_mib_beside_result": max(peaks),
            }
        )
    return rows


def plot(frame: pd.DataFrame) -> Path:
    """Draw both figures side by side."""
    windows, paths = (frame[frame.what == what] for what in ("series", "paths"))
    with plot_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
        left.plot(windows["size"], windows.us_per_unit, "o-")
        left.set(
            xscale="log",
            xlabel="series in the dataset",
            ylabel="microseconds a window",
            title="Loading: flat in the number of series",
        )
        left.set_ylim(0, 1.3 * windows.us_per_unit.max())
        right.plot(paths["size"], paths.seconds, "o-")
        right.set(
            xscale="log",
            yscale="log",
            xlabel="sample paths of each series",
            ylabel="seconds",
            title="Prediction: linear in the paths",
        )
        figure.savefig(IMAGE, dpi=150)
        plt.close(figure)
    return IMAGE
