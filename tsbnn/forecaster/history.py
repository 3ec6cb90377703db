"""Rows that are known so far, and new ones behind them."""

from __future__ import annotations

import pandas as pd

from tsbnn.datasets import FrameSchema
from tsbnn.datasets.columns import as_table, take


def joined(
    old: pd.DataFrame | pd.Series, new: pd.DataFrame | pd.Series, schema: FrameSchema
) -> pd.DataFrame:
    """Both frames below one another; new rows replace old ones that had no target yet.

    Parameters
    ----------
    old, new
        Frames with the columns of ``schema``.
    """
    return pd.concat([replaced(old, new, schema), as_table(new, schema.target, "df")])


def replaced(
    old: pd.DataFrame | pd.Series, new: pd.DataFrame | pd.Series, schema: FrameSchema
) -> pd.DataFrame:
    """The old frame without the rows that had no target yet and are there anew."""
    old, new = (as_table(df, schema.target, "df") for df in (old, new))
    was_open = take(old, schema.target, "target").isna().to_numpy()
    return old[~(was_open & _keys(old, schema).isin(_keys(new, schema)))]


def _keys(table: pd.DataFrame, schema: FrameSchema) -> pd.Index:
    """What tells rows apart: series and timestamp."""
    stamps = table.index if schema.timestamp is None else take(table, schema.timestamp, "timestamp")
    if schema.item_id is None:
        return pd.Index(stamps)
    return pd.MultiIndex.from_arrays([take(table, schema.item_id, "item_id"), stamps])
