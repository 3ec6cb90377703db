"""What is read off the comparison: which rate is chosen, and what the largest series decide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gluonts.torch import TemporalFusionTransformerEstimator
from gluonts.torch.distributions import QuantileOutput, StudentTOutput

from benchmarks.cells import LEVELS, Cell
from benchmarks.forecasting import calibrated
from benchmarks.forecasting.concentration import concentration
from benchmarks.forecasting.models import LEARNING_RATES, estimator
from benchmarks.forecasting.tuning import MODELS, chosen, trials
from tsbnn.datasets import load
from tsbnn.evaluation import StoredScores
from tsbnn.evaluation.metrics import WindowScores
from tsbnn.inference import Ensemble


def test_the_rate_with_the_smallest_geometric_mean_is_the_best() -> None:
    values = {
        ("deepar, map at 0.002", "etth1"): 0.1,
        ("deepar, map at 0.002", "nyc_taxi"): 0.4,
        ("deepar, map at 0.005", "etth1"): 0.2,
        ("deepar, map at 0.005", "nyc_taxi"): 0.18,
        # Not run on all sets of the others: no trial yet.
        ("deepar, map at 0.01", "etth1"): 0.01,
        # Fewer sets than MAP's, but as many as all of its own.
        ("deepar, swag at 0.002", "etth1"): 0.1,
        ("deepar, swag at 0.005", "etth1"): 0.2,
        # One rate only: no best.
        ("gluonts_tft at 0.001", "etth1"): 0.1,
        ("gluonts_tft at 0.001", "nyc_taxi"): 0.1,
    }
    rows = pd.DataFrame(
        [
            {"model": model, "dataset": dataset, "metric": metric, "value": value}
            for (model, dataset), value in values.items()
            for metric in ("mean_wql", "crps")
        ]
    )
    by_method = dict(list(chosen(rows).groupby("method")))
    assert set(by_method) == {"deepar, map", "deepar, swag"}
    assert by_method["deepar, swag"].best.tolist() == ["best", ""]
    table = by_method["deepar, map"].set_index("learning_rate")
    assert table["geometric mean"].to_dict() == pytest.approx({0.002: 0.2, 0.005: 0.036**0.5})
    assert table.best.to_dict() == {0.002: "", 0.005: "best"}


def test_every_method_has_as_many_trials_and_others_around_a_default_of_its_own() -> None:
    rates = {model: [trial.split(" at ")[1] for trial in trials(model)] for model in MODELS}
    usual = ["0.005", "0.002", "0.01"]
    assert rates["deepar, score"] == usual
    assert rates["deepar, sghmc"] == [*usual, "1e-05", "4e-06", "2e-05"]
    assert rates["deepar, cyclical"] == [*usual, "0.001", "0.0004"]
    own = {model for model, tried in rates.items() if len(tried) > 3}
    assert own == {"deepar, sghmc", "deepar, cyclical", "deepar, ssvi"}
    assert {len(tried) for model, tried in rates.items() if model not in own} == {3}


def test_a_model_has_the_rate_that_was_chosen_unless_another_is_given() -> None:
    data = load("us_macro")
    rates = LEARNING_RATES["deepar"]
    assert estimator("deepar, score", data).inference.learning_rate == rates["score"]
    assert estimator("deepar, score mixture", data).inference.learning_rate == rates["score"]
    assert "ensemble" not in rates
    assert estimator("deepar, ensemble", data).inference.learning_rate == Ensemble().learning_rate
    assert estimator("deepar, map at 0.1", data).inference.learning_rate == 0.1
    assert estimator("gluonts_deepar at 0.1", data, 10).estimator.lr == 0.1


def test_the_share_of_the_largest_series() -> None:
    items = [f"s{k}" for k in range(100)]
    windows = pd.DataFrame({"item_id": items * 2, "window": [0] * 100 + [1] * 100})
    scores = StoredScores(windows=windows, dataset="d")
    for seed, large in enumerate((98.0, 294.0)):
        # Two large series in both windows beside 98 of which each has 1.
        crps = np.tile(np.r_[large, large, np.ones(98)], 2)
        ones = np.ones(200)
        found = WindowScores({"crps": crps, "mase": 2 * ones}, {"crps": ones, "mase": ones})
        scores.add("deepar, score", seed, found)
    row = concentration("d", scores).iloc[0]
    assert (row.seeds, row.series, row.largest) == (2, 100, 2)
    assert row["their share"] == pytest.approx(4 * 98 / (4 * 98 + 98))
    assert row["crps of the others"] == 1.0
    assert row["seeds' spread of the others"] == 0.0
    assert row["seeds' spread"] > 0.5
    assert row["median series' mase"] == 2.0


def test_intervals_are_scored_where_labels_are_observed() -> None:
    labels = np.array([[1.0, np.nan], [5.0, 2.0]])
    low, high = np.zeros((2, 2)), np.array([[2.0, 9.0], [2.0, 3.0]])
    found = calibrated.interval_scores(labels, low, high, 80)
    assert found == pytest.approx({"coverage_80": 2 / 3, "width_80": 7 / 3})


def test_both_kinds_of_intervals_are_kept_and_widen_with_the_level() -> None:
    rows = calibrated.evaluate(Cell("us_macro", "deepar, map", 0), gradient_evaluations=20)
    values = rows.set_index(["intervals", "metric"]).value
    for intervals in (calibrated.AS_IT_IS, calibrated.CALIBRATED):
        widths = [values[intervals, f"width_{level}"] for level in LEVELS]
        assert widths == sorted(widths)
    shown = calibrated.table(rows.assign(dataset="us_macro", model="deepar, map", seed=0))
    assert shown.intervals.tolist() == [calibrated.AS_IT_IS, calibrated.CALIBRATED]
    assert shown["worst deviation"].str.endswith("%").all()


def test_bare_map_has_neither_clipping_nor_dropout() -> None:
    data = load("us_macro")
    plain = estimator("deepar, map", data).estimator
    without = estimator("deepar, bare map", data)
    assert (plain.dropout_rate, plain.trainer_kwargs["gradient_clip_val"]) == (0.1, 10.0)
    assert without.estimator.dropout_rate == 0.0
    assert without.estimator.trainer_kwargs["gradient_clip_val"] is None
    # Its rate is its own, not that of MAP.
    assert without.inference.learning_rate != LEARNING_RATES["deepar"]["map"]


def test_the_tft_that_gets_a_posterior_is_gluonts_with_a_likelihood() -> None:
    data = load("us_macro")
    wrapped = estimator("tft, score", data).estimator
    trained = estimator("gluonts_tft_student_t", data, 10).estimator
    usual = estimator("gluonts_tft", data, 10).estimator
    assert type(wrapped) is type(trained) is type(usual) is TemporalFusionTransformerEstimator
    assert isinstance(wrapped.distr_output, StudentTOutput)
    assert isinstance(trained.distr_output, StudentTOutput)
    assert isinstance(usual.distr_output, QuantileOutput)
    assert wrapped.hidden_dim == trained.hidden_dim == usual.hidden_dim
