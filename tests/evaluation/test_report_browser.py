"""The page of a report in a browser: no message, no request, accessible, sensible on paper."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.planted import Planted, run
from tsbnn.evaluation.report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    paths = [found for name in NAMES if (found := shutil.which(name))]
    if not paths:
        pytest.skip(f"no Chromium is installed: none of {', '.join(NAMES)}")
    # Chromium refuses its sandbox to root, as whom containers run.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=paths[0], args=arguments)
        yield started
        started.close()


def opened(browser: Any, folder: Path, width: int, scheme: str) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.set_default_timeout(120_000)  # for busy machines
    page.told = []
    page.on("console", lambda message: page.told.append(message.text))
    page.on("pageerror", lambda error: page.told.append(str(error)))
    page.on("request", lambda request: page.told.append(request.url))
    page.goto((folder / "report.html").as_uri())
    return page


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_accessible_without_a_message_or_request(
    browser: Any, report_folder: Path, width: int, scheme: str
) -> None:
    page = opened(browser, report_folder, width, scheme)
    assert page.told == [(report_folder / "report.html").as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    result = axe.Axe().run(page).response
    found = [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in result["violations"]]
    assert found == []
    passed = {rule["id"] for rule in result["passes"]}
    assert {"color-contrast", "svg-img-alt"} <= passed
    assert width > 1000 or "scrollable-region-focusable" in passed
    page.close()


def test_plots_take_the_colours_of_the_scheme(browser: Any, report_folder: Path) -> None:
    background = "getComputedStyle(document.querySelector('svg path')).fill"
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(21, 24, 28)")):
        page = opened(browser, report_folder, 800, scheme)
        assert page.evaluate(background) == colour
        page.emulate_media(media="print")
        assert page.evaluate(background) == "rgb(255, 255, 255)", "paper is light"
        page.close()


def test_keys_lead_through_the_page(browser: Any, report_folder: Path) -> None:
    page = opened(browser, report_folder, 1280, "light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.hash") == "#environment"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#environment"
    page.close()


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_prints_on_paper_without_cut_plots(browser: Any, report_folder: Path) -> None:
    page = opened(browser, report_folder, 1280, "dark")
    assert 4 <= pages(page.pdf(prefer_css_page_size=True)) <= 8
    page.set_viewport_size({"width": 695, "height": 1017})  # an A4 page between its margins
    page.emulate_media(media="print")
    script = "all => all.map(one => one.getBoundingClientRect()).map(b => [b.right, b.height])"
    boxes = page.eval_on_selector_all("figure, tr", script)
    assert len(boxes) > 20
    assert max(right for right, _ in boxes) <= 700
    assert max(height for _, height in boxes) < 1017
    assert page.eval_on_selector("figure", "one => getComputedStyle(one).breakInside") == "avoid"
    page.close()


@pytest.mark.usefixtures("blank")
def test_each_dataset_begins_on_a_page_of_its_own(browser: Any, tmp_path: Path) -> None:
    models = {"good": Planted(0.0), "biased": Planted(2.0)}
    parts = [run(windows=1, count=1, dataset_name=name, **models) for name in "abcd"]
    write_report(parts, tmp_path / "r")
    page = opened(browser, tmp_path / "r", 1280, "light")
    together = pages(page.pdf(prefer_css_page_size=True))
    assert 5 <= together <= 17
    page.add_style_tag(content=".dataset { break-before: auto !important; }")
    assert pages(page.pdf(prefer_css_page_size=True)) < together
    page.close()
