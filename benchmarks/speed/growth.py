"""How cost grows: loading with the number of series, prediction with the number of paths."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.datasets import load
from tsbnn.evaluation import plot_style
from tsbnn.forecasting.prediction.live_memory import peak_bytes

PATHS = (100, 300, 1_000, 3_000, 10_000)
REPEATS = 3
MIB = 2**20
MEMORY_LIMIT = 64 * MIB
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
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            list(predictor.predict(data.training, num_samples=paths))
            seconds.append(time.perf_counter() - started)
        # Counting slows down, so it has a run of its own.
        peak = peak_bytes(lambda n=paths: list(predictor.predict(data.training, num_samples=n)))
        rows.append(
            {
                "what": "paths",
                "size": paths,
                "seconds": statistics.median(seconds),
                "us_per_unit": 1e6 * statistics.median(seconds) / paths,
                "peak_mib": peak / MIB,
                "result_mib": 4 * paths * data.prediction_length * len(data.training) / MIB,
            }
        )
    return rows


def plot(frame: pd.DataFrame) -> Path:
    """Draw both figures side by side."""
    windows, paths = (frame[frame.what == what] for what in ("series", "paths"))
    with plt.rc_context(plot_style.style()):
        figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
        loading, seconds, memory = axes
        loading.plot(windows["size"], windows.us_per_unit, **plot_style.curve(0))
        loading.set(
            xscale="log",
            xlabel="series in the dataset",
            ylabel="microseconds a window",
            title="Loading: flat in the number of series",
        )
        loading.set_ylim(0, 1.4 * windows.us_per_unit.max())
        seconds.plot(paths["size"], paths.seconds, **plot_style.curve(0))
        seconds.set(
            xlabel="sample paths of each of 8 series",
            ylabel="seconds",
            title="Prediction: linear in the paths …",
        )
        seconds.set_ylim(0)
        own = paths.peak_mib - paths.result_mib
        memory.plot(paths["size"], own, **plot_style.curve(0), label="beside the result")
        memory.plot(paths["size"], paths.result_mib, **plot_style.curve(1), label="the result")
        memory.axhline(MEMORY_LIMIT / MIB, color=plot_style.ink(), linewidth=1, label="limit")
        memory.set(
            xlabel="sample paths of each of 8 series",
            ylabel="MiB of tensors at the peak",
            title="… within a limit of memory",
        )
        memory.set_ylim(0, 1.4 * MEMORY_LIMIT / MIB)
        memory.legend(loc="upper left", ncols=3, fontsize="small")
        figure.savefig(IMAGE, dpi=150)
        plt.close(figure)
    return IMAGE
