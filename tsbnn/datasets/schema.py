"""What the columns of a frame are: named once, and kept with the model that was trained on them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pandas as pd

#: Names that need not be told: ours, then those of Nixtla's libraries.
ITEM_IDS, TIMESTAMPS, TARGETS = ("item_id", "unique_id"), ("timestamp", "ds"), ("target", "y")


@dataclass(frozen=True)
class FrameSchema:
    """Columns and frequency of a frame, as arguments of :func:`tsbnn.datasets.from_frame`.

    Attributes
    ----------
    freq
        Alias of the frequency.
    target
        Column that is forecast.
    timestamp
        Column or index level of dates; None for an index without a name.
    item_id
        Column that tells series apart; None for a single series.
    known_covariates, past_covariates, static_features
        Columns of features, in the network's order.
    static_categories
        The categories of each categorical static feature, in the order of their codes.
    fill_covariates
        Whether covariates are carried over gaps.
    """

    freq: str
    target: Hashable = "target"
    timestamp: Hashable = "timestamp"
    item_id: Hashable = "item_id"
    known_covariates: tuple[Hashable, ...] = ()
    past_covariates: tuple[Hashable, ...] = ()
    static_features: tuple[Hashable, ...] = ()
    static_categories: Mapping[Hashable, tuple[Any, ...]] = field(default_factory=dict)
    fill_covariates: bool = False

    def arguments(self, **others: Hashable) -> dict[str, Any]:
        """Arguments of ``from_frame``, some of them replaced where others are given."""
        given = {name: value for name, value in others.items() if value is not None}
        return {item.name: getattr(self, item.name) for item in fields(self)} | given

    def to_dict(self) -> dict[str, Any]:
        """In JSON terms, as far as the names of columns and categories are."""
        described = asdict(self)
        # Keys of JSON objects are text, and columns may be numbers.
        described["static_categories"] = [
            [name, list(categories)] for name, categories in self.static_categories.items()
        ]
        for name in ("known_covariates", "past_covariates", "static_features"):
            described[name] = list(described[name])
        return described

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> FrameSchema:
        """Read what :meth:`to_dict` wrote."""
        found = dict(described)
        found["static_categories"] = {
            name: tuple(categories) for name, categories in described["static_categories"]
        }
        for name in ("known_covariates", "past_covariates", "static_features"):
            found[name] = tuple(found[name])
        return cls(**found)


def find_item_id(table: pd.DataFrame, item_id: Hashable) -> Hashable:
    """The column or index level that tells series apart, None if there is none."""
    return item_id if item_id is not None else _first(table, ITEM_IDS)


def find_target(df: object, target: Hashable) -> Hashable:
    """The column to forecast, by its usual names if none is given."""
    if target is not None or not isinstance(df, pd.DataFrame):
        return "target" if target is None else target
    return next((name for name in TARGETS if name in df.columns), "target")


def find_timestamp(table: pd.DataFrame, timestamp: Hashable) -> Hashable:
    """The column or index level that holds the timestamps; None for an index without a name."""
    if timestamp is not None:
        return timestamp
    if isinstance(table.index, pd.DatetimeIndex | pd.PeriodIndex):
        return table.index.name
    levels = table.index.nlevels if isinstance(table.index, pd.MultiIndex) else 0
    for number in range(levels):
        dtype = table.index.get_level_values(number).dtype
        if pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
            return table.index.names[number]
    return _first(table, TIMESTAMPS) or "timestamp"


def _first(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if n in table.columns or n in table.index.names), None)
