"""``tsbnn backtest``: files, exit codes and errors in one line, with a few gradients."""

from __future__ import annotations

import json
import urllib.error
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import Result

from tests.cli.running import COLUMNS, TINY, one_line, run, sales
from tsbnn.inference import METHODS

# Methods that take a step or more within two gradient evaluations.
SOME = ("score", "elbo", "map")
ALL = ",".join(SOME)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "sales.csv"
    sales().to_csv(file, index=False)
    return file


def of(table: Path, out: Path, *more: object) -> tuple[object, ...]:
    size = ("--prediction-length", 3, "--windows", 2)
    return ("backtest", "--dataset", table, *COLUMNS, *size, "--out", out, *TINY, *more)


@pytest.fixture(scope="module")
def done(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("runs") / "made" / "report"
    return run(*of(table, out, "--inference", ALL, "--seeds", "0,1")), out


def test_backtest_writes_files_that_agree(done: tuple[Result, Path]) -> None:
    result, out = done
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    frame = pd.read_csv(out / "results.csv")
    expected = [*(f"deepar-{name}" for name in SOME), "seasonal_naive", "gluonts_deepar"]
    assert list(summary["models"]) == list(dict.fromkeys(frame["model"])) == expected
    assert set(frame["seed"]) == {0, 1}
    assert set(frame["dataset"]) == {"sales"}
    for name in summary["files"]:
        assert (out / name).stat().st_size > 0
    assert len(list((out / "plots").glob("fan-*.png"))) == len(expected)
    counts = frame[frame["network"] == "deepar"]["gradient_evaluations"]
    assert set(counts) == {2}


def test_the_table_has_every_model_and_the_width_beside_the_coverage(
    done: tuple[Result, Path],
) -> None:
    said = done[0].stdout
    for name in (*(f"deepar-{name}" for name in SOME), "seasonal_naive", "gluonts_deepar"):
        assert name in said
    header = said.splitlines()[1]
    assert header.count("coverage") == header.count("width") == 2
    assert "● " in said
    assert "standard error over 2 seeds" in said.replace("\n", " ")


def test_runs_are_told_where_there_is_no_terminal(done: tuple[Result, Path]) -> None:
    lines = done[0].stderr.splitlines()
    assert "deepar-score, seed 1: done" in lines
    assert [line for line in lines if not line.endswith(": done")] == []


def test_nothing_else_is_left_in_the_folder(done: tuple[Result, Path]) -> None:
    out = done[1]
    assert sorted(p.name for p in out.iterdir()) == [
        "plots",
        "report.html",
        "results.csv",
        "summary.json",
    ]
    assert [p.name for p in out.parent.iterdir()] == ["report"]


def test_registered_dataset(tmp_path: Path, empty_working_directory: Path) -> None:
    more = ("--inference", "map", "--windows", 2, "--prediction-length", 3, *TINY)
    result = run("backtest", "--dataset", "co2", "--out", tmp_path, *more)
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["dataset"] == "co2"
    assert (summary["windows"], summary["prediction_length"], summary["season"]) == (2, 3, 52)
    assert summary["models"]["deepar-map"]["runs"][0]["num_observations"] > 2000


def test_a_parquet_file_with_covariates_and_static_features(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame, file = sales(), tmp_path / "sales.parquet"
    frame.assign(visitors=3 * frame["sales"]).to_parquet(file)
    covariates = ("--covariates", "price", "--past-covariates", "visitors", "--static", "size")
    more = ("--inference", "map", *covariates, "--freq", "D")
    result = run(*of(file, tmp_path / "out", *more, "--json", "--quiet"))
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["frequency"] == "D"
    told = json.loads(result.stdout)
    assert told["report"] == str(tmp_path / "out" / "report.html")
    crps = {one["model"]: one["mean"] for one in told["scores"] if one["metric"] == "crps"}
    expected = summary["models"]["deepar-map"]["metrics"]["crps"]["mean"]
    assert crps["deepar-map"] == pytest.approx(expected)


def test_time_features_reach_the_networks(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def network(name: str, **arguments: Any) -> None:
        asked.append(arguments["time_features"])
        raise ValueError("that is enough")

    monkeypatch.setattr("tsbnn.forecasting.catalogue.network", network)
    for more in ((), ("--time-features", "none"), ("--time-features", "day_of_week,month_of_year")):
        result = run(*of(table, tmp_path, "--inference", "map", *more))
        assert "that is enough" in result.stderr
    assert asked == [None, [], ["day_of_week", "month_of_year"]]


def test_gaps_and_rows_of_the_future(tmp_path: Path) -> None:
    frame, file = sales(), tmp_path / "sales.csv"
    frame.loc[frame["day"] > "2024-03-26", "sales"] = None  # known ahead: the price alone
    frame.drop(index=[7, 8]).to_csv(file, index=False)
    more = ("--inference", "map", "--covariates", "price")
    refused = run(*of(file, tmp_path / "out", *more))
    assert refused.exit_code == 3
    assert "--fill-covariates" in one_line(refused)
    labels = []
    for some in ((*more, "--fill-covariates"), more[:2]):  # without its name the price is nothing
        result = run(*of(file, tmp_path / "out", *some, "--quiet"))
        assert result.exit_code == 0, result.output
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        labels.append("12 observed of 12" in page and "the last from 2024-03-24" in page)
    assert labels == [True, True]


def test_few_paths_are_told_and_nothing_else_is(tmp_path: Path) -> None:
    frame = sales()
    frame["day"] = [*pd.date_range("2024-01-01", periods=90, freq="B").strftime("%Y-%m-%d")] * 2
    frame.to_csv(tmp_path / "sales.csv", index=False)
    more = ("--inference", "score,map", "--num-samples", 8, "--num-draws", 5)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = run(*of(tmp_path / "sales.csv", tmp_path / "out", *more))
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr
    note = "The widest interval of 8 paths is one of 77.7 %: a coverage of 95 % takes more."
    assert note in result.stdout.replace("\n", " ")
    assert note in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    shares = results[results["metric"] == "epistemic_share"]
    assert "deepar-score" in set(shares["model"])
    assert shares["value"].notna().all()


@pytest.mark.filterwarnings("error:.*epistemic:RuntimeWarning", "error:.*NaN:RuntimeWarning")
def test_one_path_per_draw_leaves_the_epistemic_part_out(table: Path, tmp_path: Path) -> None:
    more = ("--inference", "score", "--num-samples", 8, "--num-draws", 20)
    result = run(*of(table, tmp_path / "out", *more))
    assert result.exit_code == 0, result.output
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    assert "epistemic_share" not in set(results["metric"])
    assert not (tmp_path / "out" / "plots" / "epistemic-share.png").exists()
    assert (tmp_path / "out" / "plots" / "fan-deepar-score.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dataset", "seattle"), ["seattle_weather", "co2", "CSV or Parquet"]),
        (("--dataset", "co2", "--models", "deeper"), ["--models", "deepar", "deeper"]),
        (("--dataset", "co2", "--models", ""), ["--models", "nothing"]),
        (("--dataset", "co2", "--inference", "score,hmc"), ["--inference", ALL[:5], "hmc"]),
        (("--dataset", "co2", "--inference", "map,map"), ["--inference", "each once"]),
        (
            ("--dataset", "co2", "--time-features", "hour"),
            ["--time-features: no time feature is named 'hour'; there are second_of", "; or none"],
        ),
        (("--dataset", "co2", "--seeds", "0,x"), ["--seeds", "'0,x'"]),
        (("--dataset", "co2", "--seeds", "-1"), ["--seeds", "'-1'"]),
        (("--dataset", "co2", "--freq", "D"), ["--freq", "co2 is a registered dataset"]),
        (("--dataset", "co2", "--item-id", "x"), ["--item-id"]),
        (("--dataset", "co2", "--fill-covariates"), ["--fill-covariates is about a file"]),
        (
            ("--dataset", "co2", "--inference", "map,score", "--gradient-evaluations", "1"),
            ["--gradient-evaluations", "less than one step of 'score' takes (2)"],
        ),
    ],
)
def test_usage_errors(arguments: tuple[str, ...], words: list[str], tmp_path: Path) -> None:
    result = run("backtest", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    said = one_line(result)
    for word in words:
        assert word in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--dataset", "co2", "--gradient-evaluations", "0"),
    ],
)
def test_usage_errors_of_options(arguments: tuple[str, ...]) -> None:
    assert run("backtest", *arguments).exit_code == 2


def test_a_file_needs_a_prediction_length(table: Path) -> None:
    result = run("backtest", "--dataset", table)
    assert result.exit_code == 2
    assert "--prediction-length" in one_line(result)


def test_out_must_be_a_folder_that_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    assert run("backtest", "--dataset", "co2", "--out", file).exit_code == 2
    result = run("backtest", "--dataset", "co2", "--out", file / "below")
    assert result.exit_code == 2
    assert "nothing can be written" in one_line(result)
    assert file.read_text(encoding="utf-8") == "mine"


def test_bad_data(tmp_path: Path) -> None:
    cases: dict[str, tuple[Any, list[str]]] = {
        "absent": (None, ["does not exist"]),
        "empty": ("", ["is empty"]),
        "double": (pd.concat([sales(1), sales(1)]), ["2024-01-01", "shop-0"]),
        "text": (sales(1).assign(sales="many"), ["sales", "many"]),
        "column": (sales(1).drop(columns="sales"), ["sales"]),
        "short": (sales(1, days=5), ["shop-0", "5 points", "windows"]),
    }
    for name, (content, words) in cases.items():
        file = tmp_path / f"{name}.csv"
        if isinstance(content, str):
            file.write_text(content, encoding="utf-8")
        elif content is not None:
            content.to_csv(file, index=False)
        result = run(*of(file, tmp_path / "out", "--inference", "map"))
        assert result.exit_code == 3, (name, result.output)
        said = one_line(result)
        for word in words:
            assert word in said, (name, said)
    assert not (tmp_path / "out").exists()


def test_public_data_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setattr("tsbnn.datasets.locations.cache_folder", lambda: tmp_path)
    monkeypatch.delenv("TSBNN_DATA_DIR", raising=False)
    result = run("backtest", "--dataset", "etth1")
    assert result.exit_code == 3
    for words in ("ett/ETTh1.csv", "no route to host", "TSBNN_DATA_DIR"):
        assert words in one_line(result)


def breaking(monkeypatch: pytest.MonkeyPatch, error: BaseException, method: str = "") -> None:
    """Let training fail, of all methods or of one."""
    from tsbnn.forecasting import BayesianEstimator

    original = BayesianEstimator.train

    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        if method in ("", self.inference.name):
            raise error
        return original(self, *args, **kwargs)

    monkeypatch.setattr(BayesianEstimator, "train", train)


def test_a_failed_model_does_not_take_the_others_with_it(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(monkeypatch, FloatingPointError("the loss is nan"), "elbo")
    result = run(*of(table, tmp_path / "out", "--inference", "map,elbo"))
    assert result.exit_code == 1
    assert "deepar-elbo (seed 0): FloatingPointError: the loss is nan" in result.stderr
    assert "Traceback" not in result.stderr
    assert "deepar-map" in result.stdout
    assert "deepar-elbo" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_traceback_is_shown_on_demand_only(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tsbnn.evaluation

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(tsbnn.evaluation, "backtest", broken)
    plain = run(*of(table, tmp_path / "out"))
    assert plain.exit_code == 1
    assert one_line(plain) == "tsbnn: out of luck"
    debugged = run(*of(table, tmp_path / "out", "--debug"))
    assert debugged.exit_code == 1
    assert "Traceback (most recent call last)" in debugged.stderr
    assert debugged.stderr.splitlines()[-1] == "tsbnn: out of luck"


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_interrupt_leaves_nothing(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    error: BaseException = KeyboardInterrupt()
    if wrapped:  # as Lightning's trainer does
        error = SystemExit(1)
        error.__context__ = KeyboardInterrupt()
    breaking(monkeypatch, error)
    result = run(*of(table, tmp_path / "out"))
    assert result.exit_code == 130
    assert "tsbnn: interrupted" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_names_what_there_is() -> None:
    from tsbnn.forecasting.catalogue import NETWORKS

    said = run("backtest", "--help").stdout
    for name in (*METHODS, *NETWORKS):
        assert name in said
