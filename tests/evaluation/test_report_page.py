"""The page of a report: needs no other file, says what was found, can be navigated."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.planted import STEPS, Planted, run, series
from tsbnn.evaluation import Backtest, backtest
from tsbnn.evaluation.learnt import learnt
from tsbnn.evaluation.report import write_report
from tsbnn.evaluation.section import findings
from tsbnn.evaluation.table import differences_to_best


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "svg"} & set(self.open):
            self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag in tags]

    @property
    def said(self) -> str:
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def page(report_folder: Path) -> Page:
    return Page(report_folder / "report.html")


@pytest.fixture
def several(tmp_path: Path, blank: None) -> Page:
    models = {"good": Planted(0.0), "biased": Planted(2.0)}
    parts = [run(windows=2, count=5, dataset_name=name, **models) for name in ("a b", "c")]
    return Page(write_report(parts, tmp_path / "r"))


def test_the_page_needs_nothing_else(page: Page, report_folder: Path) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "img", "image", "base"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "background"), tag
            if name.endswith("href"):
                assert value.startswith("#"), tag
    text = (report_folder / "report.html").read_text(encoding="utf-8")
    assert "@import" not in text
    assert text.count("url(") == text.count("url(#")
    assert "(prefers-color-scheme: dark)" in text


def test_the_page_is_small(report_folder: Path) -> None:
    assert (report_folder / "report.html").stat().st_size < 600_000


def test_every_plot_is_in_the_page(page: Page, report_folder: Path) -> None:
    plots = page.all("svg")
    assert len(plots) == len(list((report_folder / "plots").iterdir())) == 14
    assert all(plot["aria-label"] for plot in plots)
    assert len(page.all("figcaption")) == len(plots)


def test_names_are_text_not_markup(page: Page) -> None:
    assert "planted <b>" in page.said
    assert '"name": "<script>"' in page.said
    assert "shop & 0" in page.said


def test_the_page_says_what_was_done(page: Page) -> None:
    for words in ("123", "4 567", "0.5", "learning_rate=0.005", "standard error over 2", "Python"):
        assert words in page.said


def test_every_table_has_a_caption_and_every_header_a_scope(page: Page) -> None:
    tables = page.all("table")
    assert len(tables) == len(page.all("caption")) == 9
    assert "Settings of the networks" in page.said
    assert all(header["scope"] in ("row", "col") for header in page.all("th"))


@pytest.mark.parametrize("which", ["page", "several"])
def test_contents_lead_to_every_section(which: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(which)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = {a["href"][1:] for a in page.all("a")}
    assert targets <= set(ids)
    headings = {attributes["id"] for attributes in page.all("h2", "h3")} - {"contents-title"}
    assert headings
    assert headings <= targets
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert labels <= set(ids)


def test_several_datasets_have_an_overview_and_a_section_each(several: Page) -> None:
    sections = [attributes["aria-labelledby"] for attributes in several.all("section")]
    assert sections == ["overview", "a-b-dataset", "c-dataset"]
    assert "Backtests on 2 datasets" in several.said
    assert "CRPS by dataset, and average rank" in several.said
    assert "CRPS minus that of good on c" in several.said
    assert "1.00 (best)" in several.said


def test_worst_series_of_many_are_in_a_table(several: Page, page: Page) -> None:
    title = "MASE of the series with the largest errors of good"
    assert f"{title} on a b" in several.said
    assert "5 of 5 series" in several.said
    assert title not in page.said, "two series are in the plots"


def test_the_page_says_what_the_posterior_learnt(page: Page) -> None:
    said = page.said
    assert "good. Collapsed & under seed 0." in said
    assert "good. Collapsed & under seed 1." in said
    assert "good1230.5−1.7597.0 %0.45625.0 %–" in said, "means over seeds"
    assert "proximal strength 4.0e−07 to 33.3; trust-region hits 12.5 %" in said
    assert "good, tensor by tensor (first seed)" in said
    assert "head.weight <i>1 2000.01230.4560.99025 %0 %97 %33.3" in said
    assert "body7––––––4.0e−07" in said
    assert "biased, tensor by tensor" not in said
    assert page.all("details") == [{}], "folded"


def test_without_a_posterior_nothing_is_said_of_one() -> None:
    assert learnt(run(windows=2, one=Planted(0.0))) == []


def test_wide_content_scrolls_in_its_box(page: Page) -> None:
    open_boxes = 0
    for tag, attributes in page.tags:
        if tag == "div" and attributes.get("class") == "scroll":
            open_boxes += 1
            assert attributes["tabindex"] == "0"
            assert attributes["aria-labelledby"]
        if tag == "table":
            assert open_boxes > 0
            open_boxes -= 1


def test_findings_follow_the_intervals(reported: Backtest) -> None:
    said = findings(reported, differences_to_best(reported))
    assert said[0].endswith("is that of good.")
    assert said[1:] == ["That of biased is clearly higher."]


@pytest.mark.usefixtures("blank")
def test_one_window_and_one_model_make_a_report(tmp_path: Path) -> None:
    result = run(windows=1, count=1, alone=Planted(0.0))
    said = Page(write_report(result, tmp_path / "out", title="Of <my> own")).said
    assert "Of <my> own" in said
    assert "Differences" not in said
    assert "1 model forecast 1 test window of 4 steps in one series" in said


@pytest.mark.usefixtures("blank")
def test_failed_runs_are_told(tmp_path: Path) -> None:
    class Broken(Planted):
        def with_seed(self, seed: int) -> Broken:
            return self

        def train(self, training_data: Any) -> Planted:
            raise RuntimeError("no luck")

    found = backtest(
        {"good": Planted(0.0), "broken": Broken(0.0)},
        series(),
        prediction_length=STEPS,
        windows=2,
        num_samples=20,
        baselines=False,
        on_error="skip",
    )
    said = Page(write_report(found, tmp_path / "r")).said
    assert "broken, seed 0" in said
    assert "RuntimeError: no luck" in said
