"""Calibration: curves, densities and what they cost in width."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from tests.evaluation.plots.marks import bands, line
from tsbnn.evaluation.calibration import reliability_curve, reliability_interval
from tsbnn.plotting import plot_pit, plot_reliability, plot_sharpness


def test_reliability_follows_the_diagonal_if_calibrated(ax: Axes) -> None:
    generator = np.random.default_rng(0)
    pits = {"good": generator.random((50, 40)), "narrow": generator.beta(0.5, 0.5, 2000)}
    plot_reliability(pits, ax=ax)
    x, y = line(ax, "good").get_data()
    np.testing.assert_allclose(x, y, atol=0.05)
    x, y = line(ax, "narrow").get_data()
    assert y[np.argmin(abs(x - 0.1))] > 0.15
    assert y[np.argmin(abs(x - 0.9))] < 0.85
    assert ax.get_xlim() == ax.get_ylim() == (0, 1)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["calibrated", "good", "narrow"]


def test_curves_differ_without_their_colours(ax: Axes) -> None:
    plot_reliability({str(i): np.linspace(0, 1, 50) for i in range(7)}, ax=ax)
    looks = {(one.get_linestyle(), one.get_marker()) for one in ax.get_lines()[1:]}
    assert len(looks) == 7


def test_pit_is_a_density_beside_the_uniform_one(ax: Axes) -> None:
    plot_pit(np.random.default_rng(0).beta(2, 2, 4000), bins=10, ax=ax)
    bars = ax.patches
    assert len(bars) == 10
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1)
    assert list(ax.get_lines()[0].get_ydata()) == [1, 1]
    assert ax.get_ylim()[1] >= max(bar.get_height() for bar in bars)
    assert "mean deviation" in ax.get_title(loc="left") or "mean deviation" in ax.get_title()


def test_reliability_has_a_band_if_one_is_asked_for(ax: Axes) -> None:
    pits = np.random.default_rng(0).random((2, 30, 40))
    plot_reliability({"m": pits}, confidence=0.9, ax=ax)
    (found,) = bands(ax).values()
    np.testing.assert_allclose(found, reliability_interval(pits, confidence=0.9))
    assert (found[0] <= line(ax, "m").get_ydata()).all()
    assert len(ax.get_legend().get_texts()) == 2
    with pytest.raises(ValueError, match=r"at least two windows x time .* not \(99,\)"):
        plot_reliability({"m": np.linspace(0, 1, 99)}, confidence=0.9, ax=ax)


def test_the_band_covers_over_windows_that_hang_together() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(150):
        # Labels of one window are all late or all early.
        shift = rng.random((60, 1))
        pits = (shift + 0.1 * rng.random((60, 20))) % 1
        pits[0, 3] = np.nan
        low, high = reliability_interval(pits, [0.3, 0.7], confidence=0.9, resamples=200)
        covered.append((low <= [0.3, 0.7]) & (high >= [0.3, 0.7]))
        assert (low <= reliability_curve(pits, [0.3, 0.7])[1]).all()
    assert np.mean(covered) == pytest.approx(0.9, abs=0.06)


COVERAGES = pd.DataFrame(
    {
        "model": ["map", "map", "score", "score"],
        "nominal": [0.95, 0.5, 0.5, 0.95],
        "coverage": [0.82, 0.4, 0.51, 0.94],
        "low": [0.80, 0.35, 0.46, 0.90],
        "high": [0.85, 0.45, 0.55, 0.97],
        "width": [3.0, 1.0, 1.4, 4.2],
    }
)


def test_sharpness_stands_beside_coverage(ax: Axes) -> None:
    assert plot_sharpness(COVERAGES, ax=ax) is ax
    models = [one for one in ax.containers if isinstance(one, ErrorbarContainer)]
    assert [one.get_label() for one in models] == ["map", "score"]
    x, y = models[0].lines[0].get_data()
    np.testing.assert_allclose(x, [40, 82])
    np.testing.assert_allclose(y, [1, 3])
    segments = models[1].lines[2][0].get_segments()
    np.testing.assert_allclose([s[:, 0] for s in segments], [[46, 55], [90, 97]])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50", "95"]
    assert ax.get_ylim()[0] == 0
    assert "coverage" in ax.get_xlabel()
    assert "width" in ax.get_ylabel()
    with pytest.raises(ValueError, match="coverages lack low, width"):
        plot_sharpness(COVERAGES.drop(columns=["low", "width"]), ax=ax)
