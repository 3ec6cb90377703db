"""``tsbnn evaluate``: any tool's frame of forecasts, scored against what came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.running import COLUMNS, one_line, run
from tsbnn.evaluation import crps, mean_wql, nd, rmse, seasonal_error

LEVELS = tuple(q / 10 for q in range(1, 10))


def of(*arguments: object, **more: Any) -> dict[str, Any]:
    """Scores by model."""
    result = run("evaluate", *arguments, "--json", **more)
    assert result.exit_code == 0, result.output
    scores: dict[str, Any] = json.loads(result.stdout)["scores"]
    return scores


@pytest.fixture(scope="module")
def observed(sales_file: Path) -> pd.DataFrame:
    frame = pd.read_csv(sales_file)
    return frame[frame["day"] >= "2024-03-28"]


def test_scores_are_those_of_the_package(
    forecast_file: Path, sales_file: Path, past_file: Path, observed: pd.DataFrame
) -> None:
    scores = of(forecast_file, sales_file, *COLUMNS)["forecast"]
    table, y = pd.read_csv(forecast_file), observed["sales"].to_numpy()
    quantiles = np.stack([table[f"{level:g}"] for level in LEVELS])
    assert scores["mean_wql"] == pytest.approx(mean_wql(y, quantiles, LEVELS))
    assert scores["nd"] == pytest.approx(nd(y, table["median"]))
    assert scores["rmse"] == pytest.approx(rmse(y, table["mean"]))
    inside = (table["lo-80"] <= y) & (y <= table["hi-80"])
    assert scores["coverage_80"] == pytest.approx(inside.mean())
    assert scores["width_80"] == pytest.approx((table["hi-80"] - table["lo-80"]).mean())
    assert {"coverage_95", "width_95", "interval_score_95"} < set(scores)
    # What was before the forecasts is history; a gap in it is no zero.
    past = pd.read_csv(past_file, parse_dates=["day"])
    errors = []
    for shop, part in past.groupby("shop"):
        values = part.set_index("day")["sales"].asfreq("D").to_numpy()
        mine = (table["shop"] == shop).to_numpy()
        errors.extend(np.abs(y - table["median"])[mine] / seasonal_error(values, 7))
    assert of(forecast_file, sales_file, *COLUMNS, "--season", 7)["forecast"]["mase"] == (
        pytest.approx(np.mean(errors))
    )
    told = of(forecast_file, sales_file, *COLUMNS, "--history", past_file)["forecast"]
    assert told["mase"] == pytest.approx(scores["mase"])


def test_other_tools_frames(observed: pd.DataFrame, tmp_path: Path) -> None:
    """Two models in one table, in Nixtla's columns; ids that one side read as numbers."""
    y = observed["sales"].to_numpy()
    ids = [0, 0, 0, 1, 1, 1]
    actual = pd.DataFrame({"unique_id": ids, "ds": observed["day"], "y": y})
    actual.to_csv(tmp_path / "actual.csv", index=False)
    frame = actual.drop(columns="y").assign(
        **{"NHITS": y, "NHITS-lo-80": y - 1, "NHITS-hi-80": y + 3, "NHITS-median": y + 0.5},
        **{"DeepAR_ql0.1": y + 1, "DeepAR_ql0.5": y + 1.5, "DeepAR_ql0.9": y + 2, "Naive": 0.0},
    )
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "forecast.csv", index=False)
    scores = of(tmp_path / "forecast.csv", tmp_path / "actual.csv")
    assert set(scores) == {"NHITS", "DeepAR"}
    assert (scores["NHITS"]["coverage_80"], scores["DeepAR"]["coverage_80"]) == (1.0, 0.0)
    assert scores["NHITS"]["width_80"] == pytest.approx(4.0)
    assert scores["NHITS"]["rmse"] == pytest.approx(0.0)
    assert scores["NHITS"]["nd"] == pytest.approx(0.5 * 6 / y.sum())
    # A name that one table only has leaves the other one's columns to be found.
    other = actual.rename(columns={"unique_id": "shop", "ds": "day"})
    other.to_csv(tmp_path / "other.csv", index=False)
    named = ("--item-id", "shop", "--timestamp", "day")
    assert of(tmp_path / "forecast.csv", tmp_path / "other.csv", *named) == scores
    shown = run("evaluate", tmp_path / "forecast.csv", tmp_path / "actual.csv")
    assert shown.exit_code == 0
    assert "taken for no forecasts, and ignored: Naive" in shown.stderr
    assert "80 % interval: coverage" in shown.stdout
    assert "● " in shown.stdout
    assert "mean wQL is over 0.1, 0.5, 0.9" in shown.stdout


def test_forecasts_and_values_meet_at_one_time_whatever_their_zones(tmp_path: Path) -> None:
    hours = pd.date_range("2024-01-01", periods=48, freq="h", tz="UTC")
    y = 100 + 50 * np.sin(np.arange(48) * 2 * np.pi / 24)
    elsewhere = hours.tz_convert("Etc/GMT-2")
    pd.DataFrame({"ds": elsewhere, "y": y}).to_csv(tmp_path / "actual.csv", index=False)
    ahead = pd.DataFrame({"ds": hours[24:], "median": y[24:], "lo-80": y[24:] - 1})
    ahead.assign(**{"hi-80": y[24:] + 1}).to_csv(tmp_path / "forecast.csv", index=False)
    (scores,) = of(tmp_path / "forecast.csv", tmp_path / "actual.csv").values()
    assert scores["nd"] == pytest.approx(0.0)
    assert scores["coverage_80"] == 1.0


def test_ids_of_zero_and_columns_of_other_names_have_their_mase(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    days = pd.date_range("2023-11-01", periods=75)
    parts = [pd.DataFrame({"key": i, "index": days, "y": rng.normal(size=75)}) for i in (0, 1)]
    actual = pd.concat(parts)
    actual.to_csv(tmp_path / "actual.csv", index=False)
    ahead = actual[actual["index"] >= "2024-01-01"].drop(columns="y").assign(Naive=3)
    ahead.columns = ["unique_id", "ds", "Naive"]
    ahead.to_csv(tmp_path / "forecast.csv", index=False)
    named = ("--item-id", "key", "--timestamp", "index")
    scores = of(tmp_path / "forecast.csv", tmp_path / "actual.csv", *named)["Naive"]
    by_hand = []
    for part in parts:
        past, came = part["y"][part["index"] < "2024-01-01"], part["y"].tail(14)
        by_hand.append(np.abs(came - 3).mean() / np.abs(np.diff(past)).mean())
    assert scores["mase"] == pytest.approx(np.mean(by_hand))


@pytest.mark.parametrize(
    "columns",
    [
        ("yhat", "yhat_lower", "yhat_upper"),
        ("Point Forecast", "Lo 80", "Hi 80"),
        ("point", "80%_lower", "80%_upper"),
        ("P10", "P50", "P90"),
        ("10%", "50%", "90%"),
    ],
)
def test_bounds_under_other_names_are_no_models(columns: tuple[str, ...], tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=3)
    frame = pd.DataFrame({"ds": days, "y": 1.0, **dict.fromkeys(columns, 1.5)})
    frame.to_csv(tmp_path / "forecast.csv", index=False)
    done = run("evaluate", tmp_path / "forecast.csv")
    assert done.exit_code == 3
    assert "look like bounds or quantiles under other names: call them lo-80" in done.stderr


@pytest.mark.parametrize("name", ["model", "metric", "value"])
def test_ids_survive_in_scores_by_series(name: str, tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=3)
    frame = pd.concat([pd.DataFrame({name: i, "ds": days, "y": 1.0}) for i in ("a", "b")])
    frame.assign(median=1.5).to_csv(tmp_path / "forecast.csv", index=False)
    out = tmp_path / "scores.csv"
    columns = ("--item-id", name)
    done = run("evaluate", tmp_path / "forecast.csv", *columns, "--by-series", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert set(pd.read_csv(out)["item_id"]) == {"a", "b"}


def test_samples(model: Path, past_file: Path, observed: pd.DataFrame, tmp_path: Path) -> None:
    paths = tmp_path / "paths.csv"
    out = tmp_path / "forecast.csv"
    assert run("forecast", model, past_file, "--samples", paths, "--out", out).exit_code == 0
    observed.to_csv(tmp_path / "came.csv", index=False)
    scores = of(paths, tmp_path / "came.csv", *COLUMNS)["paths"]
    table = pd.read_csv(paths).sort_values(["shop", "day", "path"])
    samples = table["value"].to_numpy().reshape(2, 3, -1).swapaxes(1, 2)
    y = observed["sales"].to_numpy().reshape(2, 3)
    assert scores["crps"] == pytest.approx(crps(y, samples))
    assert "mase" not in scores
    wide = table.pivot(index=["shop", "day"], columns="path", values="value")
    wide.columns = [f"sample_{path}" for path in wide.columns]
    wide.reset_index().to_csv(tmp_path / "wide.csv", index=False)
    again = of(tmp_path / "wide.csv", tmp_path / "came.csv", *COLUMNS)["wide"]
    assert again["crps"] == pytest.approx(scores["crps"])


def test_a_missing_path_is_told_by_its_row(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=3).repeat(2)
    frame = pd.DataFrame({"ds": days, "path": [2, 1] * 3, "value": 1.0, "y": 1.5})
    frame.loc[2, "value"] = np.nan
    frame.to_csv(tmp_path / "paths.csv", index=False)
    done = run("evaluate", tmp_path / "paths.csv")
    assert done.exit_code == 3
    assert "paths.csv: row 4: 2024-01-02 00:00:00: column 'value': the forecast is missing" in (
        one_line(done)
    )
    # Where nothing came nothing is scored.
    frame["y"] = frame["y"].mask(frame["ds"] == "2024-01-02")
    frame.to_csv(tmp_path / "paths.csv", index=False)
    assert of(tmp_path / "paths.csv")["paths"]["crps"] == pytest.approx(0.5)


def test_a_cross_validation_has_its_own_actual_values(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=4).strftime("%Y-%m-%d")
    frame = pd.DataFrame(
        {
            "ds": [days[1], days[2], days[2], days[3]],
            "cutoff": [days[0], days[0], days[1], days[1]],
            "y": [1.0, 2.0, 2.0, 3.0],
            "0.1": 0.0,
            "0.9": [1.5, 1.5, 2.5, 2.5],
        }
    )
    frame.to_csv(tmp_path / "cv.csv", index=False)
    assert of(tmp_path / "cv.csv")["cv"]["coverage_80"] == 0.5
    frame.drop(columns="cutoff").to_csv(tmp_path / "cv.csv", index=False)
    result = run("evaluate", tmp_path / "cv.csv")
    assert result.exit_code == 3
    for words in ("cv.csv: row 4", "2024-01-03", "column cutoff"):
        assert words in one_line(result)


def test_scores_in_a_table(forecast_file: Path, sales_file: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", forecast_file, sales_file, *COLUMNS)
    everything = of(*arguments[1:])["forecast"]
    done = run(*arguments, "--out", tmp_path / "scores.csv", "--quiet")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert dict(zip(scores["metric"], scores["value"], strict=True)) == pytest.approx(everything)
    streamed = run(*arguments, "--out", "-", "--by-series")
    assert streamed.exit_code == 0, streamed.output
    lines = streamed.stdout.splitlines()
    assert lines[0] == "shop,model,metric,value"
    assert {line.split(",")[0] for line in lines[1:]} == {"shop-0", "shop-1"}


def test_missing_actual_values_are_told(
    forecast_file: Path, observed: pd.DataFrame, tmp_path: Path
) -> None:
    observed.iloc[1:].to_csv(tmp_path / "came.csv", index=False)
    result = run("evaluate", forecast_file, tmp_path / "came.csv", *COLUMNS)
    assert "5 forecasts of 2 series were scored; 1 have no actual value" in result.stdout


def test_bad_data(forecast_file: Path, past_file: Path, sales_file: Path, tmp_path: Path) -> None:
    cases: dict[str, tuple[tuple[object, ...], list[str]]] = {
        "dates": ((forecast_file, past_file), ["no row of", "past.csv", "2024-03-28"]),
        "absent": ((tmp_path / "no.csv", sales_file), ["does not exist"]),
    }
    frame = pd.read_csv(past_file)[["shop", "day", "sales", "size"]]
    frame.to_csv(tmp_path / "none.csv", index=False)
    cases["columns"] = ((tmp_path / "none.csv", sales_file), ["no column is a forecast", "size"])
    other = pd.read_csv(sales_file).assign(shop="elsewhere")
    other.drop_duplicates("day").to_csv(tmp_path / "other.csv", index=False)
    cases["ids"] = ((forecast_file, tmp_path / "other.csv"), ["'shop-0' against 'elsewhere'"])
    text = pd.read_csv(forecast_file).assign(**{"0.5": "much"})
    text.to_csv(tmp_path / "text.csv", index=False)
    cases["text"] = ((tmp_path / "text.csv", sales_file), ["text.csv", "'0.5'", "not all numbers"])
    for column, value, what in (
        ("0.5", np.nan, "missing"),
        ("lo-80", np.nan, "missing (2 such values)"),
        ("mean", np.nan, "missing"),
        ("mean", np.inf, "infinite"),
    ):
        gap = pd.read_csv(forecast_file)
        gap.loc[[1, 3] if "2" in what else [1], column] = value
        gap.to_csv(tmp_path / f"gap-{column}-{value}.csv", index=False)
        where = f"row 3: series 'shop-0', 2024-03-29 00:00:00: column '{column}'"
        cases[f"{column} {value}"] = (
            (tmp_path / f"gap-{column}-{value}.csv", sales_file),
            [f"gap-{column}-{value}.csv: {where}: the forecast is {what}, and"],
        )
    swapped = {"lo-80": "hi-80", "hi-80": "lo-80"}
    pd.read_csv(forecast_file).rename(columns=swapped).to_csv(tmp_path / "swap.csv", index=False)
    cases["swapped bounds"] = (
        (tmp_path / "swap.csv", sales_file),
        ["swap.csv: row 2: series 'shop-0', 2024-03-28", "column 'lo-80', ", "column 'hi-80', "],
    )
    for name, (arguments, words) in cases.items():
        result = run("evaluate", *arguments, *COLUMNS)
        assert result.exit_code == 3, (name, result.output)
        for word in words:
            assert word in one_line(result), name
    assert run("evaluate", forecast_file, sales_file, "--by-series").exit_code == 2
