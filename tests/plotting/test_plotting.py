"""All public plots as images: readable, without warnings, the same every time."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import tsbnn
from tests.evaluation.plots.marks import forecast
from tests.evaluation.plots.test_calibration import COVERAGES
from tests.evaluation.plots.test_comparisons import ranked, selective
from tests.evaluation.plots.test_training import DIAGNOSTICS
from tests.plotting.test_frames import forecasts, sales
from tsbnn.evaluation import compare_ranks
from tsbnn.plotting import plot_forecast, plot_pit, style

PIT = np.random.default_rng(0).beta(0.8, 0.8, size=(30, 12))
TRACE = {"gradient_evaluations": [50, 100, 150], "loss": [1.4, 1.1, 1.0]}

#: Arguments of every public plot.
PLOTS: dict[str, tuple[Any, ...]] = {
    "plot_critical_differences": (compare_ranks(ranked()),),
    "plot_decomposition": ([forecast(1.0)],),
    "plot_differences": (["map"], [0.2], [0.1], [0.4]),
    "plot_epistemic_share": ({"score": [forecast(1.0), forecast(2.0)]},),
    "plot_forecast": (forecast(1.0),),
    "plot_frame": (forecasts(("north",)), sales()),
    "plot_paths": (forecast(),),
    "plot_pit": (PIT,),
    "plot_posterior_spread": (DIAGNOSTICS,),
    "plot_reliability": ({"score": PIT},),
    "plot_selective": (selective(),),
    "plot_sharpness": (COVERAGES,),
    "plot_training": ({"score": TRACE},),
}
MORE: dict[str, dict[str, Any]] = {
    "plot_differences": {"label": "CRPS"},
    "plot_forecast": {"history": np.arange(30.0), "observed": np.arange(7.0)},
    "plot_reliability": {"confidence": 0.9},
}


def test_every_public_plot_is_pictured() -> None:
    names = {name for name in tsbnn.plotting.__all__ if name.startswith("plot_")}
    assert set(PLOTS) == names


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PLOTS)
def test_pictures_show_something_and_nothing_is_cut(name: str, dark: bool) -> None:
    with mpl.rc_context(style(dark)):
        figure = Figure(figsize=(4.4, 3.2), layout="constrained")
        ax = figure.subplots()
        empty = pixels(figure)
        drawn = getattr(tsbnn.plotting, name)(*PLOTS[name], **MORE.get(name, {}), ax=ax)
        picture = pixels(figure)
    assert drawn is ax
    assert picture.shape == empty.shape == (320, 440, 3)
    inked = (np.abs(picture - empty).max(axis=-1) > 0.2).mean()
    assert inked > 0.01
    page = np.array(to_rgb(mpl.colors.to_hex(style(dark)["figure.facecolor"])))
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        np.testing.assert_allclose(edge, np.broadcast_to(page, edge.shape), atol=0.01)


def pixels(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    file.seek(0)
    picture: np.ndarray = mpl.image.imread(file)[..., :3]
    return picture


@pytest.mark.parametrize("name", PLOTS)
def test_plots_make_axes_of_their_own(name: str) -> None:
    import matplotlib.pyplot as plt

    with mpl.rc_context({"backend": "agg"}):
        made = getattr(tsbnn.plotting, name)(*PLOTS[name], **MORE.get(name, {}))
        assert made.figure.number in plt.get_fignums()
        plt.close(made.figure)


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
