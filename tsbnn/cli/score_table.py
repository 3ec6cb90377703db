"""The scores of ``tsbnn evaluate`` on a terminal: a row for each score, a column for each model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tsbnn.cli.forecast_frames import Forecasts
from tsbnn.cli.scoring import wql_levels

_WIDE = 160
_USUAL = (50, 80, 90, 95)
_SCORES = {"crps": "CRPS", "mean_wql": "mean wQL", "mase": "MASE", "nd": "ND", "rmse": "RMSE"}


def show_scores(
    found: Mapping[str, Mapping[str, float]],
    models: Sequence[Forecasts],
    rows: Mapping[str, int],
) -> None:
    """Print a table of scores, the best of each row marked where models can be compared."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tsbnn.evaluation.table import best, decimals, written

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_WIDE)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("score", no_wrap=True)
    for name in found:
        table.add_column(name, justify="right", overflow="fold")
    any_marked = False
    for metric, title, ideal in _rows(found):
        values = np.array([scores.get(metric, np.nan) for scores in found.values()])
        kind: Any = "percent" if metric.startswith("coverage") else "number"
        digits = decimals(values, kind)
        marked = best(values, ideal)
        cells = []
        for place, value in enumerate(values):
            text = Text(written(value, kind, digits))
            if place in marked:
                any_marked = True
                text = Text(f"● {text.plain}", style="bold green")
            cells.append(text)
        table.add_row(title, *cells)
    console.print(table)
    console.print(_note(models, rows, any_marked), style="dim", highlight=False)


def _rows(found: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, float | None]]:
    """Metrics to show with their titles, and what is ideal: minus infinity is the lowest."""
    there = list(dict.fromkeys(metric for scores in found.values() for metric in scores))
    rows: list[tuple[str, str, float | None]] = [
        (metric, title, -np.inf) for metric, title in _SCORES.items() if metric in there
    ]
    levels = [m.removeprefix("coverage_") for m in there if m.startswith("coverage_")]
    usual = [level for level in levels if float(level) in _USUAL]
    for level in sorted(usual or levels, key=float):
        rows += [
            (f"coverage_{level}", f"{level} % interval: coverage", float(level) / 100),
            (f"width_{level}", f"{level} % interval: width", None),
        ]
    return rows


def _note(models: Sequence[Forecasts], rows: Mapping[str, int], best: bool) -> str:
    count = rows["rows"] - rows["rows_without_actual"]
    parts = ["● best of its row. "] if best else []
    parts.append(f"{count:,} forecasts of {rows['series']:,} series were scored")
    missing = rows["rows_without_actual"]
    parts.append(f"; {missing:,} have no actual value." if missing else ".")
    parts.append(" A width stands in the target's units")
    levels = {wql_levels(model) for model in models if len(wql_levels(model)) > 1}
    other = [some for some in levels if some != tuple(q / 10 for q in range(1, 10))]
    if len(levels) > 1:
        parts.append("; mean wQL is over different quantiles and does not compare these models")
    elif other:
        parts.append(f"; mean wQL is over {', '.join(f'{level:g}' for level in other[0])}")
    return "".join(parts) + "."
