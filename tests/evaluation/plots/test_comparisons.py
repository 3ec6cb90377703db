"""Models beside each other."""

from __future__ import annotations

from matplotlib.axes import Axes

from tsbnn.plotting import (
    plot_differences,
)


def test_differences_say_which_are_clear(ax: Axes) -> None:
    plot_differences(["a", "b", "c"], [-1, 0.1, 2], [-2, -1, 1], [-0.5, 1, 3], label="CRPS", ax=ax)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    assert list(ax.get_yticks()) == [2, 1, 0]
    dots = [one for one in ax.get_lines() if one.get_marker() not in ("None", None, "")]
    assert len({dot.get_color() for dot in dots}) == 3
    assert ax.get_xlabel() == "CRPS"
