r"""Which lags and calendar features a network can learn to read from its training data.

GluonTS gives a frequency its lags and time features whatever the data are: an hourly series of a
month gets lags of a month and the day of the year. What training never shows, or shows once, it
cannot teach, and forecasts read it all the same. On the first of January the day of the year jumps
from 0.5 to -0.5; a network that has seen one summer and one autumn has weights on it, found by
chance. So, where nothing else is asked for,

- a lag l is given if it reaches a known value at no less than half of all training points: series
  of :math:`n_i` points have :math:`\sum_i \max(0, n_i - l) \ge \tfrac12 \sum_i n_i`;
- a feature of the calendar is given if the data cover one and a half of its cycles: all of it once,
  and half of it again. Days that several series cover count once.

Lengths count from the first observed point to the last, of series that are long enough for a
window. `benchmarks.inputs` measures what this brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from gluonts.dataset.common import Dataset
from gluonts.model import Predictor
from gluonts.time_feature import TimeFeature
from gluonts.transform import AddAgeFeature, AddTimeFeatures, Chain, Transformation

from tsbnn.datasets.frequencies import business_periods_quietly
from tsbnn.forecasting.estimators.check_fields import CheckFields
from tsbnn.forecasting.inputs import numbers
from tsbnn.forecasting.time_features import CYCLES
from tsbnn.networks import ForecastingNetwork

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
        Days that lie between the first and the last observed point of some series.
    """

    lengths: np.ndarray
    days: float

    @classmethod
    def of(cls, dataset: Dataset, needed: int = 1) -> Extent:
        """Measure a dataset.

        Parameters
        ----------
        dataset
            Series. Those that the estimator will refuse count for nothing here.
        needed
            Points of a training window: nothing is learnt from shorter series.
        """
        lengths: list[int] = []
        # Ordinals of periods, each pair once: series of a panel often begin and end together.
        spans: set[tuple[Any, int, int]] = set()
        for entry in dataset:
            target, start = numbers(entry, "target"), entry.get("start")
            if target.ndim != 1 or not isinstance(start, pd.Period) or len(target) < needed:
                continue
            observed = np.flatnonzero(np.isfinite(target))
            if not len(observed):
                continue
            first, last = int(observed[0]), int(observed[-1]) + 1
            lengths.append(last - first)
            freq, ordinal = start.freq, start.ordinal
            spans.add((freq, ordinal + first * freq.n, ordinal + last * freq.n))
        with business_periods_quietly():
            days = [tuple(_day(pd.Period(ordinal=o, freq=f)) for o in pair) for f, *pair in spans]
        return cls(np.array(lengths, dtype=np.int64), _covered(days))


def _covered(spans: Iterable[tuple[float, ...]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, -np.inf
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, reached))
        reached = max(reached, last)
    return total


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


@dataclass(frozen=True)
class Inputs:
    """What the network of a trained predictor reads.

    Attributes
    ----------
    freq
        Of its series.
    lags_seq
        None for networks without lags.
    time_features, age_feature
        As the estimator's arguments.
    """

    freq: str | None
    lags_seq: list[int] | None
    time_features: list[TimeFeature]
    age_feature: bool

    @classmethod
    def of(cls, predictor: Predictor) -> Inputs | None:
        """Read them off a predictor; None if its network is none of ours."""
        network = getattr(predictor, "network", None)
        network = getattr(network, "network", getattr(network, "model", None))
        if not isinstance(network, ForecastingNetwork):
            return None
        steps = {type(step): step for step in _steps(predictor.input_transform)}
        return cls(
            steps[CheckFields].freq,
            getattr(network, "lags_seq", None),
            list(steps[AddTimeFeatures].date_features),
            AddAgeFeature in steps,
        )


def _steps(transformation: Transformation) -> Iterable[Transformation]:
    if isinstance(transformation, Chain):
        for step in transformation.transformations:
            yield from _steps(step)
    else:
        yield transformation


def _day(period: pd.Period) -> float:
    """Days since year 0, by the average year: timestamps begin in 1677, and dates end in 9999."""
    time = (period.hour + (period.minute + period.second / 60) / 60) / 24
    return 365.2425 * period.year + period.dayofyear + time
