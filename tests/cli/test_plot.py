"""``tsbnn plot``: one page of fan charts from tables."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from tests.cli.running import COLUMNS, one_line, run
from tsbnn.cli.fans import fans
from tsbnn.cli.matching import Names, open_actuals, open_forecasts
from tsbnn.cli.options import Format


def test_a_page_of_all_series(forecast_file: Path, sales_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.png"
    result = run("plot", forecast_file, sales_file, *COLUMNS, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["series"] == ["shop-0", "shop-1"]
    assert f"{out}: 2 series" in result.stderr
    pixels = matplotlib.image.imread(out)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 50
    assert [path.name for path in tmp_path.iterdir()] == ["page.png"]


@pytest.mark.parametrize(("name", "begin"), [("f.svg", b"<?xml"), ("f.pdf", b"%PDF")])
def test_other_formats(forecast_file: Path, tmp_path: Path, name: str, begin: bytes) -> None:
    columns = ("--item-id", "shop", "--timestamp", "day")
    more = ("--series", "shop-1", "--dark", "--unit", "pieces", "--quiet")
    contents = []
    for _ in range(2):
        result = run("plot", forecast_file, *columns, *more, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert result.output == ""
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(begin)


def test_what_is_drawn(forecast_file: Path, sales_file: Path) -> None:
    names = Names("shop", "day", "sales")
    table, (model,) = open_forecasts(forecast_file, Format.CSV, names)
    actuals = open_actuals(sales_file, Format.CSV, names)
    (fan,) = fans(table, model, actuals, ["shop-1"], None, 4)
    written = pd.read_csv(forecast_file).query("shop == 'shop-1'")
    sales = pd.read_csv(sales_file).query("shop == 'shop-1'")["sales"].to_numpy()
    assert (fan.name, str(fan.start_date)) == ("shop-1", "2024-03-28")
    assert fan.intervals == (0.8, 0.95)
    np.testing.assert_allclose(fan.quantile(0.5), written["median"])
    np.testing.assert_allclose(fan.quantile(0.975), written["hi-95"])
    np.testing.assert_allclose(fan.history, sales[-7:-3], rtol=1e-6)
    assert fan.observed is not None
    np.testing.assert_allclose(fan.observed, sales[-3:], rtol=1e-6)
    assert fan.epistemic_variance is not None
    np.testing.assert_allclose(fan.epistemic_variance, written["epistemic_std"] ** 2)


def test_the_latest_cutoff_and_gaps(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=8).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"ds": days, "0.1": 0.0, "median": 1.0, "0.9": np.arange(8.0)})
    frame.insert(1, "cutoff", ["2023-12-31"] * 4 + ["2024-01-04"] * 4)
    frame["y"] = np.arange(10.0, 18.0)
    frame.drop(index=6).to_csv(tmp_path / "cv.csv", index=False)
    table, (model,) = open_forecasts(tmp_path / "cv.csv", Format.CSV, Names(None, None, None))
    (fan,) = fans(table, model, None, [""], "D", None)
    np.testing.assert_array_equal(fan.quantile(0.9), [4.0, 5.0, np.nan, 7.0])
    # What came is in the table; what other cutoffs have of it is history.
    (fan,) = fans(table, model, table.without_repetition(), [""], "D", 2)
    np.testing.assert_array_equal(fan.history, [12.0, 13.0])
    np.testing.assert_array_equal(fan.observed, [14.0, 15.0, np.nan, 17.0])
    assert run("plot", tmp_path / "cv.csv", "--out", tmp_path / "cv.png").exit_code == 0


def test_more_series_than_fit(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=3).strftime("%Y-%m-%d")
    parts = [
        pd.DataFrame({"item_id": f"s{i}", "timestamp": days, "0.1": 0.0, "0.5": 1.0, "0.9": 2.0})
        for i in range(5)
    ]
    pd.concat(parts).to_csv(tmp_path / "many.csv", index=False)
    out = ("--out", tmp_path / "many.png")
    result = run("plot", tmp_path / "many.csv", *out, "--most", 4)
    assert result.exit_code == 0, result.output
    assert "4 series of 5; --series chooses others" in result.stderr


def test_errors(forecast_file: Path, sales_file: Path, tmp_path: Path) -> None:
    columns = ("--item-id", "shop", "--timestamp", "day")
    usage: dict[tuple[object, ...], list[str]] = {
        ("--out", "x.jpg"): ["--out x.jpg", ".png"],
        ("--out", "-"): ["--out"],
        ("--series", "shop-9"): ["--series shop-9", "shop-0, shop-1"],
        ("--model", "x"): ["--model x", "forecast"],
    }
    for more, words in usage.items():
        result = run("plot", forecast_file, *columns, "--out", tmp_path / "x.png", *more)
        assert result.exit_code == 2
        for word in words:
            assert word in one_line(result)
    points = pd.read_csv(sales_file)[["shop", "day", "price"]]
    points.to_csv(tmp_path / "points.csv", index=False)
    result = run("plot", tmp_path / "points.csv", *columns, "--out", tmp_path / "x.png")
    assert result.exit_code == 3
    assert "price has no intervals" in one_line(result)
    assert not (tmp_path / "x.png").exists()
