"""Run the comparison: `python -m benchmarks.forecasting [GRIDS] [--jobs N]`.

Grids are fixed, core, rates, without, scales, warm, cold, peers, wrapped and extended (see `grid`);
by default all. Every model has 5,000 gradient evaluations; the public sets are read as
`tsbnn.datasets` reads them. Rows go to results/forecasting.csv, every window's scores to
results/forecasting_DATASET.npz.
A finished cell is never run again, and a run that is killed loses only the cells it was in.
`--quick` runs every model on a bundled series with few evaluations, to see that all work, and keeps
nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.cells import Cell, run_cells
from benchmarks.forecasting.grid import GRIDS
from benchmarks.forecasting.models import evaluate
from benchmarks.output import show

QUICK_DATASET, QUICK_EVALUATIONS = "us_macro", 250
SHOWN = ["mean_wql", "crps", "coverage_50", "coverage_95", "width_95"]


def quick(jobs: int) -> None:
    """Run every model that is compared for a moment, and throw the figures away."""
    models = dict.fromkeys(cell.model for cells in GRIDS.values() for cell in cells)
    cells = [Cell(QUICK_DATASET, model, 0) for model in models]
    with tempfile.TemporaryDirectory() as folder:
        work = partial(evaluate, gradient_evaluations=QUICK_EVALUATIONS)
        run_cells(work, cells, "quick", jobs=jobs, by_window=True, folder=Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grids", nargs="*", help="by default all")
    parser.add_argument("--datasets", nargs="*", help="only these")
    parser.add_argument("--models", nargs="*", help='only these, as "deepar, score"')
    parser.add_argument("--seeds", nargs="*", type=int, help="only these")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--client", help="address of a Dask scheduler to run on instead")
    parser.add_argument("--quick", action="store_true", help="every model for a moment")
    given = parser.parse_args()
    if unknown := set(given.grids) - set(GRIDS):
        parser.error(f"no such grid: {', '.join(unknown)}; there are {', '.join(GRIDS)}")
    if given.quick:
        quick(given.jobs)
        return
    cells = [
        cell
        for name in given.grids or GRIDS
        for cell in GRIDS[name]
        if cell.dataset in (given.datasets or [cell.dataset])
        and cell.model in (given.models or [cell.model])
        and cell.seed in (given.seeds or [cell.seed])
    ]
    done = run_cells(
        evaluate, cells, "forecasting", jobs=given.jobs, client=given.client, by_window=True
    )
    table = done[done.metric.isin(SHOWN)].pivot_table(
        index=["dataset", "model"], columns="metric", values="value", sort=False
    )
    show(table[SHOWN].reset_index(), "Test windows, mean over seeds")


if __name__ == "__main__":
    main()
