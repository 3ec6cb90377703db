"""Forecasts and actual values side by side: columns found, series and dates matched."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsbnn.cli.errors import BadDataError
from tsbnn.cli.forecast_frames import Array, Forecasts, read_forecasts
from tsbnn.cli.options import Format
from tsbnn.cli.output import STREAM
from tsbnn.cli.tables import about, name_of, read_table

if TYPE_CHECKING:
    import pandas as pd

    from tsbnn.datasets import FrameDataset


@dataclass(frozen=True)
class Names:
    """Columns as options name them; None where they are to be found."""

    item_id: str | None
    timestamp: str | None
    target: str | None


@dataclass
class Table:
    """A table with its columns found.

    Attributes
    ----------
    frame
        The rows.
    keys
        One row each: ``item`` (text), ``stamp``, and ``cutoff`` where forecasts were made at
        several times.
    target
        The column of actual values.
    zone
        The time zone of the timestamps, None for none.
    ignored
        Columns of numbers that are no forecasts.
    """

    frame: pd.DataFrame
    keys: pd.DataFrame
    item_id: Hashable
    timestamp: Hashable
    target: Hashable
    zone: Any = None
    ignored: tuple[str, ...] = ()

    @property
    def values(self) -> Array:
        """Actual values, ``rows``."""
        from tsbnn.datasets import TargetError
        from tsbnn.datasets.columns import read_numbers, take

        column = take(self.frame, self.target, "target")
        ids = None if self.item_id is None else self.frame[self.item_id]
        return read_numbers(column, "target", TargetError, ids, "NaN where missing")

    def in_zone(self, zone: Any) -> Table:
        """The same on the clock of another zone, if both have one."""
        if zone is None or self.zone is None:
            return self
        stamps = self.keys["stamp"].dt.tz_localize(self.zone).dt.tz_convert(zone)
        return replace(self, keys=self.keys.assign(stamp=stamps.dt.tz_localize(None)), zone=zone)

    def without_repetition(self) -> Table:
        """The same with one row for each series and time: actual values of all cutoffs."""
        first = ~self.keys.duplicated(["item", "stamp"]).to_numpy()
        keys = self.keys.loc[first, ["item", "stamp"]].reset_index(drop=True)
        return replace(self, frame=self.frame[first], keys=keys)


def open_forecasts(path: Path, stream: Format, names: Names) -> tuple[Table, list[Forecasts]]:
    """Read forecasts from a file or standard input.

    Raises
    ------
    BadDataError
        If a row is there twice, or a lower bound above an upper one; naming file, row and series.
    """
    frame = read_table(path, stream, names.item_id)
    with about(path):
        table = _table(frame, names)
        places = [table.item_id, table.timestamp, "cutoff"]
        places = [place for place in places if place in frame]
        name = "forecast" if path == STREAM else path.name.partition(".")[0]
        try:
            rows, models, ignored = read_forecasts(frame, places, table.target, name)
        except BadDataError as error:
            raise BadDataError(f"{name_of(path)}: {error}") from error
        table = replace(_table(rows, names), ignored=tuple(ignored))
        twice = table.keys.duplicated()
        if twice.any():
            first = int(np.flatnonzero(twice)[0])
            raise BadDataError(
                f"{name_of(path)}: row {rows.index[first]}: {_place(table, first)} has two "
                "forecasts; forecasts made at several times need a column cutoff that tells them "
                "apart"
            )
        for model in models:
            if crossed := model.crossed():
                low, high, row = crossed
                lower, upper = (model.columns[column][0][row] for column in (low, high))
                raise BadDataError(
                    f"{name_of(path)}: row {rows.index[row]}: {_place(table, row)}: the lower "
                    f"bound in column {low!r}, {lower:g}, is above the upper one in column "
                    f"{high!r}, {upper:g}: is one called like the other?"
                )
    return table, models


def check_complete(path: Path, table: Table, models: list[Forecasts], actual: Array) -> None:
    """Make sure that there is a forecast wherever there is an actual value.

    Parameters
    ----------
    path
        The file of the forecasts, for messages.
    table, models
        What :func:`open_forecasts` read from it.
    actual
        The actual values, ``rows``, NaN where there is none.

    Raises
    ------
    BadDataError
        Naming file, row, series, time and column of the first one that is missing or infinite.
    """
    from tsbnn.datasets.rows import others

    known = ~np.isnan(actual)
    for model in models:
        for column, (values, labels) in model.columns.items():
            wrong = ~np.isfinite(values)
            wrong[~known] = False
            if not wrong.any():
                continue
            place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            what = "missing" if np.isnan(values[place]) else "infinite"
            raise BadDataError(
                f"{name_of(path)}: row {labels[place]}: {_place(table, int(place[0]))}: column "
                f"{column!r}: the forecast is {what}{others(int(wrong.sum()), 'values')}, and "
                "there is an actual value: fill it in, or leave out the row or the column"
            )


def open_actuals(path: Path, stream: Format, names: Names, zone: Any = None) -> Table:
    """Read actual values from a file or standard input; on the clock of the forecasts' zone."""
    frame = read_table(path, stream, names.item_id)
    with about(path):
        table = _table(frame, names)
        twice = table.keys.duplicated()
        if twice.any():
            first = int(np.flatnonzero(twice)[0])
            raise BadDataError(
                f"{name_of(path)}: row {frame.index[first]}: {_place(table, first)} is there twice"
            )
    return table.in_zone(zone)


def matched(forecasts: Table, actuals: Table) -> Array:
    """The actual value of each row of forecasts, NaN where there is none."""
    known = actuals.keys[["item", "stamp"]].assign(value=actuals.values)
    wanted = forecasts.keys[["item", "stamp"]]
    return wanted.merge(known, on=["item", "stamp"], how="left")["value"].to_numpy(np.float64)


def no_match(forecasts: Table, actuals: Table, files: tuple[Path, Path]) -> BadDataError:
    """Say why nothing matched: other series, or other dates."""
    theirs, ours = (set(table.keys["item"]) for table in (actuals, forecasts))
    if not theirs & ours:
        found = f"series {sorted(ours)[0]!r} against {sorted(theirs)[0]!r}"
    else:
        spans = (
            f"{table.keys['stamp'].min()} to {table.keys['stamp'].max()}"
            for table in (forecasts, actuals)
        )
        found = " against ".join(spans)
    return BadDataError(
        f"no row of {name_of(files[0])} has an actual value in {name_of(files[1])}: {found}"
    )


def history_of(path: Path, stream: Format, names: Names, freq: str | None) -> FrameDataset:
    """Read actual values from a file or standard input, on a regular grid."""
    frame = read_table(path, stream, names.item_id)
    with about(path):
        return dataset_of(_table(frame, names), freq)


def dataset_of(table: Table, freq: str | None) -> FrameDataset:
    """Actual values on a regular grid, without covariates."""
    import pandas as pd

    from tsbnn.datasets import from_frame

    columns = {"timestamp": table.keys["stamp"].to_numpy(), "target": table.values}
    if table.item_id is not None:
        columns["item_id"] = table.keys["item"].to_numpy()
    frame = pd.DataFrame(columns, index=table.frame.index)
    return from_frame(frame, item_id="item_id" if table.item_id is not None else None, freq=freq)


def _there(frame: pd.DataFrame, name: str | None) -> str | None:
    return name if name in frame else None


def _table(frame: pd.DataFrame, names: Names) -> Table:
    import pandas as pd

    from tsbnn.datasets.columns import take
    from tsbnn.datasets.schema import find_item_id, find_target, find_timestamp
    from tsbnn.datasets.timestamps import read_timestamps

    # A name that one table only has leaves the other one's columns to be found.
    item_id = find_item_id(frame, _there(frame, names.item_id)) or names.item_id
    timestamp = find_timestamp(frame, _there(frame, names.timestamp))
    if timestamp not in frame and names.timestamp is not None:
        timestamp = names.timestamp
    ids = None if item_id is None else take(frame, item_id, "item_id")
    stamps, _, zone = read_timestamps(take(frame, timestamp, "timestamp"), ids)
    keys: dict[str, Any] = {
        "item": np.full(len(frame), "") if ids is None else ids.astype(str).to_numpy(),
        "stamp": stamps,
    }
    if "cutoff" in frame:
        keys["cutoff"] = read_timestamps(frame["cutoff"], ids).stamps
    target = find_target(frame, names.target)
    return Table(frame, pd.DataFrame(keys), item_id, timestamp, target, zone)


def _place(table: Table, row: int) -> str:
    item, stamp = table.keys["item"].iloc[row], table.keys["stamp"].iloc[row]
    return f"series {item!r}, {stamp}" if table.item_id is not None else str(stamp)
