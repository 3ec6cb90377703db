"""Plots, judged by what is on the axes: bands, curves, labels, limits."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from gluonts.model.forecast import QuantileForecast, SampleForecast
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tsbnn.evaluation.calibration import central_interval
from tsbnn.evaluation.epistemic import epistemic_share
from tsbnn.evaluation.plot_style import style
from tsbnn.evaluation.plotting import (
    plot_differences,
    plot_epistemic_share,
    plot_forecast,
    plot_pit,
    plot_reliability,
)

STEPS = 7


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def samples(seed: int = 0, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(seed).normal(10, 2, (200, steps))


def forecast(variance: Any = None, steps: int = STEPS, freq: str = "D") -> Any:
    """A sample forecast, with planted epistemic variance if one is given."""
    made = SampleForecast(
        samples=samples(steps=steps), start_date=pd.Period("2024-03-01", freq=freq), item_id="wind"
    )
    if variance is not None:
        made.epistemic_variance = np.broadcast_to(np.asarray(variance, float), (steps,))
        made.total_std = np.full(steps, 2.0)
        made.num_draws = 20
    return made


def bands(ax: Axes) -> dict[str, np.ndarray]:
    """Lower and upper edge of every shaded area, ``2 x time``, by label."""
    found = {}
    for area in ax.collections:
        if isinstance(area, PolyCollection):
            x, y = area.get_paths()[0].vertices.T
            edges = [[f(y[x == at]) for at in np.unique(x)] for f in (np.min, np.max)]
            found[area.get_label()] = np.array(edges)
    return found


def line(ax: Axes, label: str) -> Any:
    (found,) = [one for one in ax.get_lines() if one.get_label() == label]
    return found


def test_fan_shows_intervals_median_and_labels(ax: Axes) -> None:
    labels = np.arange(STEPS, dtype=float)
    labels[2] = np.nan
    one = forecast()
    drawn = plot_forecast(one, observed=labels, history=np.arange(20.0), unit="m/s", ax=ax)
    assert drawn is ax
    found = bands(ax)
    assert set(found) == {"50 % interval", "90 % interval"}
    np.testing.assert_allclose(found["90 % interval"], central_interval(one.samples, 0.9))
    np.testing.assert_allclose(line(ax, "median").get_ydata(), one.quantile(0.5))
    np.testing.assert_array_equal(line(ax, "observed").get_ydata(), labels)
    assert ax.get_ylabel() == "wind (m/s)"
    left, right = mpl.dates.num2date(ax.get_xlim())
    assert (left.date(), right.date()) == (
        pd.Timestamp("2024-02-10").date(),
        pd.Timestamp("2024-03-07").date(),
    )


def test_fan_shades_the_epistemic_part_apart(ax: Axes) -> None:
    one = forecast(np.linspace(-1, 4, STEPS))
    plot_forecast(one, smooth=1, ax=ax)
    low, high = bands(ax)["epistemic part"]
    reach = 1.6448536 * np.sqrt(np.maximum(one.epistemic_variance, 0))
    np.testing.assert_allclose(low, one.mean - reach)
    np.testing.assert_allclose(high, one.mean + reach)
    colours = {tuple(area.get_facecolor()[0][:3]) for area in ax.collections}
    assert len(colours) == 2


def test_the_epistemic_band_averages_unfloored_variances(ax: Axes) -> None:
    variance = np.array([1.0, -1.0, 3.0, 0.0, 0.0, -2.0, -2.0])
    one = forecast(variance)
    plot_forecast(one, smooth=3, ax=ax)
    low, high = bands(ax)["epistemic part"]
    smoothed = [0, 1, 2 / 3, 1, -2 / 3, -4 / 3, -2]
    np.testing.assert_allclose(high - low, 2 * 1.6448536 * np.sqrt(np.maximum(smoothed, 0)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("variance", [0.0, -1.0, np.nan])
def test_no_epistemic_band_where_there_is_none(ax: Axes, variance: float) -> None:
    plot_forecast(forecast(variance), ax=ax)
    assert set(bands(ax)) == {"50 % interval", "90 % interval"}


def test_fan_of_one_step_is_visible(ax: Axes) -> None:
    plot_forecast(forecast(1.0, steps=1), observed=[9.0], history=np.arange(3.0), ax=ax)
    bars = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert len(bars) == 3
    assert all(bar.get_linewidth()[0] > 5 for bar in bars)


@pytest.mark.parametrize("freq", ["h", "W-SUN", "M", "Q-DEC", "B", "30min"])
@pytest.mark.filterwarnings("ignore:Period with BDay:FutureWarning")
def test_fan_over_frequencies(ax: Axes, freq: str) -> None:
    plot_forecast(forecast(freq=freq), history=np.arange(20.0), ax=ax)
    ax.figure.canvas.draw()
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert 2 <= len(ticks) <= 8
    assert all(ticks)


def test_fan_of_quantiles_without_samples(ax: Axes) -> None:
    levels = ["0.05", "0.25", "0.5", "0.75", "0.95"]
    arrays = np.quantile(samples(), [float(level) for level in levels], axis=0)
    one = QuantileForecast(arrays, pd.Period("2024-03-01", freq="D"), levels)
    plot_forecast(one, name="demand", ax=ax)
    np.testing.assert_allclose(bands(ax)["90 % interval"], arrays[[0, -1]])
    assert ax.get_ylabel() == "demand"


def test_labels_of_another_length_are_refused(ax: Axes) -> None:
    with pytest.raises(ValueError, match=r"\(3,\) do not fit a forecast of 7 steps"):
        plot_forecast(forecast(), observed=[1.0, 2.0, 3.0], ax=ax)


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


def test_differences_say_which_are_clear(ax: Axes) -> None:
    plot_differences(["a", "b", "c"], [-1, 0.1, 2], [-2, -1, 1], [-0.5, 1, 3], label="CRPS", ax=ax)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    assert list(ax.get_yticks()) == [2, 1, 0]
    dots = [one for one in ax.get_lines() if one.get_marker() not in ("None", None, "")]
    assert len({dot.get_color() for dot in dots}) == 3
    assert ax.get_xlabel() == "CRPS"


def luminance(colour: Any) -> float:
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: Any, other: Any) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_styles_are_readable(dark: bool) -> None:
    look = style(dark)
    page = look["axes.facecolor"]
    assert contrast(look["text.color"], page) > 7
    assert contrast(look["xtick.color"], page) > 7
    colours = look["axes.prop_cycle"].by_key()["color"]
    assert all(contrast(colour, page) > 3 for colour in colours[:3])
    assert (luminance(page) < 0.1) is dark


def test_new_axes_are_made_only_if_none_are_given() -> None:
    import matplotlib.pyplot as plt

    before = set(plt.get_fignums())
    plot_pit(np.linspace(0, 1, 100), ax=Figure().subplots())
    assert set(plt.get_fignums()) == before
    made = plot_pit(np.linspace(0, 1, 100))
    assert made.figure.number not in before
    plt.close(made.figure)


def test_the_same_plot_has_the_same_bytes() -> None:
    def picture() -> bytes:
        with mpl.rc_context(style()):
            figure = Figure(layout="constrained")
            plot_forecast(forecast(1.0), history=np.arange(20.0), ax=figure.subplots())
            file = io.BytesIO()
            figure.savefig(file)
        return file.getvalue()

    assert picture() == picture()
