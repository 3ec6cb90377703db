"""The table of a backtest on a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from tsbnn.evaluation import Backtest
    from tsbnn.evaluation.table import SummaryTable

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
