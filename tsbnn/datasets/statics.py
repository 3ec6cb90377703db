"""Static features: one value per series, numbers as they are, everything else as category codes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.columns import read_numbers
from tsbnn.datasets.errors import StaticFeatureError
from tsbnn.datasets.rows import Rows, show


@dataclass
class Statics:
    """Static features of all series.

    Attributes
    ----------
    codes
        Category codes, ``num_series x num_categorical``.
    numbers
        Numbers, ``num_series x num_real``, as float32.
    categories
        The categories of each categorical column, in the order of their codes.
    real
        Names of the numeric columns, in order.
    """

    codes: NDArray[np.int64]
    numbers: NDArray[np.float32]
    categories: dict[Hashable, tuple[Any, ...]] = field(default_factory=dict)
    real: tuple[Hashable, ...] = ()


def read_statics(
    columns: Iterable[pd.Series],
    rows: Rows,
    items: pd.Series | None,
    known: Mapping[Any, Iterable[Any]],
) -> Statics:
    """Read static features.

    Columns of numbers (integers too) are real; text, booleans and pandas categoricals are
    categories. A category column's codes follow ``known`` if it is there, else the declared order
    of a pandas categorical, else the sorted values.

    Parameters
    ----------
    columns
        Columns in the frame's order, each ``num_rows``.
    rows
        The sorted rows.
    items
        The item ids of the frame's rows, for messages, or None.
    known
        Categories of an earlier dataset, by column.

    Raises
    ------
    StaticFeatureError
        If a value is missing, changes within a series, or is not among the known categories.
    """
    codes, numbers = [], []
    result = Statics(
        np.zeros((rows.num_series, 0), np.int64), np.zeros((rows.num_series, 0), np.float32)
    )
    for values in columns:
        if _is_categorical(values) or values.name in known:
            code, categories = _encode(values, rows, known.get(values.name))
            codes.append(code)
            result.categories[values.name] = categories
        else:
            read = read_numbers(
                values, "static feature", StaticFeatureError, items, "never missing"
            )
            read = read[rows.order]
            numbers.append(_one_per_series(read, values, rows, np.isnan(read)))
            result.real = (*result.real, values.name)
    if codes:
        result.codes = np.stack(codes, axis=1)
    if numbers:
        result.numbers = np.stack(numbers, axis=1).astype(np.float32)
    return result


def _is_categorical(values: pd.Series) -> bool:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
        return True
    if pd.api.types.is_numeric_dtype(dtype):
        return False
    return pd.api.types.infer_dtype(values, skipna=True) not in (
        "floating",
        "integer",
        "mixed-integer-float",
        "decimal",
    )


def _encode(
    values: pd.Series, rows: Rows, known: Iterable[Any] | None
) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    found, unique = pd.factorize(values, sort=not isinstance(values.dtype, pd.CategoricalDtype))
    one = _one_per_series(found[rows.order], values, rows, found[rows.order] < 0)
    present = pd.Index(unique).tolist()
    if known is not None:
        categories = tuple(known)
    elif isinstance(values.dtype, pd.CategoricalDtype):
        categories = tuple(values.dtype.categories.tolist())
    else:
        categories = tuple(present)
    number = {category: code for code, category in enumerate(categories)}
    lookup = np.array([number.get(category, -1) for category in present], dtype=np.int64)
    codes = lookup[one]
    if (codes < 0).any():
        series = int(np.flatnonzero(codes < 0)[0])
        value = present[one[series]]
        shown = ", ".join(show(category) for category in categories[:12])
        raise StaticFeatureError(
            f"{rows.name(series)}, column {show(values.name)}: {show(value)} is not among the "
            "categories given in static_categories "
            f"({shown}{', ...' if len(categories) > 12 else ''}); a model trained on those has no "
            "weights for it",
            series=rows.items[series],
            column=values.name,
            row=rows.label(int(rows.starts[series])),
            value=value,
        )
    return codes, categories


def _one_per_series(
    sorted_values: NDArray[Any], values: pd.Series, rows: Rows, missing: NDArray[np.bool_]
) -> NDArray[Any]:
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise StaticFeatureError(
            f"{rows.place(row)}, column {show(values.name)}: the static feature is missing; it "
            "needs the same value in every row of its series "
            "(df.groupby(item)[column].ffill().bfill() spreads it)",
            series=rows.item(row),
            column=values.name,
            row=rows.label(row),
        )
    first = sorted_values[rows.starts]
    changed = np.flatnonzero(sorted_values != first[rows.series])
    if len(changed):
        row = int(changed[0])
        start = int(rows.starts[rows.series[row]])
        was, is_now = values.iloc[int(rows.order[start])], values.iloc[int(rows.order[row])]
        raise StaticFeatureError(
            f"{rows.place(row)}, column {show(values.name)}: the value {show(is_now)} differs "
            f"from {show(was)} in row {show(rows.label(start))}, and a static feature has one "
            "value per series; what changes over time belongs in known_covariates if it is known "
            "ahead, in past_covariates if not",
            series=rows.item(row),
            column=values.name,
            row=rows.label(row),
            value=is_now,
        )
    return first
