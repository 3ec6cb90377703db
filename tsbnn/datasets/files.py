"""Where data files lie, whether they are the right ones, and reading a user's own table."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tsbnn.datasets.errors import DatasetFileError, FrameFileError
from tsbnn.datasets.spec import DataFile, Spec

DATA_DIR_VARIABLE = "TSBNN_DATA_DIR"


def bundled_folder() -> Path:
    """The folder of the bundled series: ``tsbnn/_data`` in a wheel, ``data`` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"


def find_files(spec: Spec, root: str | os.PathLike[str] | None = None) -> list[Path]:
    """The files of a dataset, each checked against its registered sha256.

    Parameters
    ----------
    spec
        The dataset.
    root
        Folder to look in; None takes the bundled folder for bundled sets, and for the others the
        one that the environment variable ``TSBNN_DATA_DIR`` names.

    Returns
    -------
    list of pathlib.Path
        One path per file, in the order of ``spec.files``.

    Raises
    ------
    DatasetFileError
        If a file is absent or altered; the message names file, folder and source.
    """
    if root is not None:
        folder, origin = Path(root), "the folder given"
    elif spec.bundled:
        folder, origin = bundled_folder(), "the folder of the bundled series"
    elif os.environ.get(DATA_DIR_VARIABLE):
        folder, origin = Path(os.environ[DATA_DIR_VARIABLE]), DATA_DIR_VARIABLE
    else:
        file = spec.files[0]
        raise DatasetFileError(
            f"dataset {spec.name!r} is not bundled, and {DATA_DIR_VARIABLE} is not set. Download "
            f"{_downloads(spec.files)}, then set {DATA_DIR_VARIABLE} to FOLDER (or pass it as "
            "root).",
            file=file.path,
            folder=None,
            url=file.url,
        )
    return [_check(spec, file, folder, origin) for file in spec.files]


def _check(spec: Spec, file: DataFile, folder: Path, origin: str) -> Path:
    path = folder / file.path
    again = (
        "reinstall tsbnn, or restore the file"
        if spec.bundled
        else f"download {file.url} to {path}, unchanged"
    )
    if not path.is_file():
        raise DatasetFileError(
            f"dataset {spec.name!r}: the file {file.path} is absent from {folder} ({origin}). It "
            f"comes from {file.url}; {again}.",
            file=file.path,
            folder=folder,
            url=file.url,
        )
    found = sha256(path)
    if found != file.sha256:
        raise DatasetFileError(
            f"dataset {spec.name!r}: the file {file.path} in {folder} ({origin}) is not the "
            f"registered one: its sha256 is {found}, registered is {file.sha256}. It comes from "
            f"{file.url}; {again}.",
            file=file.path,
            folder=folder,
            url=file.url,
        )
    return path


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloads(files: Sequence[DataFile]) -> str:
    return " and ".join(f"{file.url} to FOLDER/{file.path}" for file in files)


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table from a CSV file (.csv, .tsv, .txt, also compressed) or a Parquet file.

    Columns in a CSV file are separated by commas, semicolons or tabs, as its first line shows;
    where they are not commas, numbers such as 1,5 have a decimal comma.

    Parameters
    ----------
    path
        The file.

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
        frame = _read_csv(path, _separator(str(header.iat[0, 0])))
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


def _read_csv(path: Path, separator: str) -> pd.DataFrame:
    frame = pd.read_csv(path, sep=separator)
    if separator == ",":
        return frame
    with_commas = pd.read_csv(path, sep=separator, decimal=",")
    numbers = [len(table.select_dtypes("number").columns) for table in (frame, with_commas)]
    return with_commas if numbers[1] > numbers[0] else frame


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
