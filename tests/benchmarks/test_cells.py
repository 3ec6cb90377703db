"""The runner of benchmarks: what is finished stays finished, whatever happens to the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.cells import Cell, kept, predicted_hours, run_cells, unfinished
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest, SeasonalNaiveGaussian, StoredScores, backtest

CELLS = [Cell("co2", f"season of {season}", seed) for seed in (0, 1) for season in (1, 52)]


def naive(cell: Cell) -> Backtest:
    data = load(cell.dataset)
    season = int(cell.model.rsplit(" ", 1)[1])
    return backtest(
        {cell.model: SeasonalNaiveGaussian(data.prediction_length, season)},
        data.dataset,
        prediction_length=data.prediction_length,
        windows=data.windows,
        seeds=(cell.seed,),
        baselines=False,
        dataset_name=cell.dataset,
    )


class Work:
    """Counts its calls, and fails at one cell while it is told to."""

    def __init__(self, failing: Cell | None = None) -> None:
        self.done: list[Cell] = []
        self.failing = failing

    def __call__(self, cell: Cell) -> Backtest:
        if cell == self.failing:
            raise ValueError("a diverged model")
        self.done.append(cell)
        return naive(cell)


def test_cells_run_once_and_a_failed_one_alone_runs_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(failing=CELLS[1])
    with pytest.raises(RuntimeError, match=r"1 of 4 cells failed:\n.*52.*a diverged model"):
        run_cells(work, CELLS, "table", by_window=True, folder=tmp_path)
    assert work.done == [CELLS[0], CELLS[2], CELLS[3]]
    assert "core-hours of the others: unknown" in capsys.readouterr().out

    again = Work()
    rows = run_cells(again, CELLS, "table", by_window=True, folder=tmp_path)
    assert again.done == [CELLS[1]]
    assert "3 of 4 cells are done, core-hours of the others: about" in capsys.readouterr().out

    assert set(zip(rows.dataset, rows.model, rows.seed, strict=True)) == {
        (cell.dataset, cell.model, cell.seed) for cell in CELLS
    }
    pd.testing.assert_frame_equal(kept("table", tmp_path), rows, check_dtype=False, rtol=1e-5)
    stored = StoredScores.load(tmp_path / "table_co2.npz")
    assert len(stored.scores) == len(CELLS)
    for cell in CELLS:
        crps = rows[(rows.model == cell.model) & (rows.seed == cell.seed) & (rows.metric == "crps")]
        value = stored.scores[cell.model, cell.seed].value("crps")
        np.testing.assert_allclose(value, crps.value.item(), rtol=1e-5)


def test_processes_give_the_same_table(tmp_path: Path) -> None:
    alone, beside = (
        run_cells(naive, CELLS[:2], name, jobs=jobs, folder=tmp_path)
        for name, jobs in (("alone", 1), ("beside", 2))
    )
    keys = ["model", "metric"]
    scores = [
        table[~table.metric.isin(["predict_s", "peak_memory_mib"])].set_index(keys).value
        for table in (alone, beside)
    ]
    pd.testing.assert_series_equal(*(part.sort_index() for part in scores))


def test_hours_are_those_of_like_cells() -> None:
    done = pd.DataFrame(
        [
            ("a", "slow", 0, "predict_s", 600.0, 3000.0),
            ("a", "slow", 1, "predict_s", 600.0, 3000.0),
            ("b", "quick", 0, "predict_s", 0.0, 36.0),
            ("b", "quick", 0, "crps", 1e6, 36.0),
        ],
        columns=["dataset", "model", "seed", "metric", "value", "wall_s"],
    )
    # As its model there, as its model elsewhere, as all of them.
    assert predicted_hours([Cell("a", "slow", 2)], done) == pytest.approx(1.0)
    assert predicted_hours([Cell("a", "quick", 0)], done) == pytest.approx(0.01)
    assert predicted_hours([Cell("a", "new", 0)], done) == pytest.approx(2.01 / 3)
    assert unfinished([Cell("a", "slow", 1), Cell("a", "slow", 2)], done) == [Cell("a", "slow", 2)]


def two_kinds(cell: Cell) -> pd.DataFrame:
    kinds = {"as it is": 0.8, "calibrated": 0.9}
    rows = [{"kind": k, "metric": "coverage_95", "value": v} for k, v in kinds.items()]
    return pd.DataFrame(rows)


def test_cells_may_have_rows_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        rows = run_cells(two_kinds, CELLS[:2], "table", by_window=True, folder=tmp_path)
        assert rows.value.tolist() == [0.8, 0.9, 0.8, 0.9]
    assert "season of 1; seed 0: coverage_95 0.8" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
