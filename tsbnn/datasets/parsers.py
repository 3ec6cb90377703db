"""From the registered files to tidy frames: item_id, timestamp, target, covariates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

EXCHANGE_RATES = ("AUD", "GBP", "CAD", "CHF", "CNY", "JPY", "NZD", "SGD")
EXCHANGE_RATE_ROWS = 6221
ETT_ROWS = 14400
VIC_HELD_OUT_HOURS = 2 * 8 * 7 * 24
MELBOURNE_STANDARD_TIME = pd.Timedelta(hours=10)


def tidy(paths: Sequence[Path]) -> pd.DataFrame:
    """The bundled files, which are tidy already."""
    return pd.read_csv(paths[0], parse_dates=["timestamp"])


def exchange_rate(paths: Sequence[Path]) -> pd.DataFrame:
    """Columns of eight currencies, dated as business days from 1990-01-01 as GluonTS does.

    The file has no dates. Currencies are in the order that the source states.
    """
    table = pd.read_csv(paths[0], header=None, names=list(EXCHANGE_RATES)).iloc[:EXCHANGE_RATE_ROWS]
    table.index = pd.bdate_range("1990-01-01", periods=len(table))
    return _long(table)


def ett(paths: Sequence[Path]) -> pd.DataFrame:
    """Seven channels of a transformer station as separate series, first 20 months of 30 days."""
    table = pd.read_csv(paths[0], index_col="date", parse_dates=True)
    return _long(table.iloc[:ETT_ROWS])


def m4(paths: Sequence[Path]) -> pd.DataFrame:
    """Training and test part of each series laid together.

    Starts are all set to 1750-01-01 00:00, as GluonTS does: the competition's own clock times are
    not in these files.
    """
    train, test = (pd.read_csv(path, index_col=0) for path in paths)
    if list(train.index) != list(test.index):
        raise ValueError(f"the series of {paths[0]} and of {paths[1]} are not the same")
    frames = []
    for item, past, future in zip(
        train.index, train.to_numpy(np.float64), test.to_numpy(np.float64), strict=True
    ):
        values = np.concatenate([past[~np.isnan(past)], future])
        stamps = pd.date_range("1750-01-01", periods=len(values), freq=pd.Timedelta(hours=1))
        frames.append(pd.DataFrame({"item_id": item, "timestamp": stamps, "target": values}))
    return pd.concat(frames, ignore_index=True)


def vic_electricity(paths: Sequence[Path]) -> pd.DataFrame:
    """Hourly means of demand (MW) and temperature, and a holiday flag.

    In Melbourne's standard time (UTC+10) all year, since
    a clock that changes is no regular grid. The temperature is
    standardised by mean and standard deviation (ddof=0) before the validation range.
    """
    table = pd.read_csv(paths[0])
    stamps = pd.to_datetime(table["Time"], format="ISO8601", utc=True).dt.tz_localize(None)
    values = pd.DataFrame(
        {
            "target": table["Demand"],
            "temperature": table["Temperature"],
            "holiday": table["Holiday"].astype(float),
        }
    )
    hourly = values.groupby((stamps + MELBOURNE_STANDARD_TIME).dt.floor("h").to_numpy()).mean()
    known = hourly["temperature"].iloc[:-VIC_HELD_OUT_HOURS]
    hourly["temperature"] = (hourly["temperature"] - known.mean()) / known.std(ddof=0)
    hourly.insert(0, "timestamp", hourly.index)
    hourly.insert(0, "item_id", "demand")
    return hourly.reset_index(drop=True)


def nyc_taxi(paths: Sequence[Path]) -> pd.DataFrame:
    """Passengers per half hour."""
    table = pd.read_csv(paths[0], parse_dates=["timestamp"])
    table = table.rename(columns={"value": "target"})
    table.insert(0, "item_id", "passengers")
    return table


def _long(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": np.repeat(np.asarray(table.columns, dtype=object), len(table)),
            "timestamp": np.tile(table.index.to_numpy(), table.shape[1]),
            "target": table.to_numpy(np.float64).ravel(order="F"),
        }
    )
