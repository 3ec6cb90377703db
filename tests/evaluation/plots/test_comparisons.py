"""Models beside each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.evaluation.plots.marks import bands
from tsbnn.evaluation import SelectiveScores, compare_ranks
from tsbnn.plotting import plot_critical_differences, plot_differences, plot_selective


def test_differences_say_which_are_clear(ax: Axes) -> None:
    plot_differences(["a", "b", "c"], [-1, 0.1, 2], [-2, -1, 1], [-0.5, 1, 3], label="CRPS", ax=ax)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    assert list(ax.get_yticks()) == [2, 1, 0]
    dots = [one for one in ax.get_lines() if one.get_marker() not in ("None", None, "")]
    assert len({dot.get_color() for dot in dots}) == 3
    assert ax.get_xlabel() == "CRPS"


def ranked(datasets: int = 30) -> pd.DataFrame:
    """Five models whose ranks are about 1.5, 1.5, 3, 4.5 and 4.5."""
    rng = np.random.default_rng(0)
    scores = rng.normal([0, 0, 3, 6, 6], 0.5, size=(datasets, 5))
    return pd.DataFrame(scores, columns=["score", "elbo", "map", "naive", "zero"])


def test_critical_differences_join_what_does_not_differ(ax: Axes) -> None:
    comparison = compare_ranks(ranked())
    assert len(comparison.groups) == 2
    assert plot_critical_differences(comparison, ax=ax) is ax
    lines = ax.get_lines()
    thick = [one for one in lines if one.get_linewidth() > 3]
    dots = [one.get_xdata()[0] for one in lines if one.get_marker() == "o"]
    np.testing.assert_allclose(dots, comparison.average_ranks)
    for bar, group in zip(thick, comparison.groups, strict=True):
        left, right = bar.get_xdata()
        inside = [
            name for name in comparison.ranks if left < comparison.average_ranks[name] < right
        ]
        assert set(inside) == set(group)
    # The critical difference is drawn to the axis's scale.
    lengths = [max(one.get_xdata()) - min(one.get_xdata()) for one in lines]
    assert any(abs(length - comparison.critical_difference) < 1e-9 for length in lengths)
    words = [text.get_text() for text in ax.texts]
    assert f"critical difference {comparison.critical_difference:.2f} (level 5 %)" in words
    for name, rank in comparison.average_ranks.items():
        assert any(str(name) in word and f"{rank:.2f}" in word for word in words)
    assert [word for word in words if word.isdigit()] == ["1", "2", "3", "4", "5"]


def test_critical_differences_longer_than_the_axis_are_on_it(ax: Axes) -> None:
    comparison = compare_ranks(ranked(2))
    assert comparison.critical_difference > 4
    plot_critical_differences(comparison, ax=ax)
    assert ax.get_xlim()[1] > 1 + comparison.critical_difference


def test_many_ranks_are_numbered_where_there_is_room(ax: Axes) -> None:
    scores = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 14)))
    plot_critical_differences(compare_ranks(scores.add_prefix("model ")), ax=ax)
    numbers = [text.get_text() for text in ax.texts if text.get_text().isdigit()]
    assert numbers == ["1", "3", "5", "7", "9", "11", "13"]


def test_names_stand_within_the_picture() -> None:
    figure = Figure(figsize=(5, 3), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    scores = ranked().rename(columns={"score": "a model with a long name", "zero": "another one"})
    ax = plot_critical_differences(compare_ranks(scores), ax=figure.subplots())
    canvas.draw()
    page = figure.bbox
    for text in ax.texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, text.get_text()


def selective(model: str = "score", metric: str = "mean_wql") -> SelectiveScores:
    kept = np.linspace(0.1, 1, 10)
    return SelectiveScores(
        *(model, metric, "epistemic", kept, 1 + kept, 0.8 + kept, 1.1 + kept, 2 * kept, 2.0),
        *(0.5, -0.1, 0.7, 0.95, 3, 100),
    )


def test_a_selective_curve_lies_between_its_references(ax: Axes) -> None:
    assert plot_selective(selective(), ax=ax) is ax
    oracle, even, curve, _ = ax.get_lines()
    np.testing.assert_allclose(curve.get_xdata(), 100 - 100 * np.linspace(0.1, 1, 10), atol=1e-9)
    np.testing.assert_allclose(curve.get_ydata(), 1 + np.linspace(0.1, 1, 10))
    assert set(even.get_ydata()) == {2.0}
    assert (oracle.get_ydata() <= curve.get_ydata()).all()
    (band,) = bands(ax).values()
    np.testing.assert_allclose(band[0][::-1], 0.8 + np.linspace(0.1, 1, 10))
    assert ax.get_legend().get_texts()[0].get_text() == "score: skill 0.50 (−0.10 to 0.70)"
    assert ax.get_ylabel() == "mean wQL of the windows kept"
    assert ax.get_xlim() == pytest.approx((0, 90))


def test_selective_curves_of_several_models(ax: Axes) -> None:
    plot_selective([selective(), replace(selective(), model="elbo")], names=["a", "b"], ax=ax)
    labels = [text.get_text().split(":")[0] for text in ax.get_legend().get_texts()]
    assert labels[:2] == ["a", "b"]
    with pytest.raises(ValueError, match="one metric, not crps, mean_wql"):
        plot_selective([selective(), selective(metric="crps")], ax=ax)
    with pytest.raises(ValueError, match="1 names do not fit 2 curves"):
        plot_selective([selective()] * 2, names=["a"], ax=ax)
    with pytest.raises(ValueError, match="one metric, not none"):
        plot_selective([], ax=ax)
