"""Rows that are known so far, and new ones behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets import FrameSchema
from tsbnn.datasets.columns import as_table, take
from tsbnn.datasets.covariates import of_future_frame
from tsbnn.datasets.errors import DuplicateTimestampError, ItemIdError
from tsbnn.datasets.rows import others, show
from tsbnn.datasets.timestamps import read_timestamps


def joined(
    old: pd.DataFrame | pd.Series, new: pd.DataFrame | pd.Series, schema: FrameSchema
) -> pd.DataFrame:
    """Both frames below one another; new rows replace old ones that had no target yet.

    Parameters
    ----------
    old, new
        Frames with the columns of ``schema``.

    Raises
    ------
    ItemIdError
        If the ids of both are of different kinds, so that no series would go on.
    DuplicateTimestampError
        If a new row is known already; naming it.
    """
    old, new = (as_table(df, schema.target, "df") for df in (old, new))
    before, after = _keys(old, schema), _keys(new, schema)
    _check_kinds(before.item_id, after.item_id)
    was_open = take(old, schema.target, "target").isna().to_numpy()
    there, coming = pd.MultiIndex.from_frame(before), pd.MultiIndex.from_frame(after)
    _check_new(coming.isin(there[~was_open]), before[~was_open], after, new.index, schema)
    return pd.concat([old[~(was_open & there.isin(coming))], new])


def without_horizon(
    df: pd.DataFrame | pd.Series, future: pd.DataFrame | pd.Series, schema: FrameSchema
) -> pd.DataFrame:
    """The frame without the rows that the future replaces: open ones from its first row on.

    Series without a future keep all of their rows, and so do those before the future begins: their
    covariates are known.

    Parameters
    ----------
    df, future
        Frames with the columns of ``schema``; the second one has no targets.
    """
    df = as_table(df, schema.target, "df")
    future = as_table(future, schema.target, "future_covariates")
    keys = _keys(df, schema)
    with of_future_frame():
        ahead = _keys(future, schema, "future_covariates")
    is_open = take(df, schema.target, "target").isna().to_numpy()
    begin = keys.item_id.map(ahead.groupby("item_id", sort=False).stamp.min())
    return df[~(is_open & (keys.stamp >= begin).to_numpy())]


def _keys(table: pd.DataFrame, schema: FrameSchema, argument: str = "df") -> pd.DataFrame:
    """What tells rows apart, ``item_id`` and ``stamp``; one id where there are none."""
    if schema.timestamp is None:
        times = pd.Series(table.index)
    else:
        times = take(table, schema.timestamp, "timestamp", argument)
    ids = None if schema.item_id is None else take(table, schema.item_id, "item_id", argument)
    keys = pd.DataFrame({"item_id": 0, "stamp": read_timestamps(times, ids).stamps})
    if ids is not None:
        keys["item_id"] = ids.to_numpy(dtype=object)
    return keys


def _check_new(
    known: NDArray[np.bool_],
    before: pd.DataFrame,
    after: pd.DataFrame,
    labels: pd.Index,
    schema: FrameSchema,
) -> None:
    if not known.any():
        return
    place = int(np.flatnonzero(known)[0])
    item, stamp = after.item_id.iloc[place], after.stamp.iloc[place]
    last = before.stamp[(before.item_id == item).to_numpy()].max()
    series = "the series" if schema.item_id is None else f"series {show(item)}"
    raise DuplicateTimestampError(
        f"{series}, row {show(labels[place])}: the timestamp {show(stamp)} is among the rows that "
        f"fit or update had before{others(int(known.sum()), 'rows')}, and rows count once: pass "
        f"new ones only, for this series those after {show(last)}",
        series=None if schema.item_id is None else item,
        column=schema.timestamp,
        row=labels[place],
        value=stamp,
    )


def _check_kinds(old: pd.Series, new: pd.Series) -> None:
    kinds = [pd.api.types.infer_dtype(ids.unique(), skipna=True) for ids in (old, new)]
    if kinds[0] != kinds[1]:
        raise ItemIdError(
            f"the ids of df are of kind {kinds[1]} ({show(new.iloc[0])}), and those of the series "
            f"so far of kind {kinds[0]} ({show(old.iloc[0])}): no series would go on"
        )
