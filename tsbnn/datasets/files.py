"""Reading a user's own table from a file."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from tsbnn.datasets.errors import FrameFileError
from tsbnn.datasets.schema import ITEM_IDS


def read_frame(path: str | os.PathLike[str], item_id: str | None = None) -> pd.DataFrame:
    """Read a table from a CSV file (.csv, .tsv, .txt, also compressed) or a Parquet file.

    Columns in a CSV file are separated by commas, semicolons or tabs, as its first line shows;
    where they are not commas, numbers such as 1,5 have a decimal comma. A first line ``sep=;``, as
    Excel writes it, counts.

    Parameters
    ----------
    path
        The file.
    item_id
        The column that tells series apart, by default ``item_id`` or ``unique_id``. In a CSV file
        it stays text where numbers would lose something of it: 007 is not 7.

    Returns
    -------
    pandas.DataFrame
        Its rows; timestamps of a CSV file are text, which :func:`~tsbnn.datasets.from_frame` reads.

    Raises
    ------
    FrameFileError
        If the file is absent, of another kind, empty, or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FrameFileError(f"{path} {what}; a CSV or Parquet file is needed")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = (
        suffixes[-2]
        if len(suffixes) > 1 and suffixes[-1] in _COMPRESSED
        else (suffixes or [""])[-1]
    )
    if kind in (".parquet", ".pq"):
        return _read_parquet(path)
    if kind not in (".csv", ".tsv", ".txt"):
        raise FrameFileError(
            f"{path}: its name does not say what it holds; .csv, .tsv, .txt (also .gz, .bz2, .xz, "
            ".zst, .zip) and .parquet are read. Other tables: read them with pandas and use "
            "from_frame."
        )
    try:
        header = pd.read_csv(
            path, header=None, nrows=1, sep="\x00", quoting=csv.QUOTE_NONE, dtype=str
        )
        frame = _read_csv(path, str(header.iat[0, 0]), ITEM_IDS if item_id is None else (item_id,))
    except pd.errors.EmptyDataError:
        raise FrameFileError(f"{path} is empty; its first line must name the columns") from None
    except (pd.errors.ParserError, UnicodeDecodeError, OSError, EOFError) as error:
        raise FrameFileError(f"{path} cannot be read as CSV: {str(error).strip()}") from error
    if frame.empty:
        raise FrameFileError(f"{path} has no rows below its header {list(frame.columns)}")
    return frame


_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")


def _separator(header: str) -> str:
    return max((",", ";", "\t"), key=header.count)


def _read_csv(path: Path, first_line: str, ids: Iterable[str]) -> pd.DataFrame:
    told = re.fullmatch(r'"?sep=(.)"?', first_line)
    separator = told[1] if told else _separator(first_line)

    def read(**options: Any) -> pd.DataFrame:
        # Without an index column: a separator at the end of each row would make one of the first.
        rest: dict[str, Any] = {"index_col": False, "skiprows": 1 if told else 0, **options}
        table: pd.DataFrame = pd.read_csv(path, sep=separator, **rest)
        return table

    frame = read()
    if separator != ",":
        with_commas = read(decimal=",")
        numbers = [len(table.select_dtypes("number").columns) for table in (frame, with_commas)]
        frame = with_commas if numbers[1] > numbers[0] else frame
    for name in ids:
        if name in frame and pd.api.types.is_numeric_dtype(frame[name]):
            text = read(usecols=[name], dtype=str)[name]
            if (text != frame[name].astype(str))[text.notna()].any():
                frame[name] = text
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    if not any(importlib.util.find_spec(engine) for engine in ("pyarrow", "fastparquet")):
        raise FrameFileError(
            f"{path}: reading Parquet needs pyarrow; pip install 'tsbnn[parquet]', or use a CSV "
            "file"
        )
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise FrameFileError(f"{path} cannot be read as Parquet: {error}") from error
