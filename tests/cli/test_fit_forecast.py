"""``tsbnn fit`` and ``tsbnn forecast``: what they write, read and say."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsbnn
from tests.cli.running import COLUMNS, TINY, one_line, run, sales


def test_the_forecast_is_that_of_the_model(
    model: Path, past_file: Path, forecast_file: Path
) -> None:
    written = pd.read_csv(forecast_file, parse_dates=["day"])
    expected = tsbnn.load(model).predict_frame(pd.read_csv(past_file))
    pd.testing.assert_frame_equal(written, expected, check_dtype=False, rtol=1e-5)
    assert list(written["shop"].unique()) == ["shop-0", "shop-1"]
    assert str(written["day"].min().date()) == "2024-03-28"


def test_fit_tells_what_it_did(past_file: Path, tmp_path: Path) -> None:
    arguments = ("fit", past_file, *COLUMNS, "--out", tmp_path / "m", "--prediction-length", 2)
    more = ("--inference", "map", "--support", "nonnegative", "--time-limit", 60)
    more += ("--time-features", "day_of_week,month_of_year")
    result = run(*arguments, *TINY, "--json", *more)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["series"] == 2
    assert told["observations"] == len(pd.read_csv(past_file))
    assert (told["freq"], told["prediction_length"]) == ("D", 2)
    assert (told["network"], told["inference"]) == ("deepar", "map")
    assert told["gradient_evaluations"] == 2
    assert f"{tmp_path / 'm'}: deepar by map, 2 series" in one_line_of_stderr(result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    # Two time features, and the age of the series.
    assert tsbnn.load(tmp_path / "m").network.network.num_feat_dynamic_real == 3


def one_line_of_stderr(text: str) -> str:
    assert len(text.splitlines()) == 1, text
    return text


def test_the_seed_decides(past_file: Path, tmp_path: Path) -> None:
    tables = []
    for seed in (1, 1, 2):
        folder = tmp_path / "model"  # replaced each time
        arguments = (*COLUMNS, "--out", folder, "--prediction-length", 2, *TINY, "--seed", seed)
        assert run("fit", past_file, *arguments).exit_code == 0
        tables.append(run("forecast", folder, past_file).stdout)
    assert tables[0] == tables[1] != tables[2]


def test_covariates_and_their_future(tmp_path: Path) -> None:
    frame = sales(days=60).assign(visits=1.0)
    ahead = frame["day"] > "2024-02-26"
    frame[~ahead].to_csv(tmp_path / "past.csv", index=False)
    columns = ["shop", "day", "price"]
    frame.loc[ahead, columns].to_csv(tmp_path / "future.csv", index=False)
    more = ("--covariates", "price", "--past-covariates", "visits", "--static", "size")
    size = ("--out", tmp_path / "model", "--prediction-length", 3)
    result = run("fit", tmp_path / "past.csv", *COLUMNS, *more, *size, *TINY)
    assert result.exit_code == 0, result.output
    forecast = ("forecast", tmp_path / "model", tmp_path / "past.csv")
    refused = run(*forecast, "--out", tmp_path / "forecast.csv")
    assert refused.exit_code == 3
    said = one_line(refused)
    for words in ("past.csv: series 'shop-0'", "2024-02-26", "--future-covariates"):
        assert words in said
    assert "prediction_length" not in said
    done = run(*forecast, "--future-covariates", tmp_path / "future.csv", "--quiet")
    assert done.exit_code == 0, done.output
    table = pd.read_csv(io.StringIO(done.stdout))
    assert list(table["day"]) == [f"2024-02-{27 + i}" for i in range(3)] * 2
    text = (tmp_path / "future.csv").read_text(encoding="utf-8").splitlines()
    text[2] = text[2].rpartition(",")[0] + ",dear"
    (tmp_path / "wrong.csv").write_text("\n".join(text), encoding="utf-8")
    refused = run(*forecast, "--future-covariates", tmp_path / "wrong.csv")
    assert refused.exit_code == 3
    assert "wrong.csv: --future-covariates, series 'shop-0', row 3" in one_line(refused)
    # The same as rows at the end of the data, whose target is empty.
    both = frame.assign(sales=frame["sales"].where(~ahead))
    both.to_csv(tmp_path / "both.csv", index=False)
    appended = run("forecast", tmp_path / "model", tmp_path / "both.csv")
    assert appended.stdout == done.stdout


def test_columns_that_need_not_be_named(tmp_path: Path) -> None:
    names = {"shop": "unique_id", "day": "ds", "sales": "y"}
    sales().rename(columns=names).to_csv(tmp_path / "y.csv", index=False)
    folder = tmp_path / "model"
    result = run("fit", tmp_path / "y.csv", "--out", folder, "--prediction-length", 2, *TINY)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(io.StringIO(run("forecast", folder, tmp_path / "y.csv").stdout))
    assert list(table.columns[:2]) == ["unique_id", "ds"]
    # Other names than in training are told to the forecast.
    sales().to_csv(tmp_path / "other.csv", index=False)
    other = run("forecast", folder, tmp_path / "other.csv", *COLUMNS)
    assert other.exit_code == 0, other.output
    assert list(pd.read_csv(io.StringIO(other.stdout)).columns[:2]) == ["shop", "day"]


def test_quantiles_levels_and_paths(model: Path, past_file: Path, tmp_path: Path) -> None:
    out, paths = tmp_path / "f.csv.gz", tmp_path / "paths.csv"
    more = ("--quantiles", "0.25,0.75", "--levels", "50", "--num-samples", 6)
    result = run("forecast", model, past_file, "--out", out, "--samples", paths, *more, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["series"], told["prediction_length"], told["rows"]) == (2, 3, 6)
    table = pd.read_csv(out)
    assert told["columns"] == list(table.columns)
    assert {"0.25", "0.75", "lo-50", "hi-50"} < set(table.columns)
    assert "0.1" not in table
    samples = pd.read_csv(paths)
    assert len(samples) == 2 * 3 * 6
    mean = samples.groupby(["shop", "day"])["value"].mean().to_numpy()
    np.testing.assert_allclose(mean, table["mean"], rtol=1e-4)


def test_streams(model: Path, past_file: Path, forecast_file: Path) -> None:
    result = run("forecast", model, "-", input=past_file.read_bytes())
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout == forecast_file.read_text(encoding="utf-8")


def test_streams_of_parquet(model: Path, past_file: Path, forecast_file: Path) -> None:
    pytest.importorskip("pyarrow")
    content = io.BytesIO()
    pd.read_csv(past_file).to_parquet(content)
    more = ("--format", "parquet")
    result = run("forecast", model, "-", *more, input=content.getvalue())
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(io.BytesIO(result.stdout_bytes))
    np.testing.assert_allclose(table["mean"], pd.read_csv(forecast_file)["mean"], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("forecast", "MODEL", "-", "--future-covariates", "-"), ["standard input"]),
        (("forecast", "MODEL", "DATA", "--json"), ["--json", "--out"]),
        (("forecast", "MODEL", "DATA", "--out", "x.txt"), ["--out x.txt", ".csv", ".parquet"]),
        (("forecast", "MODEL", "DATA", "--out", "no/x.csv"), ["no folder"]),
        (("forecast", "MODEL", "DATA", "--quantiles", "0.1,1.5"), ["--quantiles", "1.5"]),
        (("forecast", "MODEL", "DATA", "--levels", "x"), ["--levels", "'x'"]),
        (("forecast", "nowhere", "DATA"), ["MODEL", "nowhere"]),
        (("fit", "DATA", "--out", "m"), ["--prediction-length"]),
        (("fit", "DATA", "--out", "m", "--prediction-length", "0"), ["--prediction-length"]),
        (("fit", "DATA", "--out", "m", "--prediction-length", "2", "--model", "x"), ["--model"]),
        (("fit", "DATA", "--out", ".", "--prediction-length", "2"), ["working directory"]),
        (("fit", "DATA", "--out", "..", "--prediction-length", "2"), ["no model"]),
        (("fit", "DATA", "--out", "m", "--predict-length", "2"), ["--prediction-length"]),
        (("fits",), ["fit"]),
    ],
)
def test_usage_errors(
    arguments: tuple[str, ...],
    words: list[str],
    model: Path,
    past_file: Path,
    empty_working_directory: Path,
) -> None:
    known = {"MODEL": str(model), "DATA": str(past_file)}
    result = run(*(known.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    said = one_line(result)
    for word in words:
        assert word in said


def test_bad_data_names_file_column_and_row(model: Path, past_file: Path, tmp_path: Path) -> None:
    lines = past_file.read_text(encoding="utf-8").splitlines()
    cells = lines[4].split(",")
    cells[2] = "many"
    lines[4] = ",".join(cells)
    (tmp_path / "bad.csv").write_text("\n".join(lines), encoding="utf-8")
    result = run("forecast", model, tmp_path / "bad.csv")
    assert result.exit_code == 3
    for words in ("bad.csv: series 'shop-0', row 5, column 'sales'", "'many'"):
        assert words in one_line(result)
    streamed = run("forecast", model, "-", input="\n".join(lines).encode())
    assert "standard input: series 'shop-0', row 5" in one_line(streamed)
    assert "standard input is empty" in one_line(run("forecast", model, "-", input=b""))
    other = run("forecast", model, past_file, "--target", "sale")
    assert other.exit_code == 3
    assert "--target 'sale': there is no such column; did you mean 'sales'?" in one_line(other)


def test_series_shorter_than_a_forecast(tmp_path: Path) -> None:
    sales(days=4).to_csv(tmp_path / "short.csv", index=False)
    size = ("--out", tmp_path / "model", "--prediction-length", 5)
    result = run("fit", tmp_path / "short.csv", *COLUMNS, *size, *TINY)
    assert result.exit_code == 3
    said = one_line(result)
    assert "short.csv: none of the 2 series has the 5 points" in said
    assert "(--prediction-length); the longest has 4 points: 'shop-0' has 4, 'shop-1'" in said
    assert not (tmp_path / "model").exists()


def test_future_covariates_that_no_model_takes(model: Path, past_file: Path) -> None:
    result = run("forecast", model, past_file, "--future-covariates", past_file)
    assert result.exit_code == 3
    assert "trained without --covariates" in one_line(result)


def test_a_damaged_model_is_bad_data(model: Path, past_file: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    result = run("forecast", tmp_path, past_file)
    assert result.exit_code == 3
    assert "not the manifest of a tsbnn model" in one_line(result)
