"""Inputs unlike the training data: more epistemic share than forecasts within those had.

The epistemic share of a forecast is the part of its variance over the horizon that comes from not
knowing the weights. Fitting takes it of windows at the ends of the training series, which the
network has learnt from. New forecasts go a little beyond those in any case, so that what is worth a
warning is a ratio of epistemic to aleatoric variance of more than twice the largest one there, for
more series than chance allows. Silence is no proof: networks that normalise their inputs (the
transformers) answer strange ones calmly.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets import FrameDataset
from tsbnn.datasets.rows import show
from tsbnn.forecaster.training import Progress
from tsbnn.forecasting import BayesianPredictor

_LEAST_WINDOWS, _MOST_WINDOWS = 20, 100
# Of the ratio of variances: what new forecasts may have beyond training windows.
_MARGIN = 2.0


class UnlikeTrainingWarning(UserWarning):
    """Forecasts rest on inputs of which the model knows less than of any training window."""


def largest_share(
    predictor: BayesianPredictor, dataset: FrameDataset, progress: Progress | None = None
) -> tuple[float, int] | None:
    """The largest epistemic share among windows of the training data, and their number.

    Parameters
    ----------
    predictor
        What was trained on ``dataset``.
    dataset
        The training data. Up to a hundred of its series are forecast at their last window, or few
        at several.
    progress
        Called with the fraction done, from 0 to 1.

    Returns
    -------
    tuple of float and int, or None
        None where there are fewer than 20 windows with a history as long as the horizon, or too
        few paths to tell the share.
    """
    horizon, lengths = predictor.prediction_length, dataset.lengths
    found: NDArray[np.float64] = np.zeros(0)
    wanted = np.clip(len(dataset), _LEAST_WINDOWS, _MOST_WINDOWS)
    tell = progress or (lambda share: None)
    for back in range(1, _LEAST_WINDOWS + 1):
        long = np.flatnonzero(lengths >= (back + 1) * horizon)
        if not len(long) or len(found) >= _LEAST_WINDOWS:
            break
        some = np.linspace(0, len(long) - 1, min(len(long), _MOST_WINDOWS - len(found)))
        windows = dataset.subset(long[some.astype(int)]).without_last(back * horizon, horizon)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            frame = predictor.predict_frame(windows, quantiles=(), levels=())
        found = np.concatenate([found, shares(frame, horizon)])
        tell(min(1.0, len(found) / wanted))
    tell(1.0)
    if len(found) < _LEAST_WINDOWS or np.isnan(found).all():
        return None
    return float(np.nanmax(found)), len(found)


def shares(frame: pd.DataFrame, horizon: int) -> NDArray[np.float64]:
    """Epistemic share of each series of a frame of forecasts, NaN where it is not known."""
    epistemic, aleatoric = (
        np.square(frame[name].to_numpy(np.float64)).reshape(-1, horizon).sum(axis=1)
        for name in ("epistemic_std", "aleatoric_std")
    )
    total = epistemic + aleatoric
    return np.divide(epistemic, total, out=np.full_like(total, np.nan), where=total > 0)


def warn_of_unlike(
    frame: pd.DataFrame, horizon: int, item_id: Any, largest: float, windows: int
) -> None:
    """Warn if more series than chance allows have a much larger share than all training windows.

    If nothing is unlike, a series exceeds the largest of n windows with probability 1/(n+1); the
    number that may do so is the expected one and three of its standard deviations.

    Parameters
    ----------
    frame
        Forecasts.
    horizon
        Rows of each series.
    item_id
        The column of ids, or None.
    largest, windows
        What :func:`largest_share` gave.

    Warns
    -----
    UnlikeTrainingWarning
        With the number of series, and the one with the largest share.
    """
    found = shares(frame, horizon)
    # Shares e/(e + a) above that of _MARGIN times the largest ratio e/a.
    beyond = int((found > _MARGIN * largest / (1 + (_MARGIN - 1) * largest)).sum())
    expected = len(found) / (windows + 1)
    if beyond <= expected + 3 * math.sqrt(expected):
        return
    worst = int(np.nanargmax(found))
    name = "" if item_id is None else f" (series {show(frame[item_id].iloc[worst * horizon])})"
    warnings.warn(
        f"{beyond} of {len(found)} series have forecasts that the model is far less sure of than "
        f"of any of {windows} training windows: not knowing the weights is up to "
        f"{found[worst]:.0%} of their variance{name}, in training at most {largest:.0%}. Their "
        "inputs may be unlike the training data: look at covariates, levels and lengths",
        UnlikeTrainingWarning,
        stacklevel=3,
    )
