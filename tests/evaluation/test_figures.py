"""Plots of reports: which there are, which windows they show, and how they get into a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.evaluation.planted import Drawn, Planted, run
from tsbnn.evaluation import Backtest
from tsbnn.evaluation.fans import scaled_errors, typical_windows, worst_windows
from tsbnn.evaluation.figures import figures
from tsbnn.evaluation.images import Drawing, colours, file_names


def test_typical_windows_are_of_median_difficulty(reported: Backtest) -> None:
    chosen = typical_windows(reported)
    items = reported.windows["item_id"].to_numpy()
    assert list(items[chosen]) == ["shop & 0", "shop & 1"]
    crps = np.mean([s.numerators["crps"] for s in reported.scores.values()], axis=0)
    for place in chosen:
        same = crps[items == items[place]]
        assert abs((same <= crps[place]).mean() - 0.5) <= 1 / len(same)


def test_scaled_errors_are_those_of_the_table(reported: Backtest) -> None:
    table = reported.results.query("metric == 'mase' and model == 'good'")["value"]
    assert scaled_errors(reported, "good").mean() == pytest.approx(table.mean())


def test_worst_windows_are_of_different_series_and_the_worst_comes_first() -> None:
    result = run(windows=3, count=5, one=Planted(0.0))
    errors = scaled_errors(result, "one").reshape(5, 3)
    chosen = worst_windows(result, "one")
    order = np.argsort(-errors.max(axis=1))[:4]
    assert chosen == [int(3 * series + errors[series].argmax()) for series in order]


def test_few_series_show_several_of_their_worst_windows() -> None:
    result = run(windows=3, count=1, one=Planted(0.0))
    errors = scaled_errors(result, "one")
    assert worst_windows(result, "one") == np.argsort(-errors, kind="stable").tolist()


def test_windows_without_labels_are_never_the_worst() -> None:
    result = run(windows=3, count=1, one=Planted(0.0))
    for sums in (result.scores["one", 0].numerators, result.scores["one", 0].denominators):
        sums["mase"][1] = 0.0
    assert set(worst_windows(result, "one")) == {0, 2}


def test_many_models_do_not_crowd_one_plot() -> None:
    result = run(windows=2, count=1, **{f"m{i}": Planted(0.1 * i, Drawn) for i in range(12)})
    found = {drawing.name: drawing for drawing in figures(result)}
    assert len([name for name in found if name.startswith("calibration-")]) == 12
    figure = Figure()
    found["sharpness"].paint(figure)
    assert len(figure.axes) == 3
    assert [len(ax.get_legend_handles_labels()[1]) for ax in figure.axes] == [4, 4, 4]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    top = max(line.get_ydata().max() for ax in figure.axes for line in ax.get_lines()[4:])
    assert figure.axes[0].get_ylim()[1] > top, "no curve is cut"


def test_reliability_has_intervals(reported: Backtest) -> None:
    (drawing,) = [d for d in figures(reported) if d.name == "calibration-good"]
    figure = Figure()
    drawing.paint(figure)
    left, right = figure.axes
    assert len(left.collections) == 1
    assert len(right.patches) == 20


def test_alternatives_say_what_a_plot_shows(reported: Backtest) -> None:
    said = [drawing.alt for drawing in figures(reported)]
    assert all(len(words) > 30 for words in said)
    assert len(set(said)) == len(said)


@pytest.fixture(scope="module")
def svg() -> str:
    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], marker="o", color="C0", label="one & <two>")
        ax.fill_between([0, 1], [0, 1], color="C1", alpha=0.3)
        ax.set_yticks([0.125, 0.375], ["0.125", "0.375"])
        ax.legend()

    return Drawing("group", "name", "caption", 'what "it" shows', 2.0, paint).plot("p-").svg


def test_a_plot_is_one_element_in_the_colours_of_the_page(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'what "it" shows'
    assert root.attrib["viewBox"].split()[2:] == ["316.8", "144"]
    assert "one &amp; &lt;two&gt;" in svg
    assert ">0.125<" in svg, "numbers that are read keep their digits"
    assert not re.search(r'd="[^"]*\.\d{3}', svg), "those of shapes do not"
    assert not re.search("#[0-9a-f]{6}", svg), "every colour is one of the page's"
    used = set(re.findall(r"var\(--([a-z0-9]+)\)", svg))
    assert used - {"font"} <= set(colours())
    assert {"c0", "c1", "ink", "font"} <= used


def test_ids_of_a_plot_are_its_own_and_are_used(svg: str) -> None:
    ids = re.findall(r'id="([^"]*)"', svg)
    used = set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg))
    assert ids
    assert all(name.startswith("p-name-") for name in ids)
    assert set(ids) == used
    assert len(set(ids)) == len(ids)


def test_both_schemes_have_the_same_colours_to_choose() -> None:
    light, dark = colours(), colours(dark=True)
    assert list(light) == list(dark)
    assert len(set(light.values())) == len(light), "each can be told by its value"


def test_file_names_are_told_apart() -> None:
    assert file_names(["a b", "a-b", "…"]) == {"a b": "a-b", "a-b": "a-b-2", "…": "unnamed"}
