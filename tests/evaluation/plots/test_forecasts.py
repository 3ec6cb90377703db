"""Forecasts in time: bands, median, paths, labels."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from gluonts.model.forecast import QuantileForecast
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from tests.evaluation.plots.marks import STEPS, bands, forecast, line, samples
from tsbnn.evaluation.calibration import central_interval
from tsbnn.plotting import plot_forecast, plot_paths


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


def test_paths_come_from_every_draw_in_turn(ax: Axes) -> None:
    one = forecast()
    one.draw_index = np.repeat(np.arange(4), 50)
    labels = np.arange(STEPS, dtype=float)
    assert plot_paths(one, count=6, observed=labels, history=np.arange(5.0), ax=ax) is ax
    *paths, past, observed, start = ax.get_lines()
    drawn = np.array([path.get_ydata() for path in paths])
    np.testing.assert_array_equal(drawn, one.samples[[0, 50, 100, 150, 1, 51]])
    assert [path.get_label() for path in paths].count("sample paths") == 1
    np.testing.assert_array_equal(past.get_ydata(), np.arange(5.0))
    np.testing.assert_array_equal(observed.get_ydata(), labels)
    assert past.get_xdata()[-1] < start.get_xdata()[0] < observed.get_xdata()[0]
    assert ax.get_ylabel() == "wind"


def test_paths_of_a_forecast_without_draws(ax: Axes) -> None:
    one = forecast(steps=1)
    plot_paths(one, count=1000, name="demand", unit="MW", ax=ax)
    assert len(ax.get_lines()) == len(one.samples)
    assert {path.get_marker() for path in ax.get_lines()} == {"o"}
    assert ax.get_ylabel() == "demand (MW)"
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        plot_paths(one, count=0, ax=ax)
    with pytest.raises(ValueError, match=r"\(2,\) do not fit a forecast of 1 steps"):
        plot_paths(one, observed=[1.0, 2.0], ax=ax)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("steps", [26, 72, 100, 333])
@pytest.mark.parametrize("freq", ["10min", "h", "D", "M"])
def test_time_axes_have_some_ticks_at_any_length(ax: Axes, freq: str, steps: int) -> None:
    plot_forecast(forecast(freq=freq), history=np.arange(steps - STEPS), ax=ax)
    left, right = ax.get_xlim()
    assert 2 <= sum(left <= tick <= right for tick in ax.get_xticks()) <= 6
