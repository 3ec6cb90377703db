"""What training found: traces and spreads by tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from tests.evaluation.plots.marks import line
from tsbnn.plotting import plot_posterior_spread, plot_training

DIAGNOSTICS: dict[str, Any] = {
    "method": "score",
    "layers": [
        {"name": "rnn.weight", "spread": [0.02, 0.2, 0.9]},
        {"name": "embedding", "spread": None},
        {"name": "head.bias", "spread": [0.001, 0.004, 0.02]},
    ],
}


def rows(ax: Axes) -> dict[str, tuple[float, ...]]:
    """Ends of the bar and the marker of each tensor."""
    labels = [text.get_text() for text in ax.get_yticklabels()]
    names = dict(zip(ax.get_yticks(), labels, strict=True))
    found: dict[str, tuple[float, ...]] = {}
    for one in ax.get_lines():
        if one.get_label() != "prior":
            name = names[one.get_ydata()[0]]
            found[name] = (*found.get(name, ()), *map(float, one.get_xdata()))
    return found


def test_spreads_are_those_of_the_diagnostics(ax: Axes) -> None:
    assert plot_posterior_spread(DIAGNOSTICS, ax=ax) is ax
    assert rows(ax) == {"rnn.weight": (0.02, 0.9, 0.2), "head.bias": (0.001, 0.02, 0.004)}
    assert list(line(ax, "prior").get_xdata()) == [1, 1]
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first layer on top
    assert ax.get_xlabel() == "posterior sd / prior sd"


def test_spreads_of_arrays_are_their_quantiles(ax: Axes) -> None:
    sd = np.exp(np.random.default_rng(0).normal(size=(30, 40)))
    plot_posterior_spread({"weight": sd, "bias": 0.5}, label="sd", ax=ax)
    found = rows(ax)
    np.testing.assert_allclose(found["weight"], np.quantile(sd, [0.05, 0.95, 0.5]))
    assert found["bias"] == (0.5, 0.5, 0.5)
    assert ax.get_xlabel() == "sd"
    assert "prior" not in [one.get_label() for one in ax.get_lines()]


def test_no_spread_is_said(ax: Axes) -> None:
    with pytest.raises(ValueError, match="no tensor has a posterior spread"):
        plot_posterior_spread({"layers": [DIAGNOSTICS["layers"][1]]}, ax=ax)
    with pytest.raises(ValueError, match="bias: none of 3 standard deviations is above 0"):
        plot_posterior_spread({"bias": np.zeros(3)}, ax=ax)


def test_training_is_drawn_over_gradient_evaluations(ax: Axes) -> None:
    at = np.arange(100, 2001, 100)
    traces = {
        "score": {"gradient_evaluations": at, "loss": 1 + 1 / at},
        "elbo": {"gradient_evaluations": at[:1], "loss": [2.0]},
    }
    assert plot_training(traces, ax=ax) is ax
    x, y = line(ax, "score").get_data()
    np.testing.assert_array_equal(x, at)
    np.testing.assert_array_equal(y, 1 + 1 / at)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["score", "elbo"]
    assert ax.get_xlim()[0] == 0
    assert ax.get_xlabel() == "gradient evaluations"
    with pytest.raises(ValueError, match="no trace"):
        plot_training({}, ax=ax)
    with pytest.raises(ValueError, match="the trace of 'a' lacks loss"):
        plot_training({"a": {"gradient_evaluations": at}}, ax=ax)
    with pytest.raises(ValueError, match=r"trace of 'a': \(20,\) and \(1,\) do not fit"):
        plot_training({"a": {"gradient_evaluations": at, "loss": [1.0]}}, ax=ax)


def test_a_first_loss_far_above_the_others_does_not_set_the_scale(ax: Axes) -> None:
    at = np.arange(1.0, 31.0)
    loss = 1 + 0.5 * np.exp(-at / 10)
    plot_training({"m": {"gradient_evaluations": at, "loss": loss}}, ax=ax)
    assert ax.get_ylim()[1] > loss.max()
    ax.clear()
    plot_training({"m": {"gradient_evaluations": at, "loss": np.r_[1e4, loss[1:]]}}, ax=ax)
    assert loss.max() < ax.get_ylim()[1] < 3
    ax.clear()
    plot_training({"m": {"gradient_evaluations": at, "loss": np.ones(30)}}, ax=ax)
    assert ax.get_ylim()[0] < 1 < ax.get_ylim()[1]
