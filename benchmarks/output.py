"""Where benchmark figures go: a CSV under results/ and a table on the terminal."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

RESULTS = Path(__file__).parent / "results"
PAGE = RESULTS.parent / "RESULTS.md"


def machine() -> str:
    """Describe what the figures were measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), "
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}"
    )


def write(frame: pd.DataFrame, name: str, folder: Path = RESULTS) -> Path:
    """Write a frame as ``results/NAME.csv``, whole or not at all."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.csv"
    partial = path.with_suffix(".csv.partial")
    frame.to_csv(partial, index=False, float_format="%.6g")
    partial.replace(path)
    return path


def read(name: str, columns: Iterable[str], folder: Path = RESULTS) -> pd.DataFrame:
    """Return the rows of results/NAME.csv; none, of these columns, where there is no such file."""
    path = folder / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(columns))


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """The row with four decimals, to print."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


def append(done: pd.DataFrame, row: dict[str, Any], name: str) -> pd.DataFrame:
    """Print a row, and keep it below those of results/NAME.csv that are done; return all."""
    print(shortened(row), flush=True)
    frame = pd.DataFrame([row])
    done = pd.concat([done, frame], ignore_index=True) if len(done) else frame
    write(done, name)
    return done


def show(frame: pd.DataFrame, title: str) -> None:
    """Print a frame with its title and the machine."""
    print(f"\n{title}\n{machine()}")
    with pd.option_context("display.width", 200, "display.max_columns", 30):
        print(frame.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


def markdown(frame: pd.DataFrame) -> str:
    """Format a frame as a table of Markdown."""
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|---" * frame.shape[1] + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def fill(path: Path, texts: Mapping[str, str]) -> None:
    """Put texts into a page, each between the lines ``<!-- NAME -->`` and ``<!-- end NAME -->``.

    Raises
    ------
    ValueError
        If the page does not have exactly one such place for a text; it stays as it is.
    """
    page = path.read_text(encoding="utf-8")
    for name, text in texts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end {name} -->\n"
        before, _, rest = page.partition(start)
        _, _, after = rest.partition(end)
        if page.count(start) != 1 or page.count(end) != 1 or rest.count(end) != 1:
            raise ValueError(f"{path.name} has no place, or several, for {name!r}")
        page = f"{before}{start}\n{text}\n\n{end}{after}"
    path.write_text(page, encoding="utf-8")


def plain(value: float, digits: int) -> str:
    """Write a number with so many significant digits and without an exponent."""
    return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")
