"""Reports: files that agree with each other, a page that needs no other, nothing half-written."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from gluonts.model.forecast import SampleForecast

from tsbnn.evaluation import Backtest, backtest
from tsbnn.evaluation import report as report_module
from tsbnn.evaluation.figures import typical_windows
from tsbnn.evaluation.learnt import learnt
from tsbnn.evaluation.page import findings
from tsbnn.evaluation.report import differences_from_first, write_report
from tsbnn.evaluation.table import COLUMNS, summary_table, window_errors, written

STEPS = 4


class Drawn(SampleForecast):
    """Paths of ten weight draws."""

    num_draws = 10

    @property
    def epistemic_variance(self) -> np.ndarray:
        return np.linspace(-0.1, 0.3, STEPS)

    @property
    def total_std(self) -> np.ndarray:
        return self.samples.std(axis=0)


def diagnostics(seed: int, warnings: list[str]) -> dict[str, Any]:
    """What training tells of a posterior over two tensors, one of them without a spread."""
    layer = {
        "name": "head.weight <i>",
        "num_weights": 1200,
        "num_spread": 1200,
        "spread": [0.0123, 0.456, 0.99],
        "shift": 0.1,
        "learnt_nothing": 0.25,
        "collapsed": 0.0,
        "gradient_noise": 0.97,
        "details": {"strength": 33.3},
    }
    empty = dict.fromkeys(["spread", "shift", "learnt_nothing", "collapsed", "gradient_noise"])
    fixed = {"name": "body", "num_weights": 7, "num_spread": 0, **empty}
    return {
        "num_observations": 123,
        "temperature": 0.5,
        "elbo": -1.25 - seed,
        "elbo_note": None,
        "gradient_noise": 0.97,
        "learnt_nothing": 0.25,
        "collapsed": None,
        "details": {"trust_region_hits": 0.125, "swaps": None},
        "layers": [layer, {**fixed, "details": {"strength": 4e-7}}],
        "warnings": warnings,
    }


class Planted:
    """An estimator and predictor that adds noise and bias to the last value."""

    prediction_length = STEPS

    def __init__(self, bias: float, kind: type = SampleForecast, seed: int = 0) -> None:
        self.bias, self.kind, self.seed = bias, kind, seed
        self.training_summary: dict[str, Any] = {}

    def with_seed(self, seed: int) -> Planted:
        return Planted(self.bias, self.kind, seed)

    def describe(self) -> dict[str, str]:
        return {"network": "planted <b>", "inference": "score", "family": "mean_field"}

    def train(self, training_data: Any) -> Planted:
        self.training_summary = {
            "gradient_evaluations": 10 + self.seed,
            "num_observations": 123,
            "num_weights": 4567,
            "temperature": 0.5,
            "settings": {"learning_rate": 0.005, "prior": {"name": "<script>"}},
        }
        if self.kind is Drawn:
            found = diagnostics(self.seed, [f"Collapsed & under seed {self.seed}."])
            self.training_summary["diagnostics"] = found
        return self

    def predict(self, dataset: Any, num_samples: int) -> Iterator[SampleForecast]:
        generator = np.random.default_rng(self.seed)
        for entry in dataset:
            noise = generator.normal(self.bias, 1, (num_samples, STEPS)).cumsum(axis=1)
            yield self.kind(
                samples=entry["target"][-1] + noise,
                start_date=entry["start"] + len(entry["target"]),
                item_id=entry["item_id"],
            )


def series(count: int = 2, length: int = 120) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    return [
        {
            "item_id": f"shop & {i}",
            "start": pd.Period("2024-01-01", freq="D"),
            "target": generator.normal(0, 1, length).cumsum().astype(np.float32),
        }
        for i in range(count)
    ]


def run(seeds: tuple[int, ...] = (0,), windows: int = 12, **models: Any) -> Backtest:
    models = models or {"good": Planted(0.0, Drawn), "biased": Planted(2.0)}
    return backtest(
        models,
        series(),
        prediction_length=STEPS,
        windows=windows,
        seeds=seeds,
        num_samples=50,
        baselines={},
        dataset_name="shops",
    )


@pytest.fixture(scope="module")
def result() -> Backtest:
    return run(seeds=(0, 1))


@pytest.fixture(scope="module")
def folder(result: Backtest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reports") / "report"
    assert write_report(result, place, units={"shop & 0": "€"}) == place / "report.html"
    return place


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    VOID = frozenset({"meta", "img", "source", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_files_agree_with_each_other_and_the_backtest(folder: Path, result: Backtest) -> None:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    there = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert summary["files"] == there
    table = pd.read_csv(folder / "results.csv")
    assert list(table.columns) == list(result.results.columns)
    assert len(table) == len(result.results)
    for model, about in summary["models"].items():
        for metric in ("crps", "coverage_95", "pit_deviation"):
            values = table[(table["model"] == model) & (table["metric"] == metric)]["value"]
            assert about["metrics"][metric]["mean"] == pytest.approx(values.mean())
            assert about["metrics"][metric]["standard_error"] == pytest.approx(values.sem())
    assert summary["models"]["good"]["runs"][1]["num_observations"] == 123
    assert [d["b"] for d in summary["differences"]] == ["biased"]
    assert summary["environment"]["numpy"] == np.__version__


def test_the_page_needs_nothing_else(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "video", "audio"}
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href", "style", "background"):
            if name in attributes:
                assert attributes[name].startswith("data:image/png;base64,"), (tag, name)
        assert not any(name.startswith("on") for name in attributes)


def test_style_loads_nothing(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "@import" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_every_plot_is_in_the_page_for_light_and_dark(page: Page, folder: Path) -> None:
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    nights = [attributes for tag, attributes in page.tags if tag == "source"]
    files = {file.read_bytes() for file in (folder / "plots").glob("*.png")}
    light = {base64.b64decode(image["src"].partition(",")[2]) for image in images}
    assert light == files
    assert len(files) == len(nights) == 7  # differences, reliability, share, 2 PIT, 2 fans
    for image, night in zip(images, nights, strict=True):
        assert image["alt"]
        dark = base64.b64decode(night["srcset"].partition(",")[2])
        page_colours = []
        for file in (base64.b64decode(image["src"].partition(",")[2]), dark):
            pixels = matplotlib.image.imread(io.BytesIO(file))
            ratio = pixels.shape[1] / pixels.shape[0]
            assert ratio == pytest.approx(int(image["width"]) / int(image["height"]), rel=0.02)
            page_colours.append(pixels[2, 2, :3].mean())
        assert page_colours[0] > 0.95
        assert page_colours[1] < 0.15


def test_names_are_text_not_markup(page: Page) -> None:
    said = "".join(page.text)
    assert "planted <b>" in said
    assert '"name": "<script>"' in said
    assert "shop & 0" in said


def test_the_page_says_what_was_done(page: Page) -> None:
    said = "".join(page.text)
    for words in (
        "123",
        "4\u202f567",
        "0.5",
        "learning_rate=0.005",
        "± is the standard error over 2",
    ):
        assert words in said
    assert "Python" in said


def test_the_page_says_what_the_posterior_learnt(page: Page) -> None:
    said = " ".join("".join(page.text).split())
    assert "good. Collapsed & under seed 0." in said
    assert "good. Collapsed & under seed 1." in said
    assert "good1230.5−1.7597.0 %0.45625.0 %–" in said, "means over seeds"
    assert "proximal strength 4.0e−07 to 33.3; trust-region hits 12.5 %" in said
    assert "good, tensor by tensor (first seed)" in said
    assert "head.weight <i>1 2000.01230.4560.99025 %0 %97 %33.3" in said
    assert "body7––––––4.0e−07" in said
    assert "biased, tensor by tensor" not in said
    assert [attributes for tag, attributes in page.tags if tag == "details"] == [{}], "folded"


def test_without_a_posterior_nothing_is_said_of_one() -> None:
    assert learnt(run(windows=2, one=Planted(0.0))) == []


def test_wide_content_scrolls_in_its_box(page: Page) -> None:
    open_boxes = 0
    for tag, attributes in page.tags:
        if tag == "div" and attributes.get("class") == "scroll":
            open_boxes += 1
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
        if tag == "table":
            assert open_boxes > 0
            open_boxes -= 1


def test_best_is_marked_once_per_score(result: Backtest) -> None:
    table = summary_table(result)
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


def test_findings_follow_the_intervals(result: Backtest) -> None:
    said = " ".join(findings(result, differences_from_first(result)))
    assert "The lowest CRPS is that of good" in said
    assert "The CRPS of good is lower than that of biased" in said


def test_typical_windows_are_of_median_difficulty(result: Backtest) -> None:
    chosen = typical_windows(result)
    items = result.windows["item_id"].to_numpy()
    assert list(items[chosen]) == ["shop & 0", "shop & 1"]
    crps = np.mean([s.numerators["crps"] for s in result.scores.values()], axis=0)
    for place in chosen:
        same = crps[items == items[place]]
        assert abs((same <= crps[place]).mean() - 0.5) <= 1 / len(same)


def test_one_window_and_one_model_make_a_report(tmp_path: Path) -> None:
    result = backtest(
        {"alone": Planted(0.0)},
        series(count=1),
        prediction_length=STEPS,
        windows=1,
        num_samples=20,
        baselines=False,
    )
    text = write_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert "Differences" not in text
    assert "alone" in "".join(Page(text).text)


def test_failed_runs_are_told(tmp_path: Path, result: Backtest) -> None:
    class Broken(Planted):
        def with_seed(self, seed: int) -> Broken:
            return self

        def train(self, training_data: Any) -> Planted:
            raise RuntimeError("no luck")

    entries = series()
    found = backtest(
        {"good": Planted(0.0), "broken": Broken(0.0)},
        entries,
        prediction_length=STEPS,
        windows=2,
        num_samples=20,
        baselines=False,
        on_error="skip",
    )
    said = "".join(Page(write_report(found, tmp_path / "r").read_text(encoding="utf-8")).text)
    assert "broken, seed 0" in said
    assert "RuntimeError: no luck" in said
    found.scores.clear()
    with pytest.raises(ValueError, match="no model gave results"):
        write_report(found, tmp_path / "none")
    assert not (tmp_path / "none").exists()


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


def test_progress_goes_from_nothing_to_all(tmp_path: Path) -> None:
    shares: list[float] = []
    write_report(run(windows=2, one=Planted(0.0)), tmp_path / "r", progress=shares.append)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)


def test_file_names_are_safe(tmp_path: Path) -> None:
    write_report(run(windows=2, **{"a/../b c": Planted(0.0)}), tmp_path / "r")
    names = [p.name for p in (tmp_path / "r" / "plots").iterdir()]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+\.png", name) for name in names)
    assert "fan-a-..-b-c.png" in names


def test_models_of_similar_names_have_their_own_files(tmp_path: Path) -> None:
    models = {"a b": Planted(0.0), "a-b": Planted(1.0)}
    write_report(run(windows=2, **models), tmp_path / "r")
    fans = sorted(p.name for p in (tmp_path / "r" / "plots").glob("fan-*"))
    assert fans == ["fan-a-b-2.png", "fan-a-b.png"]
