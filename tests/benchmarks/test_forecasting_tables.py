"""The tables of the comparison: which model is best, and what stands in a cell."""

from __future__ import annotations

import pandas as pd

from benchmarks.cells import kept
from benchmarks.forecasting import page
from benchmarks.forecasting.tables import coverage_matrix, difference_matrix, matrix, summary
from benchmarks.output import markdown


def results(values: dict[tuple[str, str, int], float], metric: str = "crps") -> pd.DataFrame:
    rows = [
        {"model": model, "dataset": dataset, "seed": seed, "metric": metric, "value": value}
        for (model, dataset, seed), value in values.items()
    ]
    return pd.DataFrame(rows)


def test_models_are_in_order_of_their_ratio_to_the_best() -> None:
    found = matrix(
        results(
            {
                ("a", "etth1", 0): 0.9,
                ("a", "etth1", 1): 1.1,
                ("b", "etth1", 0): 2.0,
                ("a", "nyc_taxi", 0): 4000.0,
                ("a", "nyc_taxi", 1): 4000.0,
                ("b", "nyc_taxi", 0): 1000.0,
            }
        )
    )
    assert list(found.columns) == ["model", "seeds", "etth1", "nyc_taxi"]
    # 1 and 4 times the best against 2 times and 1.
    assert found.model.tolist() == ["b", "a"]
    assert found.seeds.tolist() == [1, 2]
    assert found.set_index("model").loc["a"].tolist() == [2, "**1** ± 0.1", "4000 ± 0"]
    assert found.set_index("model").loc["b"].tolist() == [1, "2", "**1000**"]


def test_a_model_that_a_dataset_lacks_leaves_its_cell_empty() -> None:
    found = matrix(results({("a", "etth1", 0): 1.0, ("b", "nyc_taxi", 0): 1.0}))
    assert found.set_index("model").nyc_taxi.tolist() == ["–", "**1**"]


def test_coverage_is_bold_where_all_levels_are_within_three_points() -> None:
    shares = {50: 0.53, 80: 0.78, 90: 0.9, 95: 0.94}
    good = [results({("a", "etth1", 0): s}, f"coverage_{level}") for level, s in shares.items()]
    shares[50] = 0.54
    bad = [results({("b", "etth1", 0): s}, f"coverage_{level}") for level, s in shares.items()]
    found = coverage_matrix(pd.concat([*good, *bad])).set_index("model").etth1
    assert found.to_dict() == {"a": "**53 / 78 / 90 / 94**", "b": "54 / 78 / 90 / 94"}


def test_differences_are_one_row_a_pair() -> None:
    row = {"a": "x, score", "relative": -0.1, "relative_low": -0.2, "relative_high": 0.05}
    found = difference_matrix(
        pd.DataFrame(
            [
                {"dataset": "etth1", "b": "x, elbo", **row},
                {"dataset": "nyc_taxi", "b": "x, elbo", **row},
                {"dataset": "etth1", "b": "x, map", **row},
            ]
        )
    )
    assert found.iloc[:, 0].tolist() == ["x, score against x, elbo", "x, score against x, map"]
    assert found.etth1.tolist() == ["-10.0% (-20% to +5%)"] * 2
    assert found.nyc_taxi.tolist() == ["-10.0% (-20% to +5%)", "–"]


def test_published_tables_are_those_of_the_results() -> None:
    found = kept("forecasting")
    full, short = (path.read_text(encoding="utf-8") for path in (page.PAGE, page.SHORT_PAGE))
    assert markdown(matrix(found)) in full
    assert markdown(matrix(found, "mean_wql")) in full
    assert markdown(coverage_matrix(found)) in full
    assert markdown(summary(found)) in short
