"""How a command ends when it cannot go on: one line on stderr and an exit code."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import typer

FAILED, USAGE, BAD_DATA, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
EXIT_CODES = "Exit codes: 0 ok, 1 failed, 2 usage, 3 bad data, 130 interrupted."

# Arguments of Python that messages of the package name, as options of the commands.
_OPTIONS = {
    name: f"--{name.replace('_', '-')}"
    for name in (
        "freq",
        "future_covariates",
        "item_id",
        "past_covariates",
        "prediction_length",
        "target",
        "timestamp",
    )
} | {
    "fill_covariates": "--fill-covariates",
    "known_covariates": "--covariates",
    "static_features": "--static",
}
_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS)})=(\.\.\.|\(\.\.\.\)|True)?")

#: What is said of frames, as of tables in files.
_WORDS = {
    "df has no such column": "there is no such column",
    "df has no rows": "there are no rows",
    "future_covariates has no such column": "--future-covariates has no such column",
    "future_covariates, ": "--future-covariates, ",
    "at the end of df": "at the end of the table",
    ", or make dates the index": "",
    "; for a frame to train on, leave out prediction_length": "",
    "future_covariates is about known covariates: name their columns in --covariates": (
        "the model was trained without --covariates, and takes no --future-covariates"
    ),
    "A frame with one column per series becomes long with df.melt(id_vars=['timestamp'], "
    "var_name='item_id', value_name='target')": (
        "A table with one column for each series must be made long first"
    ),
    " A frame of your own: from_frame.": "",
    "training_data has no window: none of its": "none of the",
    "a window takes (min_past and min_future of the sampler, by default prediction_length)": (
        "training takes (--prediction-length)"
    ),
}

_PANDAS = re.compile(r"; pd\.to_numeric\(.*")


class UsageError(Exception):
    """Options that do not fit."""


class BadDataError(Exception):
    """Data that cannot be used."""


@contextmanager
def told(debug: bool, quiet: bool) -> Iterator[None]:
    """Turn an error into one line on stderr and an exit code; with ``debug``, its traceback too.

    Warnings become lines as well, and ``quiet`` leaves them out.
    """
    with warnings.catch_warnings():
        if not debug:
            warnings.showwarning = partial(_show_warning, quiet, set())
        try:
            yield
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            _leave("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has had enough; Python would complain once more at its end.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except SystemExit as error:
            # Lightning turns Ctrl-C into this.
            if isinstance(error.__context__, KeyboardInterrupt):
                _leave("interrupted", INTERRUPTED)
            if type(error).__name__ == "SIGTERMException":
                # Lightning ends training so, with no code: others would read it as success.
                _leave("terminated", TERMINATED)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the user reads a line
            if debug:
                traceback.print_exc()
            _leave(in_options(one_line(error)), _code(error))


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines) or type(error).__name__


def in_options(message: str) -> str:
    """A message of the package with the options of the command line in place of arguments."""
    told = _ARGUMENT.sub(lambda found: _OPTIONS[found[1]] + ("" if found[2] else " "), message)
    for words, others in _WORDS.items():
        told = told.replace(words, others)
    return _PANDAS.sub("", told)


def _code(error: Exception) -> int:
    from tsbnn.datasets.errors import (
        DatasetFileError,
        FrameError,
        FrameFileError,
        UnknownDatasetError,
    )

    if isinstance(error, UsageError | UnknownDatasetError):
        return USAGE
    if isinstance(error, BadDataError | FrameError | FrameFileError | DatasetFileError):
        return BAD_DATA
    return FAILED


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(f"tsbnn: {message}", err=True)
    raise typer.Exit(code)


def _show_warning(
    quiet: bool,
    shown: set[str],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    text = in_options(one_line(message) if isinstance(message, Warning) else message)
    # What is deprecated concerns those who call a library, not those who run a command.
    foreign = issubclass(category, DeprecationWarning | FutureWarning | PendingDeprecationWarning)
    if not quiet and not foreign and text not in shown:
        shown.add(text)
        typer.echo(f"tsbnn: warning: {text}", err=True)


def check_folder(folder: Path) -> None:
    """Make sure that a folder can be written to before work for it begins.

    Raises
    ------
    UsageError
        If it cannot.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"--out {folder}: nothing can be written in {place} ({reason})") from error
