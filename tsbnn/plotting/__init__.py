"""Plots of forecasts, their calibration, and models beside each other, with matplotlib.

Every function draws on the axes that it is given, or on new ones, and returns them. Colours are
those of Okabe and Ito, which people with colour-blindness can tell apart; curves differ in their
dashes and markers as well, so that they can be told apart in grey.

>>> import matplotlib.pyplot as plt
>>> plt.rcParams.update(style())  # style(dark=True) for a dark page
>>> ax = plot_forecast(forecast, history=history, unit="MW")
>>> ax.figure.savefig("forecast.png")
"""

from __future__ import annotations

from tsbnn.evaluation.plot_style import style
from tsbnn.evaluation.plots.calibration import plot_pit, plot_reliability, plot_sharpness
from tsbnn.evaluation.plots.comparisons import (
    plot_critical_differences,
    plot_differences,
    plot_selective,
)
from tsbnn.evaluation.plots.decomposition import plot_decomposition, plot_epistemic_share
from tsbnn.evaluation.plots.forecasts import plot_forecast, plot_paths
from tsbnn.evaluation.plots.training import plot_posterior_spread, plot_training
from tsbnn.plotting.frames import plot_frame

__all__ = [
    "plot_critical_differences",
    "plot_decomposition",
    "plot_differences",
    "plot_epistemic_share",
    "plot_forecast",
    "plot_frame",
    "plot_paths",
    "plot_pit",
    "plot_posterior_spread",
    "plot_reliability",
    "plot_selective",
    "plot_sharpness",
    "plot_training",
    "style",
]
