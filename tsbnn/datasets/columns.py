"""Columns of a user's frame, read into arrays and checked, without touching the frame."""

from __future__ import annotations

import difflib
import numbers
import warnings
from collections.abc import Hashable, Sequence
from decimal import Decimal
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.errors import ColumnError, EmptyFrameError, FrameError, ItemIdError
from tsbnn.datasets.rows import counter, others, show

_HINTS = {
    "timestamp": ". Name the column of dates in timestamp=..., or make dates the index.",
    "target": ". A frame with one column per series becomes long with "
    "df.melt(id_vars=['timestamp'], "
    "var_name='item_id', value_name='target')",
}
_LARGEST = float(np.finfo(np.float32).max)


def as_table(df: object, target: Hashable, argument: str) -> pd.DataFrame:
    """The frame itself, or a single series as a frame of one column.

    Raises
    ------
    TypeError
        If it is neither a DataFrame nor a Series.
    EmptyFrameError, ColumnError
        If it has no rows, or a column name twice.
    """
    if isinstance(df, pd.Series):
        df = df.to_frame(name=target)
    if not isinstance(df, pd.DataFrame):
        raise TypeError(
            f"{argument} must be a pandas DataFrame (or a Series with dates as its index), not "
            f"{type(df).__name__}"
        )
    if not len(df):
        raise EmptyFrameError(f"{argument} has no rows (its columns: {_list(list(df.columns))})")
    twice = df.columns[df.columns.duplicated()]
    if len(twice):
        raise ColumnError(
            f"{argument} has the column {show(twice[0])} twice; rename or drop one of the two",
            column=twice[0],
        )
    return df


def take(df: pd.DataFrame, name: Hashable, role: str, argument: str = "df") -> pd.Series:
    """A column, or an index level, as a Series whose index is the frame's.

    Raises
    ------
    ColumnError
        If there is none of that name; the message lists what there is.
    """
    if name in df.columns:
        return df[name]
    if name is not None and name in df.index.names:
        return pd.Series(df.index.get_level_values(cast(str, name)), index=df.index, name=name)
    levels = [level for level in df.index.names if level is not None]
    known = [*df.columns, *levels]
    close = difflib.get_close_matches(str(name), [str(column) for column in known], n=1, cutoff=0.6)
    raise ColumnError(
        f"{role}={show(name)}: {argument} has no such column"
        + (f"; did you mean {close[0]!r}?" if close else ".")
        + f" Its columns: {_list(list(df.columns))}"
        + (f"; its index: {_list(levels)}" if levels else "")
        + _HINTS.get(role, ""),
        column=name,
    )


def check_roles(roles: Sequence[tuple[str, Hashable]]) -> None:
    """Raise if one column is given two roles (an item id may also be a static feature).

    Raises
    ------
    ColumnError
        Naming the column and both roles.
    """
    seen: dict[Hashable, str] = {}
    for role, name in roles:
        if not isinstance(name, Hashable):
            raise ColumnError(f"{role} is the name of one column, not {name!r}", column=str(name))
        if name is None:
            continue
        if roles.count((role, name)) > 1:
            raise ColumnError(f"{role} names the column {show(name)} twice", column=name)
        before = seen.setdefault(name, role)
        if before != role and {before, role} != {"item_id", "static_features"}:
            raise ColumnError(
                f"column {show(name)} is named as {before} and as {role}; it can have one role "
                "only",
                column=name,
            )


def read_items(
    values: pd.Series | None, num_rows: int, labels: pd.Index
) -> tuple[NDArray[np.integer], list[Any]]:
    """Number the series in sorted order of their ids.

    Returns
    -------
    tuple
        Series number per row, ``num_rows``, and the ids by number.

    Raises
    ------
    ItemIdError
        If a row has no id.
    """
    if values is None:
        return np.zeros(num_rows, dtype=counter(num_rows)), [None]
    codes, unique = pd.factorize(values, sort=True)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        row = labels[missing[0]]
        raise ItemIdError(
            f"row {show(row)}, column {show(values.name)}: the item id is "
            f"missing{others(len(missing), 'rows')}; every row needs the id of its series, so "
            "drop these rows or fill their ids",
            column=values.name,
            row=row,
        )
    return codes.astype(counter(num_rows)), list(pd.Index(unique).tolist())


def read_numbers(
    values: pd.Series,
    role: str,
    error: type[FrameError],
    items: pd.Series | None,
    missing: str,
) -> NDArray[np.float64]:
    """A column as float64 with NaN for missing values.

    Parameters
    ----------
    values
        The column.
    role
        What it is, for messages ("target").
    error
        What to raise.
    items
        The item ids of the rows, ``num_rows``, for messages, or None.
    missing
        How a missing value is to be written, for messages.

    Raises
    ------
    FrameError
        ``error``, if a value is text or another non-number, infinite, or too large for float32.
    """
    result = _floats(values)
    if result is None:
        position = _first_non_number(values)
        found = values.iloc[position]
        text = isinstance(found, str)
        raise _value_error(
            values,
            position,
            items,
            error,
            f"{show(found)} is {'text' if text else f'a {type(found).__name__}'}, and a {role} is "
            f"a number, {missing}; "
            + (
                f"pd.to_numeric(df[{show(values.name)}], errors='coerce') reads numbers from text "
                "and makes the rest missing"
                if text and role == "target" and "," not in found
                else "where commas are decimal or thousands marks, pd.read_csv(..., decimal=',') "
                "or thousands=',' reads them"
                if text and "," in found
                else "encode text as numbers, for instance with pd.get_dummies"
                if text
                else "convert the column to float first"
            ),
        )
    wrong = np.flatnonzero(np.abs(result) > _LARGEST)
    if len(wrong):
        position = int(wrong[0])
        what = "infinite" if np.isinf(result[position]) else "beyond the range of float32 (3.4e38)"
        raise _value_error(
            values,
            position,
            items,
            error,
            f"{show(values.iloc[position])} is {what}{others(len(wrong), 'values')}, and a {role} "
            f"is a finite number, {missing}"
            + ("" if np.isinf(result[position]) else "; divide the column by a power of ten"),
        )
    return result


def _floats(values: pd.Series) -> NDArray[np.float64] | None:
    """The column as floats, or None if it is not numeric."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_complex_dtype(dtype):
        return None
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    if not pd.api.types.is_object_dtype(dtype):
        empty = bool(values.isna().all()) and pd.api.types.is_string_dtype(dtype)
        return np.full(len(values), np.nan) if empty else None
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("floating", "integer", "mixed-integer-float", "decimal", "boolean", "empty"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            filled = values.where(values.notna(), np.nan)
            return np.asarray(filled.astype(np.float64), dtype=np.float64)
    return None


def _first_non_number(values: pd.Series) -> int:
    """Place of the value to blame: one word in a CSV file makes text of a whole column."""
    texts = []
    for position, value in enumerate(values.array):
        number = isinstance(value, numbers.Real | Decimal | np.bool_)
        if not number and not (pd.api.types.is_scalar(value) and pd.isna(value)):
            if not isinstance(value, str) or not _reads_as_number(value):
                return position
            texts.append(position)
    return texts[0] if texts else 0


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _value_error(
    values: pd.Series,
    position: int,
    items: pd.Series | None,
    error: type[FrameError],
    message: str,
) -> FrameError:
    series = None if items is None else items.iloc[position]
    row, value = values.index[position], values.iloc[position]
    named = "" if items is None else f"series {show(series)}, "
    return error(
        f"{named}row {show(row)}, column {show(values.name)}: {message}",
        series=series,
        column=values.name,
        row=row,
        value=value,
    )


def _list(names: Sequence[Hashable]) -> str:
    shown = ", ".join(show(name) for name in names[:12])
    return shown + (f", ... ({len(names)} in all)" if len(names) > 12 else "") if names else "none"
