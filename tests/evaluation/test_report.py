"""Reports: files that agree with each other, of one dataset or several, nothing half-written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.planted import STEPS, Drawn, Planted, run, series
from tsbnn.evaluation import Backtest, backtest
from tsbnn.evaluation import report as report_module
from tsbnn.evaluation.report import write_report


def summary_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text(encoding="utf-8")))


def test_files_agree_with_each_other_and_the_backtest(
    report_folder: Path, reported: Backtest
) -> None:
    summary = summary_of(report_folder)
    there = [str(p.relative_to(report_folder)) for p in report_folder.rglob("*") if p.is_file()]
    assert summary["files"] == sorted(there)
    table = pd.read_csv(report_folder / "results.csv")
    assert list(table.columns) == list(reported.results.columns)
    assert len(table) == len(reported.results)
    for model, about in summary["models"].items():
        for metric in ("crps", "coverage_95", "pit_deviation"):
            values = table[(table["model"] == model) & (table["metric"] == metric)]["value"]
            assert about["metrics"][metric]["mean"] == pytest.approx(values.mean())
            assert about["metrics"][metric]["standard_error"] == pytest.approx(values.sem())
    assert summary["models"]["good"]["runs"][1]["num_observations"] == 123
    assert [(d["a"], d["b"]) for d in summary["differences"]] == [("biased", "good")]
    assert summary["environment"]["numpy"] == np.__version__


def test_every_plot_is_a_file_that_can_be_read(report_folder: Path) -> None:
    import matplotlib.image

    names = sorted(file.stem for file in (report_folder / "plots").iterdir())
    one = ["decomposition-good", "differences", "epistemic-share", "selective-good", "sharpness"]
    each = [f"{kind}-{model}" for kind in ("calibration", "fan") for model in ("good", "biased")]
    assert names == sorted([*one, *each, "training", *(f"worst-good-{i}" for i in range(1, 5))])
    for file in (report_folder / "plots").iterdir():
        pixels = matplotlib.image.imread(file)
        assert pixels.shape[1] == 792
        assert pixels[2, 2, :3].mean() == 1
        assert pixels[..., :3].std() > 0.05, "something is drawn"


@pytest.mark.usefixtures("blank")
def test_several_datasets_make_one_report(tmp_path: Path) -> None:
    models = {"good": Planted(0.0), "biased": Planted(2.0)}
    parts = [run(windows=2, dataset_name=name, **models) for name in ("shops", "shops 2")]
    parts[1] = run(windows=2, dataset_name="shops 2", extra=Planted(1.0), **models)
    write_report(parts, tmp_path / "r")
    summary = summary_of(tmp_path / "r")
    assert [one["dataset"] for one in summary["datasets"]] == ["shops", "shops 2"]
    assert summary["ranks"]["average_ranks"] == {"good": 1.0, "biased": 2.0}
    assert {"plots/ranks.png", "plots/shops-sharpness.png", "plots/shops-2-fan-extra.png"} <= set(
        summary["files"]
    )
    table = pd.read_csv(tmp_path / "r" / "results.csv")
    assert len(table) == sum(len(part.results) for part in parts)


@pytest.mark.usefixtures("blank")
def test_a_series_that_is_scored_may_have_no_seasonal_error(tmp_path: Path) -> None:
    """One is constant, and of the other no label is observed."""
    constant, unknown = series(2)
    constant["target"] = np.full_like(constant["target"], 5.0)
    unknown["target"][-STEPS:] = np.nan
    found = backtest(
        {"good": Planted(0.0, Drawn)},
        [constant, unknown],
        prediction_length=STEPS,
        windows=1,
        num_samples=50,
        baselines={},
    )
    write_report(found, tmp_path / "r")
    assert (tmp_path / "r/plots/selective-good.png").is_file()


@pytest.mark.usefixtures("blank")
def test_one_backtest_in_a_list_is_one_backtest(tmp_path: Path) -> None:
    write_report([run(windows=2, one=Planted(0.0))], tmp_path / "r")
    assert summary_of(tmp_path / "r")["dataset"] == "shops"


def test_datasets_need_names_of_their_own(tmp_path: Path) -> None:
    one, other = (run(windows=1, count=1, one=Planted(0.0)) for _ in range(2))
    with pytest.raises(ValueError, match="two backtests are of 'shops'"):
        write_report([one, other], tmp_path / "r")
    other.dataset = ""
    with pytest.raises(ValueError, match="dataset_name"):
        write_report([one, other], tmp_path / "r")
    with pytest.raises(ValueError, match="no backtest"):
        write_report([], tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_nothing_to_report_is_an_error(tmp_path: Path) -> None:
    result = run(windows=1, count=1, one=Planted(0.0))
    result.scores.clear()
    with pytest.raises(ValueError, match="no model gave results on 'shops'"):
        write_report(result, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_without_kept_forecasts_the_scores_are_reported(tmp_path: Path) -> None:
    result = backtest(
        {"alone": Planted(0.0), "other": Planted(1.0)},
        series(),
        prediction_length=STEPS,
        windows=2,
        num_samples=20,
        baselines=False,
        keep_forecasts=False,
    )
    write_report(result, tmp_path / "r")
    names = sorted(file.stem for file in (tmp_path / "r" / "plots").iterdir())
    assert names == ["differences", "sharpness", "training"]


@pytest.mark.usefixtures("blank")
def test_a_second_report_takes_the_first_ones_place(tmp_path: Path) -> None:
    place = tmp_path / "report"
    write_report(run(windows=2, old=Planted(0.0)), place)
    (place / "notes.txt").write_text("mine", encoding="utf-8")
    (place / "plots" / "mine.png").write_bytes(b"mine")
    assert (place / "plots" / "fan-old.png").exists()
    write_report(run(windows=2, new=Planted(0.0)), place)
    assert (place / "plots" / "fan-new.png").exists()
    assert not (place / "plots" / "fan-old.png").exists()
    assert (place / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (place / "plots" / "mine.png").read_bytes() == b"mine"
    assert not [name for name in place.iterdir() if name.name.startswith(".")]


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_left_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    result, place = run(windows=2, one=Planted(0.0)), tmp_path / "report"
    if there:
        place.mkdir()
    written_so_far = []

    def interrupted(file: Path, content: bytes) -> int:
        written_so_far.append(file)
        if len(written_so_far) == 3:
            raise KeyboardInterrupt
        return original(file, content)

    original = Path.write_bytes
    monkeypatch.setattr(report_module.Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(result, place)
    assert len(written_so_far) == 3
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert sorted(p.name for p in tmp_path.iterdir()) == (["report"] if there else [])


@pytest.mark.usefixtures("blank")
def test_progress_goes_from_nothing_to_all(tmp_path: Path) -> None:
    shares: list[float] = []
    write_report(run(windows=2, one=Planted(0.0)), tmp_path / "r", progress=shares.append)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)
    assert len(shares) > 5


@pytest.mark.usefixtures("blank")
def test_file_names_are_safe_and_no_two_alike(tmp_path: Path) -> None:
    models = {"a/../b c": Planted(0.0), "a b": Planted(0.5), "a-b": Planted(1.0)}
    write_report(run(windows=2, **models), tmp_path / "r")
    names = [p.name for p in (tmp_path / "r" / "plots").iterdir()]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+\.png", name) for name in names)
    fans = {name for name in names if name.startswith("fan")}
    assert fans == {"fan-a-..-b-c.png", "fan-a-b.png", "fan-a-b-2.png"}
