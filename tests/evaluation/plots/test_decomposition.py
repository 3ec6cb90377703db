"""The two parts of the variance by lead time."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from tests.evaluation.plots.marks import STEPS, bands, forecast, line
from tsbnn.evaluation.epistemic import epistemic_share
from tsbnn.plotting import plot_decomposition, plot_epistemic_share


def test_epistemic_share_is_planted_and_not_floored(ax: Axes) -> None:
    group = [forecast([0.4, 2.0, -0.2, 0, 0, 0, 0]) for _ in range(5)]
    plot_epistemic_share({"map": [forecast()], "score": group}, ax=ax)
    x, y = line(ax, "score").get_data()
    np.testing.assert_array_equal(x, np.arange(1, STEPS + 1))
    np.testing.assert_allclose(y, np.array([0.4, 2.0, -0.2, 0, 0, 0, 0]) / 4)
    assert "map" not in [one.get_label() for one in ax.get_lines()]


def test_epistemic_share_puts_series_on_one_scale() -> None:
    small, large = forecast(1.0), forecast(1.0)
    large.epistemic_variance = small.epistemic_variance * 3e6
    large.total_std = small.total_std * 1e3
    large.item_id = "storm"
    share, error = epistemic_share([small, large])
    np.testing.assert_allclose(share, (0.25 + 0.75) / 2)
    spread = np.std([-0.25, 0.25], ddof=1) / np.sqrt(2)
    np.testing.assert_allclose(error, np.hypot(spread, 0.5 * np.sqrt(2 / 21)))


@pytest.mark.filterwarnings("error")
def test_a_share_that_paths_do_not_tell_is_left_out(ax: Axes) -> None:
    plot_epistemic_share({"few": [forecast(np.nan)], "many": [forecast(1.0)]}, ax=ax)
    labels = [one.get_label() for one in ax.get_lines()]
    assert "many" in labels
    assert "few" not in labels


def test_epistemic_share_needs_weight_draws(ax: Axes) -> None:
    with pytest.raises(ValueError, match="no forecast has an epistemic variance"):
        plot_epistemic_share({"naive": [forecast()]}, ax=ax)


def test_the_decomposition_stacks_both_parts(ax: Axes) -> None:
    variance = np.array([0.4, 2.0, -0.2, 0, 0, 0, 0])
    noisy = forecast(variance)
    noisy.total_std = np.sqrt([2, 4, 2, 4, 2, 4, 10])  # on average 4
    assert plot_decomposition([noisy, noisy, forecast()], ax=ax) is ax
    found = bands(ax)
    below, above = found["epistemic: weights not known"], found["aleatoric: noise that stays"]
    np.testing.assert_allclose(np.where(variance < 0, below[0], below[1]), variance / 4)
    np.testing.assert_allclose(above[0], variance / 4)
    np.testing.assert_allclose(above[1], noisy.total_std**2 / 4)
    assert ax.get_xlim() == (1, STEPS)
    assert ax.get_ylim()[0] < variance.min() / 4
    assert len(ax.get_legend().get_texts()) == 2
    with pytest.raises(ValueError, match="none comes from weight draws"):
        plot_decomposition([forecast()], ax=ax)


def test_the_decomposition_of_one_step_is_visible(ax: Axes) -> None:
    plot_decomposition([forecast(1.0, steps=1)], ax=ax)
    assert len(ax.collections) == 2
    assert all(bar.get_linewidth()[0] > 5 for bar in ax.collections)
