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
from tsbnn.evaluation.plots.calibration import plot_pit, plot_reliability
from tsbnn.evaluation.plots.comparisons import plot_differences
from tsbnn.evaluation.plots.decomposition import plot_epistemic_share
from tsbnn.evaluation.plots.forecasts import plot_forecast

__all__ = [
    "plot_differences",
    "plot_epistemic_share",
    "plot_forecast",
    "plot_pit",
    "plot_reliability",
    "style",
]
