"""Wall times beside GluonTS's: `python -m benchmarks.speed [PARTS]` measures, on what is there.

Parts are loader, training, prediction, draws, transformer, growth and cuda; by default all. Rows go
to results/speed-cpu.csv or speed-gpu.csv and replace older rows of their part; growth has a file
of its own, and a plot. Every ratio is one of medians of sides that took turns in this run. Leave
the machine alone meanwhile.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pandas as pd
import torch

from benchmarks.output import RESULTS, show, write

PARTS = ("loader", "draws", "prediction", "transformer", "growth", "cuda", "training")
SHOWN = ["case", "against", "own_s", "other_s", "ratio", "ratio_low", "ratio_high", "goal", "met"]


def main() -> None:
    wanted = sys.argv[1:] or PARTS
    unknown = sorted(set(wanted) - set(PARTS))
    if unknown:
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    name = "speed-gpu" if torch.cuda.is_available() else "speed-cpu"
    for part in wanted:
        module: Any = importlib.import_module(f"benchmarks.speed.{part}")
        if part == "growth":
            growth(module)
        else:
            rows = module.rows()
            if rows:
                keep(pd.DataFrame(rows), name, part)


def keep(rows: pd.DataFrame, name: str, part: str) -> None:
    """Replace a part's rows in the file."""
    path = RESULTS / f"{name}.csv"
    if path.exists():
        old = pd.read_csv(path)
        rows = pd.concat([old[~old.part.isin(rows.part)], rows], ignore_index=True)
    print(f"wrote {write(rows, name)}")
    shown = rows[rows.part == part]
    show(shown[[column for column in SHOWN if column in shown]], part)


def growth(module: Any) -> None:
    from benchmarks.speed.loader import growth_rows

    frame = pd.DataFrame([*growth_rows(), *module.path_rows()])
    print(f"wrote {write(frame, 'speed-growth')} and {module.plot(frame)}")
    show(frame, "growth")


if __name__ == "__main__":
    main()
