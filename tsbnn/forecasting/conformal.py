r"""Split-conformal calibration of intervals, for each step of the horizon on its own.

A forecast of the past (of a cross-validation) with median m and the bounds l, u of its central
interval of 80 % missed the actual value y by the score

.. math:: s = \begin{cases} (y - m) / (u - m) & y \ge m \\ (m - y) / (m - l) & y < m
          \end{cases}

that is, by so many half-widths of its own: where the model says that it knows little, a large
residual is a small score. With the n scores of a step in ascending order, the interval of level
:math:`1-\alpha` of a new forecast is

.. math:: [\, m - Q\,(m-l),\; m + Q\,(u-m) \,], \qquad
          Q = s_{(k)}, \quad k = \lceil (n+1)(1-\alpha) \rceil .

It covers with probability of at least :math:`1-\alpha` (and at most :math:`1-\alpha + 1/(n+1)`
without ties) where old and new scores are exchangeable: forecasts of the same model, and series
whose scores do not drift. All levels stretch the same interval, by a Q that grows with the
level, so that they lie within one another.

Source: CQR-m in Sesia and Candès, *A comparison of some conformal quantile regression methods*,
Stat 9 (2020), with one interval for all levels; Lei et al., *Distribution-free predictive inference
for regression*, JASA 113 (2018), theorem 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.schema import TARGETS
from tsbnn.forecasting.decomposition import Array

_COLUMNS = {"median": "median", "lower": "lo-80", "upper": "hi-80"}


class ConformalCalibration:
    """Widens or narrows the intervals of forecasts by how past ones fared.

    Parameters
    ----------
    scores
        For each step of the horizon the scores of past forecasts, in any order.
    minimum
        What targets cannot fall below, in their units: no bound does either.

    Examples
    --------
    >>> frame = pd.DataFrame({"step": 1, "target": [1.5, 2.25, 3.0], "median": 2.0})
    >>> frame = frame.assign(**{"lo-80": 1.0, "hi-80": 3.0})
    >>> calibration = ConformalCalibration.from_frame(frame)
    >>> middle, lower, upper = (np.array([[x]]) for x in (10.0, 8.0, 16.0))
    >>> float(calibration.quantile(0.75, middle, lower, upper)[0, 0])
    13.0
    """

    def __init__(self, scores: list[NDArray[np.float64]], minimum: float | None = None) -> None:
        self.minimum = minimum
        self.scores = [np.sort(np.asarray(some, dtype=np.float64)) for some in scores]

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, target: Hashable = None, minimum: float | None = None
    ) -> ConformalCalibration:
        """Compute the scores of a cross-validation.

        Parameters
        ----------
        frame
            Forecasts and actual values, as :meth:`tsbnn.Forecaster.cross_validation` gives them:
            columns ``step`` (from 1), ``median``, ``lo-80``, ``hi-80`` and the target. Rows whose
            actual value is missing are left out.
        target
            The column of actual values; None takes "target" or "y".
        minimum
            What targets cannot fall below, e.g. 0.

        Raises
        ------
        ValueError
            If a column is missing, or a step has no actual value.
        """
        if target is None:
            target = next((name for name in TARGETS if name in frame.columns), "target")
        missing = [name for name in ("step", target, *_COLUMNS.values()) if name not in frame]
        if missing:
            raise ValueError(
                f"the frame has no column {missing[0]!r}: pass what cross_validation(df, ...) "
                "returns, with 80 among its levels"
            )
        y = frame[target].to_numpy(np.float64)
        middle, lower, upper = (frame[name].to_numpy(np.float64) for name in _COLUMNS.values())
        width = np.where(y >= middle, upper - middle, middle - lower)
        miss = np.abs(y - middle)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(miss == 0, 0.0, miss / width)
        step = frame["step"].to_numpy()
        found = [scores[(step == h) & ~np.isnan(y)] for h in range(1, int(step.max()) + 1)]
        empty = [h for h, some in enumerate(found, start=1) if not len(some)]
        if empty:
            raise ValueError(f"step {empty[0]} of the horizon has no actual value")
        return cls(found, minimum)

    def __repr__(self) -> str:
        counts = sorted({len(some) for some in self.scores})
        number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"ConformalCalibration({len(self.scores)} steps, {number} scores each)"

    def factors(self, coverage: float) -> Array:
        """Q for each step of the horizon.

        Parameters
        ----------
        coverage
            Of the central interval, between 0 and 1.

        Raises
        ------
        ValueError
            If there are too few scores for this coverage: it needs at least
            ``coverage / (1 - coverage)``.
        """
        found = []
        for step, scores in enumerate(self.scores, start=1):
            # Levels such as 0.95 are a rounding away from those that are meant.
            rank = math.ceil(round((len(scores) + 1) * coverage, 9))
            if rank > len(scores):
                needed = math.ceil(round(coverage / (1 - coverage), 6))
                raise ValueError(
                    f"an interval of {100 * coverage:g} % needs at least {needed} scores, and step "
                    f"{step} has {len(scores)}: calibrate on more windows or series, or ask for "
                    "lower levels and less extreme quantiles"
                )
            found.append(scores[max(rank, 1) - 1])
        return np.asarray(found)

    def quantile(self, level: float, median: Array, lower: Array, upper: Array) -> Array:
        """The bound of the calibrated central interval that is the quantile of this level.

        Parameters
        ----------
        level
            Between 0 and 1.
        median, lower, upper
            Quantiles 0.5, 0.1 and 0.9 of forecasts, ``batch x time``.

        Raises
        ------
        ValueError
            If the horizon is another one, or there are too few scores.
        """
        if median.shape[1] != len(self.scores):
            raise ValueError(
                f"the calibration is of {len(self.scores)} steps, the forecast of {median.shape[1]}"
            )
        if level == 0.5:
            return median
        factors = self.factors(abs(round(2 * level - 1, 12)))
        distance = median - lower if level < 0.5 else upper - median
        # An infinite factor, of intervals that had no width, leaves others without any as they are.
        move = np.multiply(factors, distance, out=np.zeros_like(distance), where=distance != 0)
        moved = np.asarray(median + math.copysign(1, level - 0.5) * move, dtype=median.dtype)
        return moved if self.minimum is None else np.maximum(moved, self.minimum)
