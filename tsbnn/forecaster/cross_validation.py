"""Forecasts of the past, from histories that end before it, with the values that came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tsbnn.datasets import FrameDataset
from tsbnn.forecaster.training import Progress, part
from tsbnn.forecasting import BayesianPredictor
from tsbnn.forecasting.frames import FrameColumns, check_free
from tsbnn.forecasting.inputs import check_whole

#: Training takes about as long as forecasting so many windows.
_TRAINING = 9


def cross_validate(
    train: Callable[[FrameDataset, Progress | None], BayesianPredictor],
    dataset: FrameDataset,
    prediction_length: int,
    n_windows: int,
    step: int | None,
    refit: bool | int,
    options: Mapping[str, Any],
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Forecast the last windows of every series; see :meth:`tsbnn.Forecaster.cross_validation`.

    Parameters
    ----------
    train
        Trains a predictor on a dataset, and tells how far it is.
    dataset
        The series, to their last actual value.
    prediction_length, n_windows, step, refit
        As in :meth:`tsbnn.Forecaster.cross_validation`.
    options
        Arguments of :meth:`tsbnn.BayesianPredictor.predict_frame`.
    progress
        Called with the fraction done, from 0 to 1.
    """
    check_whole(n_windows, "n_windows")
    step = prediction_length if step is None else check_whole(step, "step")
    if not isinstance(refit, bool):
        check_whole(refit, "refit")
    names = FrameColumns(options["quantiles"], options["levels"]).names
    check_free([*names, "cutoff", "step"], dataset.columns)
    every = int(refit) or n_windows
    behind = [prediction_length + step * left for left in reversed(range(n_windows))]
    _check_lengths(dataset, behind[0], f"n_windows={n_windows}, step={step}")
    predictor, frames = None, []
    done, whole = 0, n_windows + _TRAINING * len(range(0, n_windows, every))

    def next_part(size: int) -> Progress | None:
        nonlocal done
        begin, done = done, done + size
        return part(progress, begin / whole, done / whole)

    for window, steps in enumerate(behind):
        if predictor is None or window % every == 0:
            predictor = train(dataset.without_last(steps), next_part(_TRAINING))
        history = dataset.without_last(steps, horizon=prediction_length)
        frame = predictor.predict_frame(history, **options, progress=next_part(1))
        frames.append(_with_actual(frame, history))
    keys: list[Any] = ["cutoff", "step"]
    if dataset.columns.item_id is not None:
        keys.insert(0, dataset.columns.item_id)
    return pd.concat(frames, ignore_index=True).sort_values(keys, ignore_index=True)


def _with_actual(frame: pd.DataFrame, history: FrameDataset) -> pd.DataFrame:
    """Put the cutoff, the step and the actual value before the columns of a forecast."""
    series = len(history)
    count = len(frame) // series
    cutoff = pd.DatetimeIndex(history.timestamps(-1, 1)[:, 0]).tz_localize(history.time_zone)
    place = 1 if history.columns.item_id is None else 2
    frame.insert(place, "cutoff", cutoff.repeat(count))
    frame.insert(place + 1, "step", np.tile(np.arange(1, count + 1), series))
    frame.insert(place + 2, history.columns.target, history.targets(0, count).reshape(-1))
    return frame


def _check_lengths(dataset: FrameDataset, behind: int, what: str) -> None:
    short = np.flatnonzero(dataset.lengths <= behind)
    if len(short):
        item, length = dataset.item_ids[short[0]], dataset.lengths[short[0]]
        raise ValueError(
            f"series {item!r} has {length} steps, and {what} needs at least {behind + 1}: ask for "
            f"fewer windows, or leave out short series ({len(short)} of {len(dataset)})"
        )
