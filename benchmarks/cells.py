"""Cells of a benchmark: each runs once, in a process of its own, and is kept when it is done.

A cell is one model on one dataset under one seed. Finished cells are never run again; a run that
is killed loses only those it was in, one for each process.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd
import torch
from joblib import Parallel, delayed, parallel_config

from benchmarks.output import RESULTS, read, write
from tsbnn.evaluation import Backtest, StoredScores

SHOWN = ("crps", "mean_wql", "coverage_95")
LEVELS = (50, 80, 90, 95)
#: What is kept of every window.
BY_WINDOW = (
    "crps",
    "mean_wql",
    "mase",
    *(f"coverage_{level}" for level in LEVELS),
    *(f"width_{level}" for level in LEVELS),
    "epistemic_share",
)


@dataclass(frozen=True)
class Cell:
    """One model on one dataset under one seed."""

    dataset: str
    model: str
    seed: int


KEYS = [field.name for field in fields(Cell)]
#: Work of a cell: a backtest of its model alone, or rows of a table with ``metric`` and ``value``.
Work = Callable[[Cell], Backtest] | Callable[[Cell], pd.DataFrame]
Done = tuple[Cell, pd.DataFrame, StoredScores | None]
Failed = tuple[Cell, str]


def kept(name: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return the rows of results/NAME.csv; none where there is no such file."""
    return read(name, KEYS, folder)


def unfinished(cells: Iterable[Cell], done: pd.DataFrame) -> list[Cell]:
    """Leave out the cells that have rows already."""
    finished = set(done[KEYS].itertuples(index=False, name=None))
    return [cell for cell in cells if (cell.dataset, cell.model, cell.seed) not in finished]


def predicted_hours(cells: Sequence[Cell], done: pd.DataFrame) -> float:
    """Core-hours that cells will take, judged by what kept cells took; NaN where there are none.

    A cell costs what its model took on its dataset on average, else what its model took elsewhere,
    else what any cell took.
    """
    if "wall_s" not in done:
        return math.nan
    seconds = done.drop_duplicates(KEYS).assign(s=lambda rows: rows.wall_s)
    predictions = done[done.metric == "predict_s"].set_index(KEYS).value
    seconds["s"] += seconds.set_index(KEYS).index.map(predictions).fillna(0.0)
    here, model = seconds.groupby(["dataset", "model"]).s.mean(), seconds.groupby("model").s.mean()
    fallback = seconds.s.mean()
    total = sum(
        here.get((cell.dataset, cell.model), model.get(cell.model, fallback)) for cell in cells
    )
    return float(total) / 3600


def run_cells(
    work: Work,
    cells: Sequence[Cell],
    name: str,
    *,
    jobs: int = 1,
    client: str | None = None,
    by_window: bool = False,
    folder: Path = RESULTS,
) -> pd.DataFrame:
    """Run the cells that results/NAME.csv does not have, and keep each there when it is done.

    Parameters
    ----------
    work
        Backtests a cell's model, or returns rows of its own; importable by name, since it runs in
        another process.
    cells
        All cells of the benchmark, in the order in which they should run.
    name
        Of the file.
    jobs
        Processes at a time, one thread each.
    client
        Address of a Dask scheduler whose workers run the cells instead.
    by_window
        Whether to keep every window's scores of backtests too, in results/NAME_DATASET.npz.
    folder
        In place of results/.

    Returns
    -------
    pandas.DataFrame
        All rows of the file.

    Raises
    ------
    RuntimeError
        If cells failed, after all others are done and kept; it names them.
    """
    done = kept(name, folder)
    todo = unfinished(cells, done)
    hours = predicted_hours(todo, done)
    costs = "unknown" if math.isnan(hours) else f"about {hours:.2g}"
    print(
        f"{name}: {len(cells) - len(todo)} of {len(cells)} cells are done, core-hours of the "
        f"others: {costs}",
        flush=True,
    )
    started, failures = time.perf_counter(), []
    with _backend(client):
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        found: Iterator[Done | Failed] = parallel(delayed(_alone)(work, cell) for cell in todo)
        for number, outcome in enumerate(found, 1):
            if len(outcome) == 2:
                failures.append(outcome)
                print(f"{number}/{len(todo)}: {outcome[0]} failed: {outcome[1]}", flush=True)
                continue
            cell, rows, scores = outcome
            if by_window and scores is not None:
                _keep(scores, folder / f"{name}_{cell.dataset}.npz")
            done = pd.concat([done, rows], ignore_index=True) if len(done) else rows
            write(done, name, folder)
            minutes = (time.perf_counter() - started) / 60
            print(f"{number}/{len(todo)} after {minutes:.1f} min: {_line(cell, rows)}", flush=True)
    if failures:
        listing = "\n".join(f"{cell}: {error}" for cell, error in failures)
        raise RuntimeError(f"{len(failures)} of {len(todo)} cells failed:\n{listing}")
    return done


@contextmanager
def _backend(client: str | None) -> Iterator[None]:
    if client is None:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            yield
        return
    from dask.distributed import Client

    with Client(client), parallel_config(backend="dask"):
        yield


def _alone(work: Work, cell: Cell) -> Done | Failed:
    torch.set_num_threads(1)
    try:
        result = work(cell)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other cells go on
        return cell, f"{type(error).__name__}: {error}"
    # What the file says of a cell is what the next run looks for.
    if isinstance(result, pd.DataFrame):
        return cell, result.assign(**asdict(cell)), None
    rows = result.results.assign(**asdict(cell))
    return cell, rows, StoredScores.of(result, BY_WINDOW)


def _keep(scores: StoredScores, path: Path) -> None:
    """Add a cell's scores to those of its dataset."""
    stored = StoredScores.load(path) if path.exists() else scores
    for (model, seed), found in scores.scores.items():
        stored.add(model, seed, found)
    stored.save(path)


def _line(cell: Cell, rows: pd.DataFrame) -> str:
    values = rows.drop_duplicates("metric").set_index("metric").value
    shown = ", ".join(f"{key} {values[key]:.4g}" for key in SHOWN if key in values)
    return f"{cell.dataset}; {cell.model}; seed {cell.seed}: {shown}"
