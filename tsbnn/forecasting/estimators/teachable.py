r"""Which lags and calendar features a network can learn to read from its training data.

GluonTS gives a frequency its lags and time features whatever the data are: an hourly series of a
month gets lags of a month and the day of the year. What training never shows, or shows once, it
cannot teach, and forecasts read it all the same. On the first of January the day of the year jumps
from 0.5 to -0.5; a network that has seen one summer and one autumn has weights on it, found by
chance. So, where nothing else is asked for,

- a lag l is given if it reaches a known value at no less than half of all training points: series
  of :math:`n_i` points have :math:`\sum_i \max(0, n_i - l) \ge \tfrac12 \sum_i n_i`;
- a feature of the calendar is given if the data go one and a half times through its cycle, from the
  first point of any series to the last one of any: all of it once, and half of it again.

Lengths count from the first observed point to the last. `benchmarks.inputs` measures what this
brings.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from gluonts.dataset.common import Dataset
from gluonts.model import Predictor
from gluonts.time_feature import TimeFeature
from gluonts.transform import AddTimeFeatures, Chain, Transformation

from tsbnn.datasets.frequencies import business_periods_quietly
from tsbnn.forecasting.inputs import numbers
from tsbnn.forecasting.time_features import CYCLES

SHARE = 0.5
ROUNDS = 1.5


@dataclass(frozen=True)
class Extent:
    """How far training data reach.

    Attributes
    ----------
    lengths
        Points of each series, from the first observed to the last one, ``num_series``.
    days
        From the first point of any series to the last one of any.
    """

    lengths: np.ndarray
    days: float

    @classmethod
    def of(cls, dataset: Dataset) -> Extent:
        """Measure a dataset. Series that the estimator will refuse count for nothing here."""
        lengths: list[int] = []
        # First and last ordinal of the periods of each frequency: "h" may also be "60min".
        reached: dict[Any, tuple[int, int]] = {}
        for entry in dataset:
            observed = np.flatnonzero(np.isfinite(numbers(entry, "target")))
            start = entry.get("start")
            if not len(observed) or not isinstance(start, pd.Period):
                continue
            first, last = int(observed[0]), int(observed[-1]) + 1
            lengths.append(last - first)
            freq, ordinal = start.freq, start.ordinal
            first, last = ordinal + first * freq.n, ordinal + last * freq.n
            before = reached.get(freq, (first, last))
            reached[freq] = min(first, before[0]), max(last, before[1])
        with business_periods_quietly():
            days = [
                _day(pd.Period(ordinal=ordinal, freq=freq))
                for freq, ordinals in reached.items()
                for ordinal in ordinals
            ]
        return cls(np.array(lengths, dtype=np.int64), max(days) - min(days) if days else 0.0)


def teachable_lags(lags: Sequence[int], extent: Extent) -> list[int]:
    """Leave out the lags that fewer than half of the training points know; keep the shortest."""
    points = extent.lengths.sum()
    return [
        lag
        for lag in lags
        if lag == min(lags) or np.maximum(extent.lengths - lag, 0).sum() >= SHARE * points
    ]


def teachable_time_features(features: Sequence[TimeFeature], extent: Extent) -> list[TimeFeature]:
    """Leave out GluonTS's features of cycles that the training data show hardly once."""
    return [one for one in features if ROUNDS * CYCLES.get(one, 0.0) <= extent.days]


def inputs_of(predictor: Predictor) -> dict[str, Any]:
    """Lags and time features of a trained predictor's network, as far as it has them."""
    network = getattr(predictor, "network", None)
    network = getattr(network, "network", getattr(network, "model", network))
    found = {}
    if (lags := getattr(network, "lags_seq", None)) is not None:
        found["lags_seq"] = list(lags)
    for step in _steps(getattr(predictor, "input_transform", None)):
        if isinstance(step, AddTimeFeatures):
            found["time_features"] = list(step.date_features)
    return found


def _steps(transformation: Transformation | None) -> Iterable[Transformation]:
    if isinstance(transformation, Chain):
        for step in transformation.transformations:
            yield from _steps(step)
    elif transformation is not None:
        yield transformation


def _day(period: pd.Period) -> float:
    """Days since year 1. Timestamps of pandas begin in 1677; periods, and GluonTS, do not."""
    time = (period.hour + (period.minute + period.second / 60) / 60) / 24
    return datetime.date(period.year, 1, 1).toordinal() + period.dayofyear + time
