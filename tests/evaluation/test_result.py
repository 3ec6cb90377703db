"""The table is tidy, the summary prints, and a failure loses nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.evaluation.doubles import Described, Failing, Fake, series
from tsbnn.evaluation import Backtest, BacktestError, backtest
from tsbnn.evaluation.result import COLUMNS


@pytest.fixture(scope="module")
def result() -> Backtest:
    return backtest(
        {"bayes": Described(), "plain": Fake()},
        series(),
        prediction_length=5,
        windows=2,
        seeds=(0, 1, 2),
        baselines=False,
        dataset_name="toy",
    )


def test_the_table_is_tidy(result):
    frame = result.results
    assert tuple(frame.columns) == COLUMNS
    assert not frame.duplicated(["model", "seed", "metric"]).any()
    assert set(frame["dataset"]) == {"toy"}
    bayes = frame[frame["model"] == "bayes"]
    assert bayes[["network", "inference", "family"]].drop_duplicates().to_numpy().tolist() == [
        ["deepar", "score", "mean_field"]
    ]
    assert set(bayes["gradient_evaluations"]) == {12}
    assert frame[frame["model"] == "plain"]["gradient_evaluations"].isna().all()
    assert {"predict_s", "peak_memory_mib", "epistemic_share"} <= set(bayes["metric"])
    assert frame["value"].dtype == np.float64


def test_means_and_standard_errors_over_seeds(result):
    frame = result.results
    values = frame[(frame["model"] == "bayes") & (frame["metric"] == "crps")]["value"]
    found = result.aggregate().set_index(["model", "metric"]).loc[("bayes", "crps")]
    assert found["mean"] == pytest.approx(values.mean())
    assert found["standard_error"] == pytest.approx(values.std(ddof=1) / np.sqrt(3))
    assert found["num_seeds"] == 3


def test_the_summary_is_text_to_print(result):
    table = result.summary(["crps", "gradient_evaluations", "epistemic_share"])
    assert table.index.tolist() == ["bayes", "plain"]
    assert table.columns.tolist() == ["crps", "gradient_evaluations", "epistemic_share"]
    assert table.loc["bayes", "gradient_evaluations"] == "12"
    assert " ± " in table.loc["bayes", "crps"]
    assert table.loc["plain", "gradient_evaluations"] == "–"
    for metric in result.summary().columns:
        if metric.startswith("coverage"):
            assert metric.replace("coverage", "width") in result.summary().columns
    with pytest.raises(ValueError, match="crsp"):
        result.summary(["crsp"])


def test_a_single_seed_has_no_standard_error():
    one = backtest({"x": Fake()}, series(), prediction_length=5, windows=1, baselines=False)
    assert "±" not in one.summary(["crps"]).to_string()
    assert np.isnan(one.aggregate()["standard_error"]).all()


def test_settings_are_json_with_n_and_temperature(result):
    about = json.loads(json.dumps(result.settings))["bayes"]
    assert about["network"] == "deepar"
    assert [r["seed"] for r in about["runs"]] == [0, 1, 2]
    assert about["runs"][1]["num_observations"] == 99
    assert about["runs"][1]["temperature"] == 0.5


def test_forecasts_need_not_be_kept():
    arguments = {"prediction_length": 5, "windows": 1, "baselines": False}
    result = backtest({"x": Fake()}, series(), **arguments, keep_forecasts=False)
    assert result.forecasts["x", 0] == []
    assert not result.results.empty


def test_a_failure_is_raised_at_the_end_with_everything_else():
    models = {"failing": Failing(), "fine": Fake()}
    arguments = {"prediction_length": 5, "windows": 1, "seeds": (0, 1, 2), "baselines": False}
    with pytest.raises(BacktestError, match=r"1 of 6 runs.*\n.*seed 1.*weights are NaN") as error:
        backtest(models, series(), **arguments)
    kept = error.value.backtest
    assert isinstance(error.value.__cause__, ArithmeticError)
    assert list(kept.failures) == [("failing", 1)]
    assert set(kept.scores) == {("failing", 0), ("failing", 2), *(("fine", s) for s in range(3))}
    skipped = backtest(models, series(), **arguments, on_error="skip")
    assert list(skipped.failures) == [("failing", 1)]
    assert (
        skipped.aggregate().set_index(["model", "metric"]).loc[("failing", "crps")]["num_seeds"]
        == 2
    )


def test_a_diverged_model_is_a_failure_that_names_the_window():
    with pytest.raises(BacktestError, match=r"series 's0', window of 2024-02-25.*diverged"):
        backtest(
            {"nan": Fake(spread=np.nan)},
            series(),
            prediction_length=5,
            windows=1,
            baselines=False,
        )


def test_nothing_finished_still_has_a_table():
    skipped = backtest(
        {"nan": Fake(spread=np.nan)},
        series(),
        prediction_length=5,
        windows=1,
        baselines=False,
        on_error="skip",
    )
    assert tuple(skipped.results.columns) == COLUMNS
    assert skipped.models == []
    assert skipped.summary().empty
