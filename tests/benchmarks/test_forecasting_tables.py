"""The tables of the comparison: which model is best, and what stands in a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.cells import kept
from benchmarks.forecasting import calibrated, page
from benchmarks.forecasting.grid import BARE_MAP, NAIVE
from benchmarks.forecasting.tables import (
    EXTENSIONS,
    MAIN,
    OTHER_RATES,
    PARTS,
    TRANSFORMER,
    WRAPPED_TFT,
    coverage_matrix,
    difference_matrix,
    differences,
    epistemic_matrix,
    matrix,
    parts,
    ranks,
    scatter,
    selective,
    selective_matrix,
    summary,
)
from benchmarks.output import PAGE, markdown
from tsbnn.evaluation import StoredScores
from tsbnn.evaluation.metrics import WindowScores


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
    assert list(found.columns) == ["model", "seeds", "etth1", "nyc_taxi", "over the best"]
    # 1 and 4 times the best against 2 times and 1.
    assert found.model.tolist() == ["b", "a"]
    assert found.seeds.tolist() == [1, 2]
    assert found.set_index("model").loc["a"].tolist() == [2, "**1** ± 0.1", "4000 ± 0", "2.50"]
    assert found.set_index("model").loc["b"].tolist() == [1, "2", "**1000**", "1.50"]


def test_a_model_that_a_dataset_lacks_leaves_its_cell_empty() -> None:
    found = matrix(results({("a", "etth1", 0): 1.0, ("b", "nyc_taxi", 0): 1.0}))
    assert found.set_index("model").nyc_taxi.tolist() == ["–", "**1**"]
    assert found["over the best"].tolist() == ["–", "–"]


def test_other_results_are_measured_by_the_best_of_the_first() -> None:
    first = results({("a", "etth1", 0): 2.0, ("b", "etth1", 0): 4.0})
    others = results({("a at 1", "etth1", 0): 3.0, ("b at 1", "etth1", 0): 1.0})
    found = matrix(others, among=first).set_index("model")
    assert found["over the best"].to_dict() == {"b at 1": "0.50", "a at 1": "1.50"}
    assert found.etth1.to_dict() == {"b at 1": "**1**", "a at 1": "3"}


def test_scatter_is_relative_and_needs_three_seeds() -> None:
    values = {("a", "etth1", seed): value for seed, value in enumerate((90.0, 100.0, 110.0))}
    values |= {("a", "nyc_taxi", seed): 5.0 for seed in range(3)}
    values |= {("b", "etth1", seed): value for seed, value in enumerate((2.0, 2.0, 2.0, 2.0))}
    values |= {("b", "nyc_taxi", seed): value for seed, value in enumerate((1.0, 2.0))}
    found = scatter(results(values))
    # b has too few seeds on one dataset, so it comes last although it scatters least.
    assert found.to_dict("list") == {
        "model": ["a", "b"],
        "seeds": [3, 4],
        "etth1": ["10.0%", "0.0%"],
        "nyc_taxi": ["0.0%", "–"],
    }


def test_coverage_is_bold_where_all_levels_are_within_three_points() -> None:
    shares = {50: 0.53, 80: 0.78, 90: 0.9, 95: 0.94}
    good = [results({("c", "etth1", 0): s}, f"coverage_{level}") for level, s in shares.items()]
    shares[50] = 0.54
    bad = [results({("b", "etth1", 0): s}, f"coverage_{level}") for level, s in shares.items()]
    shares[50] = 0.9
    worse = [results({("a", "etth1", 0): s}, f"coverage_{level}") for level, s in shares.items()]
    found = coverage_matrix(pd.concat([*worse, *bad, *good])).set_index("model").etth1
    assert list(found.items()) == [
        ("c", "**53 / 78 / 90 / 94**"),
        ("b", "54 / 78 / 90 / 94"),
        ("a", "90 / 78 / 90 / 94"),
    ]


def test_a_single_training_has_one_seed_and_a_single_window_is_not_drawn() -> None:
    def stored(windows: pd.DataFrame) -> StoredScores:
        found = StoredScores(windows=windows, dataset="d")
        ones = np.ones(len(windows))
        for model, seeds in (("a", 1), ("b", 3)):
            for seed in range(seeds):
                crps = np.arange(1.0, len(windows) + 1) + seed
                found.add(model, seed, WindowScores({"crps": crps}, {"crps": ones}))
        return found

    series = pd.DataFrame({"item_id": ["x", "y"], "window": [0, 0]})
    scores = {"one": stored(series), "two": stored(series.assign(window=[0, 1]))}
    found = differences(scores, [("a", "b"), ("a", "c")])
    assert found.dataset.tolist() == ["one", "two"]
    assert found.num_seeds.tolist() == [1, 1]
    naive = {"one": stored(series)}
    naive["one"].add(NAIVE, 0, naive["one"].scores["a", 0])
    assert differences(naive, [("b", NAIVE)]).num_seeds.tolist() == [3]
    drawn, fixed = (
        differences(naive, [("b", NAIVE)], resample_seeds=draw) for draw in (True, False)
    )
    assert (drawn.low < 0.5).all()
    assert (drawn.high > 1.5).all()
    assert fixed[["low", "difference", "high"]].iloc[0].tolist() == [1.0, 1.0, 1.0]
    assert differences(scores, [("b", "a")], "window").dataset.tolist() == ["two"]


def test_differences_are_one_row_a_pair() -> None:
    row = {"a": "x, score", "relative": -0.1, "relative_low": -0.2, "relative_high": 0.05}
    row["num_seeds"] = 3
    found = difference_matrix(
        pd.DataFrame(
            [
                {"dataset": "etth1", "b": "x, elbo", **row},
                {"dataset": "nyc_taxi", "b": "x, elbo", **row},
                {"dataset": "m4_hourly", "b": "x, elbo", **row},
                {"dataset": "vic_electricity", "b": "x, elbo", **row},
                {"dataset": "etth1", "b": "x, map", **row},
                {"dataset": "nyc_taxi", "b": "x, map", **row, "num_seeds": 2},
                {"dataset": "m4_hourly", "b": "x, map", **row, "relative_high": 0.004},
            ]
        )
    )
    assert found.iloc[:, 0].tolist() == ["x, score against x, elbo", "x, score against x, map"]
    assert found.etth1.tolist() == ["-10.0% (-20% to +5%)"] * 2
    assert found.nyc_taxi.tolist() == ["-10.0% (-20% to +5%)", "-10.0%"]
    assert found.vic_electricity.tolist() == ["-10.0% (-20% to +5%)", "–"]
    # Whether an end near zero is above it can be seen.
    assert found.m4_hourly.tolist() == ["-10.0% (-20% to +5%)", "-10.0% (-20% to +0.4%)"]


def test_ranks_are_of_methods_that_all_sets_have() -> None:
    everywhere = ("deepar, score", "deepar, bare map", "deepar, score T=0.3")
    values = {(model, d, 0): 1.0 for model in everywhere for d in ("etth1", "nyc_taxi")}
    found = ranks(results(values | {("auto_ets", "etth1", 0): 1.0}))
    assert list(found.columns) == ["deepar, bare map", "deepar, score"]
    assert list(found.index) == ["etth1", "nyc_taxi"]


def test_every_model_stands_in_one_table() -> None:
    models = {
        "deepar, score": MAIN,
        "deepar, bare map": MAIN,
        "gluonts_deepar": MAIN,
        "seasonal_naive": MAIN,
        "transformer, score": TRANSFORMER,
        "tft, score": WRAPPED_TFT,
        "gluonts_tft_student_t": WRAPPED_TFT,
        "gluonts_tft": MAIN,
        "patch_transformer, map": EXTENSIONS,
        "deepar, swag": EXTENSIONS,
        "deepar, map at 5e-3": OTHER_RATES,
    }
    found = parts(results({(model, "etth1", 0): 1.0 for model in models}))
    assert {model: name for name, rows in found.items() for model in rows.model} == models
    assert list(found) == list(PARTS)
    assert list(parts(results({("deepar, swag", "etth1", 0): 1.0}))) == [EXTENSIONS]


def test_published_tables_are_those_of_the_results() -> None:
    found = kept("forecasting")
    full, short = (path.read_text(encoding="utf-8") for path in (PAGE, page.SHORT_PAGE))
    tables = parts(found)
    for rows in tables.values():
        assert markdown(matrix(rows, among=tables[MAIN])) in full
    assert markdown(matrix(tables[MAIN], "mean_wql")) in full
    assert markdown(coverage_matrix(tables[MAIN])) in full
    assert markdown(calibrated.table(kept("forecasting_calibrated"))) in full
    for table in summary(found).values():
        assert markdown(table) in short


def test_points_are_judged_by_the_width_of_their_intervals_alone() -> None:
    rng = np.random.default_rng(0)
    error = rng.gamma(2, 1, size=60)
    windows = pd.DataFrame({"item_id": np.arange(60) % 6, "window": np.arange(60) // 6})
    stored = StoredScores(windows.assign(seasonal_error=2.0))
    known = np.full(60, 4.0)
    for seed in range(3):
        sums = {"mase": 4 * error, "width_50": error, "epistemic_share": rng.random(60)}
        stored.add("posterior", seed, WindowScores(sums, dict.fromkeys(sums, known)))
        point = sums | {"epistemic_share": np.zeros(60)}
        stored.add("point", seed, WindowScores(point, dict.fromkeys(point, known)))
    few = {name: sums[name] for name in ("mase", "width_50")}
    for name in ("seasonal_naive", "once"):
        stored.add(name, 0, WindowScores(few, dict.fromkeys(few, known)))
    models = ("posterior", "point", "seasonal_naive", "once", "absent")
    found = selective({"one": stored}, models)
    assert found.groupby("model").by.agg(list).to_dict() == {
        "posterior": ["epistemic", "total", "width"],
        "point": ["total", "width"],
        "seasonal_naive": ["width"],
        "once": ["width"],
    }
    table = selective_matrix(found).set_index(["by", "model"]).one
    assert table["width", "posterior"] == "**1.00** (1.00 to 1.00)"
    assert table["width", "seasonal_naive"] == "**1.00** (1.00 to 1.00)"
    assert table["width", "once"] == "1.00"
    single = StoredScores(stored.windows.assign(item_id=np.arange(60)), scores=stored.scores)
    assert "total" not in set(selective({"one": single}, ["posterior"]).by)


def test_the_epistemic_part_and_the_width_it_takes() -> None:
    posterior, narrow, partly = "deepar, score", "deepar, ensemble", "deepar, swag"
    shares = {(posterior, d, 0): 0.4 for d in ("etth1", "nyc_taxi")}
    shares |= {(narrow, d, 0): 0.1 for d in ("etth1", "nyc_taxi")}
    shares |= {(BARE_MAP, d, 0): 0.0 for d in ("etth1", "nyc_taxi")}
    shares |= {(partly, "etth1", 0): 0.2}
    widths = dict.fromkeys(shares, 3.0) | {(BARE_MAP, "nyc_taxi", 0): 1.5}
    found = pd.concat([results(shares, "epistemic_share"), results(widths, "width_50")])
    table = epistemic_matrix(found)
    assert table.model.tolist() == [narrow, posterior]
    assert table.etth1.tolist() == ["10 % / × 1.00", "40 % / × 1.00"]
    assert table.nyc_taxi.tolist() == ["10 % / × 2.00", "40 % / × 2.00"]


def test_an_open_end_of_an_interval_is_told() -> None:
    row = {"dataset": "etth1", "a": "x", "b": "y", "num_seeds": 3}
    ends = {"relative": -0.5, "relative_low": -1.0, "relative_high": np.inf}
    table = difference_matrix(pd.DataFrame([row | ends]))
    assert table.etth1.tolist() == ["-50.0% (-100% to ∞)"]
