"""Calibration: curves, densities and what they cost in width."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from tests.evaluation.plots.marks import line
from tsbnn.plotting import (
    plot_pit,
    plot_reliability,
)


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
