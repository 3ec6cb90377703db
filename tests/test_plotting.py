"""All public plots as images: readable, without warnings, the same every time."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tests.evaluation.plots.marks import forecast
from tsbnn.plotting import plot_forecast, plot_pit, style


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
