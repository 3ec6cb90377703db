"""Tables in and out: CSV and Parquet files, and standard streams."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tsbnn.cli.errors import BadDataError, UsageError, in_options, one_line
from tsbnn.cli.options import Format
from tsbnn.cli.output import STREAM, bytes_of, check_file, write

if TYPE_CHECKING:
    import pandas as pd

STDIN = "standard input"
_CSV, _PARQUET = (".csv", ".csv.gz"), (".parquet", ".pq")


def read_table(path: Path, stream: Format, item_id: str | None = None) -> pd.DataFrame:
    """Read a table from a file or, for ``-``, from standard input; ids stay as they are written.

    Rows of a CSV file are labelled by their lines, the header being line 1: messages speak of rows
    by these labels.

    Raises
    ------
    BadDataError
        If there is none, or it cannot be read.
    """
    from tsbnn.datasets import FrameFileError, read_frame

    if path == STREAM:
        content = sys.stdin.buffer.read()
        with tempfile.TemporaryDirectory(prefix="tsbnn-") as folder:
            file = Path(folder) / f"input.{stream.value}"
            file.write_bytes(content)
            try:
                table = read_frame(file, item_id)
            except FrameFileError as error:
                raise BadDataError(str(error).replace(str(file), STDIN)) from error
        is_csv = stream is Format.CSV
    else:
        table = read_frame(path, item_id)
        is_csv = not path.name.lower().endswith(_PARQUET)
    if is_csv:
        table.index = table.index + 2
    return table


def check_inputs(*paths: Path | None) -> None:
    """Make sure that standard input is read once only.

    Raises
    ------
    UsageError
        If two tables are to come from it.
    """
    if sum(path == STREAM for path in paths) > 1:
        raise UsageError("only one table can be read from standard input (-)")


def check_output(path: Path | None, as_json: bool, option: str = "--out") -> None:
    """Make sure that a table can be written, and is the only one on standard output.

    Raises
    ------
    UsageError
        If it cannot.
    """
    if path == STREAM and as_json:
        raise UsageError(
            f"--json and {option} - would both write to standard output: give {option} a file"
        )
    if path is not None:
        check_file(option, path, (*_CSV, *_PARQUET))


def write_table(table: pd.DataFrame, path: Path, stream: Format) -> None:
    """Write a table to a file, all or nothing, or to standard output."""
    if path == STREAM:
        parquet, compression = stream is Format.PARQUET, None
    else:
        name = path.name.lower()
        parquet, compression = name.endswith(_PARQUET), "gzip" if name.endswith(".gz") else None
    if parquet:
        try:
            content = bytes_of(lambda buffer: table.to_parquet(buffer, index=False))
        except ImportError as error:
            raise UsageError(
                "writing Parquet needs pyarrow: pip install 'tsbnn[parquet]', or write .csv"
            ) from error
    else:
        text = table.to_csv(index=False, lineterminator="\n").encode()
        content = text
        if compression:
            import gzip

            content = gzip.compress(text, mtime=0)
    write(path, content)


def name_of(path: Path) -> str:
    """What messages call an input."""
    return STDIN if path == STREAM else str(path)


@contextmanager
def about(*paths: Path | None) -> Iterator[None]:
    """Say in errors about a table's content which file it is.

    Raises
    ------
    BadDataError
        In place of a ``FrameError``.
    """
    from tsbnn.datasets import FrameError

    try:
        yield
    except FrameError as error:
        files = " and ".join(name_of(path) for path in paths if path is not None)
        raise BadDataError(f"{files}: {in_options(one_line(error))}") from error
