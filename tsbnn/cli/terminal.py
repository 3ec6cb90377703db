"""What commands say on a terminal: progress, the table, errors in one line, and nothing else."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from tsbnn.evaluation import Backtest
    from tsbnn.evaluation.table import SummaryTable

FAILED, USAGE, BAD_DATA, INTERRUPTED = 1, 2, 3, 130

#: Width of the table where there is no terminal: all of it.
_WIDE = 160
#: Columns of a terminal from which on these metrics are shown.
_NEEDS = {
    "mase": 90,
    "pit_deviation": 100,
    "epistemic_share": 112,
    "gradient_evaluations": 140,
    "wall_s": 140,
}


class UsageError(Exception):
    """Options that do not fit."""


class BadDataError(Exception):
    """Data that cannot be used."""


@contextmanager
def told(debug: bool) -> Iterator[None]:
    """Turn an error into one line on stderr and an exit code; with ``debug``, its traceback too."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED)
    except SystemExit as error:
        # Lightning turns Ctrl-C into this.
        if isinstance(error.__context__, KeyboardInterrupt):
            _leave("interrupted", INTERRUPTED)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the user reads a line
        if debug:
            traceback.print_exc()
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        _leave(" ".join(lines) or type(error).__name__, _code(error))


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


@contextmanager
def progress(
    models: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[Callable[[str, int, float], None], Callable[[float], None]]]:
    """Bars with time left on a terminal; elsewhere one line per finished run, on stderr.

    Yields
    ------
    on_run, on_report
        To be called with model, seed and share; and with the report's share.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    several = len(seeds) > 1
    # The naive baseline takes no time worth counting.
    weights = dict.fromkeys([*models, "gluonts_deepar"], 1.0)
    shares: dict[tuple[str, int], float] = {}
    whole = sum(weights.values()) * len(seeds) + 0.2

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        # One slow start should not make the estimate jump.
        speed_estimate_period=60,
    ) as bars:
        total = bars.add_task("all", total=whole)
        tasks: dict[tuple[str, int], object] = {}

        def on_run(model: str, seed: int, share: float) -> None:
            name = f"{model}, seed {seed}" if several else model
            key = (model, seed)
            if key not in tasks:
                tasks[key] = bars.add_task(name, total=1.0)
            if share == 1.0 and shares.get(key) != 1.0 and not console.is_terminal:
                console.print(f"{name}: done", highlight=False)
            shares[key] = share
            bars.update(tasks[key], completed=share)  # type: ignore[arg-type]
            done = sum(weights.get(m, 0.0) * part for (m, _), part in shares.items())
            bars.update(total, completed=done)

        def on_report(share: float) -> None:
            key = ("report", 0)
            if key not in tasks:
                tasks[key] = bars.add_task("report", total=1.0)
            bars.update(tasks[key], completed=share)  # type: ignore[arg-type]
            bars.update(total, completed=whole - 0.2 * (1 - share))

        yield on_run, on_report


def show(backtest: Backtest, report: Path) -> None:
    """Print the summary table, and the report's path last."""
    from rich.console import Console

    from tsbnn.evaluation.table import summary_table

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_WIDE)
    summary = summary_table(backtest)
    console.print(_table(summary, console.width))
    console.print(f"● best of its column. {summary.error_note}", style="dim", highlight=False)
    sys.stdout.flush()
    typer.echo(f"report: {report}")


def _table(summary: SummaryTable, width: int) -> Table:
    """The summary for a terminal; a narrow one gets fewer columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("model", no_wrap=True)
    kept = [i for i, c in enumerate(summary.columns) if width >= _NEEDS.get(c.metric, 0)]
    for place in kept:
        column = summary.columns[place]
        table.add_column(f"{column.title}\n{column.hint}", justify="right")
    for model, cells in summary.rows.items():
        row = [Text(model)]
        for cell in (cells[place] for place in kept):
            text = Text(f"● {cell.value}" if cell.best else cell.value)
            if cell.best:
                text.stylize("bold green")
            if cell.error:
                text.append(f"\n±{cell.error}", style="dim")
            row.append(text)
        table.add_row(*row)
    return table
