"""A frame as a GluonTS dataset: series in flat arrays, cut into entries when asked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.frequencies import Frequency
from tsbnn.datasets.places import Places
from tsbnn.datasets.schema import FrameSchema


class ColumnNames(NamedTuple):
    """Names of a frame's own columns; None for no ids, and for an index of dates without a name."""

    item_id: Hashable = "item_id"
    timestamp: Hashable = "timestamp"
    target: Hashable = "target"


@dataclass(frozen=True, eq=False)
class FrameDataset:
    """Regular time series, ready for GluonTS estimators.

    Iterating gives one entry (dict) per series, in sorted order of the ids: ``item_id`` (only if
    the frame has ids), ``start`` (pandas.Period), ``target`` (float32, NaN where nothing was
    observed), ``feat_dynamic_real`` (float32, ``num_known x (steps + horizon)``),
    ``past_feat_dynamic_real`` (float32, ``num_past x steps``), ``feat_static_cat`` (int64),
    ``feat_static_real`` (float32), and ``info``; features only where there are any. Arrays are
    fresh copies.

    GluonTS estimators train on entries whose covariates end with the target, see :attr:`training`,
    and forecast from entries whose covariates go on through the horizon.

    Attributes
    ----------
    frequency
        The grid of all series.
    item_ids
        Ids in the order of the entries; ``[None]`` for a frame without ids.
    known_covariates
        Names of the rows of ``feat_dynamic_real``.
    past_covariates
        Names of the rows of ``past_feat_dynamic_real``.
    static_categories
        For each categorical static feature its categories in the order of their codes; pass it to
        ``from_frame(..., static_categories=...)`` so that later frames get the same codes.
    static_reals
        Names of the columns of ``feat_static_real``.
    columns
        Names of the columns of ids, timestamps and targets.
    fill_covariates
        Whether covariates were carried over gaps.
    time_zone
        The time zone of the frame's timestamps, None for none.
    """

    frequency: Frequency
    item_ids: list[Any]
    _first: NDArray[np.int64] = field(repr=False)
    _offset: NDArray[np.int64] = field(repr=False)
    _steps: NDArray[np.int64] = field(repr=False)
    _length: NDArray[np.int64] = field(repr=False)
    _horizon: NDArray[np.int64] = field(repr=False)
    _places: Places = field(repr=False)
    _target: NDArray[np.float32] = field(repr=False)
    _known: NDArray[np.float32] = field(repr=False)
    _past: NDArray[np.float32] = field(repr=False)
    _codes: NDArray[np.int64] = field(repr=False)
    _numbers: NDArray[np.float32] = field(repr=False)
    known_covariates: tuple[Hashable, ...] = ()
    past_covariates: tuple[Hashable, ...] = ()
    static_categories: Mapping[Hashable, tuple[Any, ...]] = field(default_factory=dict)
    static_reals: tuple[Hashable, ...] = ()
    columns: ColumnNames = field(default_factory=ColumnNames)
    fill_covariates: bool = False
    time_zone: Any = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def freq(self) -> str:
        """The frequency's alias, for GluonTS's ``freq`` arguments."""
        return self.frequency.alias

    @property
    def num_feat_dynamic_real(self) -> int:
        """Number of known covariates."""
        return len(self.known_covariates)

    @property
    def num_past_feat_dynamic_real(self) -> int:
        """Number of past covariates."""
        return len(self.past_covariates)

    @property
    def num_feat_static_cat(self) -> int:
        """Number of categorical static features."""
        return len(self.static_categories)

    @property
    def num_feat_static_real(self) -> int:
        """Number of numeric static features."""
        return len(self.static_reals)

    @property
    def cardinality(self) -> list[int]:
        """Number of categories of each categorical static feature."""
        return [len(categories) for categories in self.static_categories.values()]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each target, ``num_series``."""
        return self._length.copy()

    @property
    def horizons(self) -> NDArray[np.int64]:
        """Steps that each series' known covariates go beyond its target, ``num_series``."""
        return self._horizon.copy()

    @property
    def training(self) -> FrameDataset:
        """The same series with covariates that end with the target, as training needs them."""
        return replace(self, _horizon=np.zeros_like(self._horizon))

    @property
    def schema(self) -> FrameSchema:
        """What later frames need to become datasets of the same kind."""
        return FrameSchema(
            freq=self.freq,
            **self.columns._asdict(),
            known_covariates=self.known_covariates,
            past_covariates=self.past_covariates,
            static_features=(*self.static_categories, *self.static_reals),
            static_categories=self.static_categories,
            fill_covariates=self.fill_covariates,
        )

    def timestamps(self, first: int, count: int) -> NDArray[np.datetime64]:
        """Timestamps of steps counted from each target's end, as the frame writes them.

        Parameters
        ----------
        first
            The first step; 0 is the one after the last, -1 the last one of the target.
        count
            Number of steps.

        Returns
        -------
        numpy.ndarray
            datetime64[ns], ``num_series x count``. Month ends stay month ends, 09:00 stays 09:00.
        """
        steps = self._length[:, None] + np.arange(first, first + count)
        ordinals = self._first[:, None] + self.frequency.n * steps
        return self._places.timestamps(self.frequency, ordinals)

    def targets(self, first: int, count: int) -> NDArray[np.float32]:
        """Targets at steps counted as in :meth:`timestamps`, ``num_series x count``.

        Those beyond the end are there if this dataset was cut by :meth:`without_last`.
        """
        steps = self._length[:, None] + np.arange(first, first + count)
        slots = self._offset[:, None] + steps
        inside = (steps >= 0) & (steps < self._steps[:, None])
        return np.where(inside, self._target[np.where(inside, slots, 0)], np.float32(np.nan))

    def subset(self, numbers: NDArray[np.integer]) -> FrameDataset:
        """The series of these numbers, in their order; a view of the same arrays."""
        cut = {
            name: getattr(self, name)[numbers]
            for name in ("_first", "_offset", "_steps", "_length", "_horizon", "_codes", "_numbers")
        }
        items = [self.item_ids[number] for number in numbers]
        places = Places(self._places.reading[numbers], self._places.number[numbers])
        return replace(self, item_ids=items, _places=places, **cut)

    def without_last(self, steps: int, horizon: int = 0) -> FrameDataset:
        """The same series without their last ``steps`` steps, targets and covariates alike.

        Parameters
        ----------
        steps
            Steps to leave out, at least 0 and fewer than the shortest target has.
        horizon
            Steps for which known covariates stay beyond the new end, at most ``steps``.

        Returns
        -------
        FrameDataset
            A view: it shares this dataset's arrays.

        Raises
        ------
        ValueError
            If a series would have no step left.
        """
        shortest = int(np.argmin(self._length))
        if steps < 0 or steps >= self._length[shortest]:
            raise ValueError(
                f"steps={steps}: series {self.item_ids[shortest]!r} has {self._length[shortest]} "
                "steps, and at least one must stay; steps must be between 0 and one less than "
                "that"
            )
        if not 0 <= horizon <= steps:
            raise ValueError(f"horizon={horizon} must be between 0 and steps={steps}")
        return replace(
            self, _length=self._length - steps, _horizon=np.full_like(self._horizon, horizon)
        )

    def __len__(self) -> int:
        return len(self.item_ids)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._entry, range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One entry, by its place."""
        return self._entry(range(len(self))[index])

    def __repr__(self) -> str:
        parts = [f"{len(self)} series", f"{int(self._length.sum())} steps", f"freq={self.freq!r}"]
        for name, value in (
            ("known_covariates", self.known_covariates),
            ("past_covariates", self.past_covariates),
            ("static", (*self.static_categories, *self.static_reals)),
        ):
            if value:
                parts.append(f"{name}={list(value)}")
        return f"FrameDataset({', '.join(parts)})"

    @cached_property
    def _periods(self) -> dict[int, pd.Period]:
        """Period of each start that occurs: series often begin together."""
        return {int(first): self.frequency.period(first) for first in np.unique(self._first)}

    def _entry(self, i: int) -> dict[str, Any]:
        begin = self._offset[i]
        target = self._target[begin : begin + self._length[i]].copy()
        entry: dict[str, Any] = {
            "start": self._periods[int(self._first[i])],
            "target": target,
            "info": {**self.info, "missing": int(np.isnan(target).sum())},
        }
        if self.item_ids[i] is not None:
            entry["item_id"] = self.item_ids[i]
        if self.known_covariates:
            end = begin + self._length[i] + self._horizon[i]
            entry["feat_dynamic_real"] = self._known[:, begin:end].copy()
        if self.past_covariates:
            end = begin + self._length[i]
            entry["past_feat_dynamic_real"] = self._past[:, begin:end].copy()
        if self.static_categories:
            entry["feat_static_cat"] = self._codes[i].copy()
        if self.static_reals:
            entry["feat_static_real"] = self._numbers[i].copy()
        return entry
