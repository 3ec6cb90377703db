"""The summary table: errors, the best of each column, numbers for readers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.planted import STEPS, Planted, run, series
from tsbnn.evaluation import Backtest, backtest, paired_difference
from tsbnn.evaluation.table import (
    COLUMNS,
    best_model,
    differences_to_best,
    summary_table,
    window_errors,
    written,
)


def test_best_is_marked_once_per_score(reported: Backtest) -> None:
    table = summary_table(reported)
    rows = list(table.rows.values())
    for place, column in enumerate(table.columns):
        best = [row[place].best for row in rows]
        assert sum(best) == (0 if column.ideal is None else 1), column.metric
    crps = [column.metric for column in table.columns].index("crps")
    assert table.rows["good"][crps].best


def test_coverage_is_best_where_it_is_nearest() -> None:
    result = run(wide=Planted(0.0), off=Planted(1.0))
    table = summary_table(result)
    at = [column.metric for column in table.columns].index("coverage_50")
    means = result.aggregate().query("metric == 'coverage_50'").set_index("model")["mean"]
    nearest = (means - 0.5).abs().idxmin()
    assert [model for model, cells in table.rows.items() if cells[at].best] == [nearest]


def test_a_width_stands_beside_every_coverage() -> None:
    metrics = [column.metric for column in COLUMNS]
    for place, metric in enumerate(metrics):
        if metric.startswith("coverage"):
            assert metrics[place + 1] == metric.replace("coverage", "width")


def test_one_seed_has_errors_over_windows() -> None:
    result = run()
    table = summary_table(result)
    assert "one seed" in table.error_note
    assert all(cells[0].error for cells in table.rows.values())
    errors = window_errors(result, "good")
    sums = result.scores["good", 0]
    means = sums.numerators["crps"].reshape(2, 12).sum(axis=0) / sums.denominators["crps"][:12] / 2
    assert errors["crps"] == pytest.approx(means.std(ddof=1) / np.sqrt(12), rel=0.15)


def test_coverages_that_the_paths_are_too_few_for_are_named() -> None:
    def note(num_samples: int) -> str:
        planted = {"one": Planted(0.0)}
        result = backtest(
            planted,
            series(),
            prediction_length=STEPS,
            windows=2,
            num_samples=num_samples,
            baselines=False,
        )
        return summary_table(result).error_note

    assert "widest interval of 38 paths is one of 94.8 %: a coverage of 95 % takes" in note(38)
    assert "widest interval of 2 paths is one of 33.3 %: a coverage of 50 % and 95 %" in note(2)
    assert "widest" not in note(39)


def test_numbers_are_written_for_readers() -> None:
    assert written(12345.678, "count") == "12\u202f346"
    assert written(0.0312, "percent", 1) == "3.1 %"
    assert written(-0.5, digits=2) == "−0.50"
    assert written(float("nan")) == "–"


def test_differences_are_to_the_best_model() -> None:
    result = run(worst=Planted(2.0), best=Planted(0.0), middle=Planted(1.0))
    assert best_model(result) == "best"
    found = differences_to_best(result)
    assert [(d.a, d.b) for d in found] == [("worst", "best"), ("middle", "best")]
    assert found[0] == paired_difference(result, "worst", "best", unit="window")
    assert all(d.low > 0 for d in found)


def test_a_single_window_has_neither_errors_nor_differences() -> None:
    result = run(windows=1, count=1, good=Planted(0.0), biased=Planted(2.0))
    assert window_errors(result, "good") == {}
    assert differences_to_best(result) == []
