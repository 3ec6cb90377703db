"""Series checked against what a network was told of them, before anything is computed."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

import functools
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from gluonts.dataset.common import DataEntry
from gluonts.time_feature import norm_freq_str
from gluonts.transform import MapTransformation
from pandas.tseries.frequencies import to_offset

from tsbnn.forecasting.inputs import field, numbers, wrong_field
from tsbnn.networks.validated import validated


class CheckFields(MapTransformation):
    """Raise a ValueError that names series, field, what was found and what would be right.

    Parameters
    ----------
    prediction_length
        Steps that known covariates go beyond the target when a forecast is made.
    num_feat_dynamic_real, num_past_feat_dynamic_real, num_feat_static_real
        Expected rows of ``feat_dynamic_real`` and ``past_feat_dynamic_real``, and numbers in
        ``feat_static_real``; fields of which 0 are expected are not looked at.
    cardinality
        Number of categories of each entry of ``feat_static_cat``; not looked at if empty.
    freq
        Frequency of the series; weeks may end on any day, and quarters and years in any month. Not
        looked at if None.
    """

    @validated()
    def __init__(
        self,
        prediction_length: int,
        num_feat_dynamic_real: int = 0,
        num_past_feat_dynamic_real: int = 0,
        num_feat_static_real: int = 0,
        cardinality: list[int] = [],  # noqa: B006 (GluonTS copies it)
        freq: str | None = None,
    ) -> None:
        self.prediction_length = prediction_length
        self.num_feat_dynamic_real = num_feat_dynamic_real
        self.num_past_feat_dynamic_real = num_past_feat_dynamic_real
        self.num_feat_static_real = num_feat_static_real
        self.cardinality = cardinality
        self.freq = freq

    def map_transform(self, data: DataEntry, is_train: bool) -> DataEntry:
        """Return the entry as it is."""
        target = numbers(data, "target")
        if target.ndim != 1:
            raise wrong_field(
                data, "target", f"{target.ndim} dimensions", "one: a univariate series"
            )
        if np.isinf(target).any():
            raise wrong_field(data, "target", "an infinite value", "NaN for a missing value")
        if self.freq is None:
            period(data)
        else:
            check_frequency(data, self.freq)
        length, why = len(target), "the target's length, as in FrameDataset.training"
        if not is_train:
            length += self.prediction_length
            why = (
                "the target's length and the horizon, to which "
                f"from_frame(..., prediction_length={self.prediction_length}) cuts them"
            )
        self._check_rows(data, "feat_dynamic_real", self.num_feat_dynamic_real, length, why)
        self._check_rows(
            data,
            "past_feat_dynamic_real",
            self.num_past_feat_dynamic_real,
            len(target),
            "the target's length",
        )
        if self.num_feat_static_real:
            values = numbers(data, "feat_static_real")
            if values.shape != (self.num_feat_static_real,):
                raise wrong_field(
                    data,
                    "feat_static_real",
                    f"shape {values.shape}",
                    f"({self.num_feat_static_real},)",
                )
            _check_finite(data, "feat_static_real", values)
        if self.cardinality:
            check_categories(data, self.cardinality)
        return data

    def _check_rows(self, data: DataEntry, name: str, rows: int, length: int, why: str) -> None:
        if not rows:
            return
        values = numbers(data, name)
        if values.shape != (rows, length):
            raise wrong_field(
                data, name, f"shape {values.shape}", f"({rows}, {length}): features, {why}"
            )
        _check_finite(data, name, values)


def check_as_told(estimator: Any, dataset: Iterable[Any]) -> None:
    """Check frequency and categories of series by the attributes of an estimator of GluonTS's.

    Those of ours have :class:`CheckFields` among their transformations.

    Raises
    ------
    ValueError
        As :class:`CheckFields`.
    """
    freq = getattr(estimator, "freq", None)
    name = "cardinality" if getattr(estimator, "num_feat_static_cat", 0) else "static_cardinalities"
    cardinality = list(getattr(estimator, name, None) or [])
    if not isinstance(freq, str) and not cardinality:
        return
    for entry in dataset:
        if isinstance(freq, str):
            check_frequency(entry, freq)
        if cardinality:
            check_categories(entry, cardinality, name)


def period(data: DataEntry) -> pd.Period:
    """Return the start of a series, or raise a ValueError if it is no period."""
    start = field(data, "start")
    if not isinstance(start, pd.Period):
        right = "a pandas Period, as ListDataset and from_frame make it"
        raise wrong_field(data, "start", f"{start!r}, a {type(start).__name__}", right)
    return start


def check_frequency(data: DataEntry, freq: str) -> None:
    """Raise a ValueError for a series of another frequency."""
    start = period(data)
    if step(start.freqstr) != step(freq):
        right = f"{freq!r}, the estimator's freq"
        raise wrong_field(data, "start", f"frequency {start.freqstr!r}", right)


def check_categories(data: DataEntry, cardinality: list[int], name: str = "cardinality") -> None:
    """Raise a ValueError for a series whose static categories are other than an argument says."""
    values = numbers(data, "feat_static_cat")
    if values.shape != (len(cardinality),):
        raise wrong_field(
            data, "feat_static_cat", f"shape {values.shape}", f"({len(cardinality)},)"
        )
    for position, (value, size) in enumerate(zip(values, cardinality, strict=True)):
        if not (0 <= value < size and value == int(value)):
            raise wrong_field(
                data,
                "feat_static_cat",
                f"{value:g} at position {position}",
                f"a whole number in 0..{size - 1}, by {name}={cardinality}",
            )


_MONTHS = {"ME": 1, "QE": 3, "YE": 12}


@functools.cache
def step(freq: str) -> Any:
    """Length of a frequency's steps, in terms that can be compared."""
    with warnings.catch_warnings():
        # Aliases as pandas 2.1 wrote them.
        warnings.simplefilter("ignore", FutureWarning)
        offset = to_offset(freq)
    if isinstance(offset, pd.offsets.Tick):
        return offset.nanos
    # The calendar's. GluonTS tells starts of months from their ends no more than periods do.
    name = norm_freq_str(offset.name)
    if name == "W":
        return pd.Timedelta(weeks=offset.n).value
    return (offset.n * _MONTHS[name], "ME") if name in _MONTHS else (offset.n, name)


def _check_finite(data: DataEntry, name: str, values: Any) -> None:
    if not np.isfinite(values).all():
        raise wrong_field(
            data, name, "a missing or infinite value", "finite ones: fill it beforehand"
        )
