"""Write the bundled CSV files from the PyPI packages that hold the sources.

Run from anywhere, with vega_datasets and statsmodels installed: ``python data/export.py [FOLDER]``.
The result is the same bytes every time; ``sha256sum`` of the files is in README.md and in
tsbnn/datasets/registry.py. Every file is tidy: one row per series and time step, with the columns
item_id, timestamp, target.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd

WEATHER = ("temp_max", "temp_min", "wind", "precipitation")
MACRO = (
    "realgdp",
    "realcons",
    "realinv",
    "realgovt",
    "realdpi",
    "cpi",
    "m1",
    "tbilrate",
    "unemp",
)


def seattle_weather() -> pd.DataFrame:
    """Four daily series; the column of weather types is left out."""
    from vega_datasets import data

    table = data.seattle_weather()
    return long(table.set_index(pd.to_datetime(table["date"]))[list(WEATHER)])


def co2() -> pd.DataFrame:
    """Weekly CO2; weeks without a measurement stay, with an empty target."""
    import statsmodels.datasets.co2 as source

    return long(source.load_pandas().data)


def elnino() -> pd.DataFrame:
    """Monthly sea-surface temperature: the table of years by months laid out in time."""
    import statsmodels.datasets.elnino as source

    table = source.load_pandas().data.set_index("YEAR")
    start = pd.Timestamp(int(table.index[0]), 1, 1)
    index = pd.date_range(start, periods=table.size, freq="MS")
    return long(pd.DataFrame({"sst": table.to_numpy().ravel()}, index=index))


def us_macro() -> pd.DataFrame:
    """Nine quarterly series, dated by the first day of the quarter.

    Left out: population (interpolated), and inflation and the real interest rate (computed from
    others).
    """
    import statsmodels.datasets.macrodata as source

    table = source.load_pandas().data
    start = pd.Timestamp(int(table["year"].iloc[0]), 3 * int(table["quarter"].iloc[0]) - 2, 1)
    table.index = pd.date_range(start, periods=len(table), freq="QS")
    return long(table[list(MACRO)])


def long(table: pd.DataFrame) -> pd.DataFrame:
    """Columns below one another, dates as text."""
    return pd.DataFrame(
        {
            "item_id": np.repeat(np.asarray(table.columns, dtype=object), len(table)),
            "timestamp": np.tile(
                pd.DatetimeIndex(table.index).strftime("%Y-%m-%d"), table.shape[1]
            ),
            "target": table.to_numpy().ravel(order="F"),
        }
    )


SETS = (seattle_weather, co2, elnino, us_macro)


def main() -> None:
    """Write all files and print their sha256."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for make in SETS:
        path = folder / f"{make.__name__}.csv"
        make().to_csv(path, index=False, lineterminator="\n")
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)


if __name__ == "__main__":
    main()
