"""Series checked against what a network was told of them, before anything is computed."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from typing import Any

import numpy as np
from gluonts.core.component import validated
from gluonts.dataset.common import DataEntry
from gluonts.transform import MapTransformation


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
    """

    @validated()
    def __init__(
        self,
        prediction_length: int,
        num_feat_dynamic_real: int = 0,
        num_past_feat_dynamic_real: int = 0,
        num_feat_static_real: int = 0,
        cardinality: list[int] = [],  # noqa: B006 (GluonTS copies it)
    ) -> None:
        self.prediction_length = prediction_length
        self.num_feat_dynamic_real = num_feat_dynamic_real
        self.num_past_feat_dynamic_real = num_past_feat_dynamic_real
        self.num_feat_static_real = num_feat_static_real
        self.cardinality = cardinality

    def map_transform(self, data: DataEntry, is_train: bool) -> DataEntry:
        """Return the entry as it is."""
        target = np.asarray(data["target"], dtype=np.float64)
        if target.ndim != 1:
            raise _wrong(data, "target", f"{target.ndim} dimensions", "one: a univariate series")
        if np.isinf(target).any():
            raise _wrong(data, "target", "an infinite value", "NaN for a missing value")
        beyond = 0 if is_train else self.prediction_length
        known = "the target's length" if is_train else "the target's length and the horizon"
        self._check_rows(
            data, "feat_dynamic_real", self.num_feat_dynamic_real, len(target) + beyond, known
        )
        self._check_rows(
            data,
            "past_feat_dynamic_real",
            self.num_past_feat_dynamic_real,
            len(target),
            "the target's length",
        )
        if self.num_feat_static_real:
            values = _field(data, "feat_static_real")
            if values.shape != (self.num_feat_static_real,):
                raise _wrong(
                    data,
                    "feat_static_real",
                    f"shape {values.shape}",
                    f"({self.num_feat_static_real},)",
                )
            _check_finite(data, "feat_static_real", values)
        if self.cardinality:
            self._check_categories(data)
        return data

    def _check_rows(self, data: DataEntry, name: str, rows: int, length: int, why: str) -> None:
        if not rows:
            return
        values = _field(data, name)
        if values.shape != (rows, length):
            raise _wrong(
                data, name, f"shape {values.shape}", f"({rows}, {length}): features, {why}"
            )
        _check_finite(data, name, values)

    def _check_categories(self, data: DataEntry) -> None:
        values = _field(data, "feat_static_cat")
        if values.shape != (len(self.cardinality),):
            shape = f"({len(self.cardinality)},)"
            raise _wrong(data, "feat_static_cat", f"shape {values.shape}", shape)
        for position, (value, size) in enumerate(zip(values, self.cardinality, strict=True)):
            if not (0 <= value < size and value == int(value)):
                raise _wrong(
                    data,
                    "feat_static_cat",
                    f"{value:g} at position {position}",
                    f"a whole number in 0..{size - 1}, by cardinality={self.cardinality}",
                )


def _field(data: DataEntry, name: str) -> Any:
    if data.get(name) is None:
        raise ValueError(f"series {_name(data)} has no field {name!r}, which the estimator expects")
    return np.asarray(data[name], dtype=np.float64)


def _check_finite(data: DataEntry, name: str, values: Any) -> None:
    if not np.isfinite(values).all():
        raise _wrong(data, name, "a missing or infinite value", "finite ones: fill it beforehand")


def _wrong(data: DataEntry, name: str, found: str, right: str) -> ValueError:
    return ValueError(f"series {_name(data)}: {name} has {found}; expected {right}")


def _name(data: DataEntry) -> str:
    return repr(data["item_id"]) if data.get("item_id") is not None else "without item_id"
