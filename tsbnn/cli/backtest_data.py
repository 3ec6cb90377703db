"""What a backtest is about: a registered dataset, or a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsbnn.cli.errors import UsageError
from tsbnn.cli.options import Format
from tsbnn.cli.output import STREAM
from tsbnn.cli.tables import about, name_of, read_table

if TYPE_CHECKING:
    from tsbnn.datasets import FrameDataset

#: Windows per series of a file whose user names no number.
_FILE_WINDOWS = 5
_OPTIONS = {"known_covariates": "covariates", "static_features": "static"}


@dataclass
class BacktestData:
    """What is to be forecast, and how."""

    name: str
    dataset: FrameDataset
    prediction_length: int
    windows: int
    season: int | None
    training: FrameDataset | None = None
    units: dict[str, str] = field(default_factory=dict)


def backtest_data(
    name: str,
    windows: int | None,
    prediction_length: int | None,
    season: int | None,
    columns: dict[str, Any],
    stream: Format,
) -> BacktestData:
    """A registered dataset by its name, or a file by its path."""
    from tsbnn.datasets import from_frame, load, specs

    path, registered = Path(name), specs()
    given = {key: value for key, value in columns.items() if value}
    if name in registered:
        if given:
            first = next(iter(given))
            option = _OPTIONS.get(first, first).replace("_", "-")
            raise UsageError(f"--{option} is about a file, and {name} is a registered dataset")
        loaded = load(name)
        as_registered = (prediction_length or loaded.prediction_length) == loaded.prediction_length
        as_registered &= (windows or loaded.windows) == loaded.windows
        return BacktestData(
            name,
            loaded.dataset,
            prediction_length or loaded.prediction_length,
            windows or loaded.windows,
            season or loaded.season,
            # Other windows than the registered ones: series train up to their first one.
            training=loaded.training if as_registered else None,
            units=dict(loaded.spec.units),
        )
    if path != STREAM and not path.suffix and not path.exists() and len(path.parts) == 1:
        raise UsageError(
            f"--dataset {name}: no dataset has this name; there are {', '.join(registered)}; "
            "or name a CSV or Parquet file"
        )
    if prediction_length is None:
        raise UsageError(
            f"--prediction-length is needed: how many steps of {name_of(path)} to forecast"
        )
    table = read_table(path, stream, given.get("item_id"))
    with about(path):
        frame = from_frame(table, **given).training
    shortest = int(frame.lengths.min())
    fitting = max(1, min(_FILE_WINDOWS, shortest // (2 * prediction_length)))
    label = "data" if path == STREAM else path.stem
    return BacktestData(label, frame, prediction_length, windows or fitting, season)
