"""Forecasts as a tidy frame: one row for each series and step, whole batches at a time.

======================  ==========================================================================
column                  in the target's units
======================  ==========================================================================
``item_id``,            the input's own names, series in sorted order; no ids where it has none
``timestamp``
``mean``, ``median``    of the paths
``0.1``, ``0.9``, …     quantiles, named by their levels
``lo-80``, ``hi-80``    bounds of the central interval of 80 %: the quantiles 0.1 and 0.9
``epistemic_std``,      standard deviations of what the model does not know, and of what nobody
``aleatoric_std``       can: see :mod:`tsbnn.forecasting.decomposition`
======================  ==========================================================================

Quantiles are those of the sorted paths at position level·(S+1) of S (Weibull's rule, with which an
interval covers as often as it says; :func:`tsbnn.evaluation.central_interval` has the same bounds).
They cannot cross, ``median`` is ``0.5``, and wider intervals than the paths can tell end at the
outermost path.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets import FrameDataset
from tsbnn.forecasting.decomposition import Array, decompose_batch
from tsbnn.forecasting.prediction.prediction import Predicted

QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LEVELS = (80, 95)
_OF_PATHS = ("draw", "path", "value")
#: What a calibration measures distances from the median by: bounds of the interval of 80 %.
REFERENCE = (0.1, 0.9)


class Calibration(Protocol):
    """What widens or narrows intervals; see :class:`tsbnn.forecasting.ConformalCalibration`."""

    def quantile(self, level: float, median: Array, lower: Array, upper: Array) -> Array:
        """The calibrated quantile, ``batch x time`` like its median and reference bounds."""


class FrameColumns:
    """The columns that are asked for, checked, and computed from batches of paths.

    Parameters
    ----------
    quantiles
        Levels between 0 and 1.
    levels
        Central intervals in percent.
    calibration
        Moves quantiles and bounds, if given.

    Raises
    ------
    ValueError
        For a quantile outside of (0, 1), a level outside of (1, 100), and for two that are called
        alike, since names have six digits.
    TypeError
        For a calibration that has no ``quantile``.
    """

    def __init__(
        self,
        quantiles: Sequence[float] = QUANTILES,
        levels: Sequence[float] = LEVELS,
        calibration: Calibration | None = None,
    ) -> None:
        if calibration is not None and not hasattr(calibration, "quantile"):
            raise TypeError(
                f"calibration must be a ConformalCalibration, not {type(calibration).__name__}"
            )
        self.calibration = calibration
        self.quantiles = {"median": 0.5}
        for quantile in _numbers(quantiles, "quantiles", (0, 1), "(0.1, 0.9)"):
            self.quantiles[f"{quantile:g}"] = quantile
        for level in _numbers(levels, "levels", (1, 100), "percents, (80, 95)"):
            self.quantiles[f"lo-{level:g}"] = (100 - level) / 200
            self.quantiles[f"hi-{level:g}"] = (100 + level) / 200
        self.names = ["mean", *self.quantiles, "epistemic_std", "aleatoric_std"]

    def of(
        self, predicted: Predicted, draw_index: NDArray[np.integer], *, num_atoms: int | None
    ) -> list[Array]:
        """Columns of a batch of forecasts, in the order of ``names``, each ``batch x time``."""
        samples, means, variances = predicted
        parts = decompose_batch(samples, draw_index, means, variances, num_atoms=num_atoms)
        return [
            samples.mean(axis=1),
            *self._quantiles(samples),
            np.sqrt(np.maximum(parts.epistemic, 0.0)),
            np.sqrt(parts.aleatoric),
        ]

    def _quantiles(self, samples: Array) -> Iterable[Array]:
        levels = list(self.quantiles.values())
        if self.calibration is None:
            return np.quantile(samples, levels, axis=1, method="weibull")
        middle = np.quantile(samples, (0.5, *REFERENCE), axis=1, method="weibull")
        return [self.calibration.quantile(level, *middle) for level in levels]


def _numbers(values: Any, name: str, between: tuple[float, float], right: str) -> list[float]:
    low, high = between
    wrong = ValueError(
        f"{name}={values!r} must be numbers between {low:g} and {high:g}, such as {right}"
    )
    try:
        found = list(dict.fromkeys(float(value) for value in values))
    except (TypeError, ValueError):
        raise wrong from None
    if isinstance(values, str) or not all(low < value < high for value in found):
        raise wrong
    labels = Counter(f"{value:g}" for value in found)
    label, count = labels.most_common(1)[0] if labels else ("", 1)
    if count > 1:
        raise ValueError(f"{name}={values!r}: {count} of them are called {label!r}, by six digits")
    return found


def check_free(names: Iterable[str], columns: Iterable[Any]) -> None:
    """Refuse columns of a frame that are called like those of forecasts.

    Raises
    ------
    ValueError
        Naming the first of them.
    """
    taken = set(names)
    for column in columns:
        if column in taken:
            raise ValueError(
                f"column {column!r} is called like a column of forecasts: rename it in the frame"
            )


class FrameBuilder:
    """Fills a frame of forecasts, batch by batch.

    Parameters
    ----------
    dataset
        The series, and what their columns are called.
    first, prediction_length
        Steps after the end of a series where its forecast starts, and steps of the forecast.
    columns
        What to compute.
    keep_paths
        Whether the paths are kept, for :meth:`paths`.

    Raises
    ------
    ValueError
        If the column of ids or of timestamps is called like one of the forecast's.
    """

    def __init__(
        self,
        dataset: FrameDataset,
        first: int,
        prediction_length: int,
        columns: FrameColumns,
        *,
        keep_paths: bool = False,
    ) -> None:
        check_free([*columns.names, *(_OF_PATHS if keep_paths else ())], dataset.columns[:2])
        self.dataset, self.columns = dataset, columns
        self.stamps = dataset.timestamps(first, prediction_length)
        self._values: NDArray[np.float32] = np.empty(
            (len(columns.names), *self.stamps.shape), dtype=np.float32
        )
        self._filled = 0
        self._paths: list[Array] | None = [] if keep_paths else None
        self._draw_index: NDArray[np.integer] = np.zeros(0, dtype=np.int64)

    def add(
        self, predicted: Predicted, draw_index: NDArray[np.integer], *, num_atoms: int | None
    ) -> int:
        """Add the next forecasts; return how many there are now.

        Raises
        ------
        ValueError
            For multivariate forecasts.
        """
        if predicted.samples.ndim != 3:
            raise ValueError("forecasts of several targets at a time have no tidy frame")
        stop = self._filled + len(predicted.samples)
        found = self.columns.of(predicted, draw_index, num_atoms=num_atoms)
        for values, column in zip(self._values, found, strict=True):
            values[self._filled : stop] = column
        self._filled, self._draw_index = stop, draw_index
        if self._paths is not None:
            self._paths.append(predicted.samples)
        return stop

    def frame(self) -> pd.DataFrame:
        """Return the frame.

        Warns
        -----
        RuntimeWarning
            Where a standard deviation is not known, as there are too few paths.
        """
        for name in ("epistemic_std", "aleatoric_std"):
            values = self._values[self.columns.names.index(name)]
            if values.size and np.isnan(values).all():
                warnings.warn(
                    f"{name} is not known: the weight draws have single paths, or there is one "
                    "draw only. Predict with num_samples of at least twice num_draws.",
                    RuntimeWarning,
                    stacklevel=3,
                )
        data = self._index(self.stamps.shape[1], self.stamps)
        data |= zip(self.columns.names, self._values.reshape(len(self._values), -1), strict=True)
        return pd.DataFrame(data, copy=False)

    def paths(self) -> pd.DataFrame:
        """Return every path: its series, timestamp, weight draw, number, and value."""
        samples = np.concatenate(self._paths or [np.empty((0, 0, 0), np.float32)])
        batch, count, time = samples.shape
        stamps = np.broadcast_to(self.stamps[:, None], samples.shape)
        data = self._index(count * time, stamps)
        numbers = (np.tile(np.repeat(n, time), batch) for n in (self._draw_index, np.arange(count)))
        data |= zip(_OF_PATHS, (*numbers, samples.reshape(-1)), strict=True)
        return pd.DataFrame(data, copy=False)

    def _index(self, rows_per_series: int, stamps: NDArray[np.datetime64]) -> dict[Any, Any]:
        names, index = self.dataset.columns, {}
        if names.item_id is not None:
            index[names.item_id] = pd.Index(self.dataset.item_ids).repeat(rows_per_series)
        times = pd.DatetimeIndex(stamps.reshape(-1)).tz_localize(self.dataset.time_zone)
        index["timestamp" if names.timestamp is None else names.timestamp] = times
        return index
