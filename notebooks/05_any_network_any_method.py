# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Any network, any method
#
# Networks and inference methods know nothing of each other here. That gives two freedoms:
#
# 1. **any network**: a GluonTS estimator, such as its Temporal Fusion Transformer, becomes Bayesian
#    by putting `BayesianEstimator` around it;
# 2. **any method**: each of the sixteen in `tsbnn.inference` is a torch optimizer that works in a
#    plain training loop, on a torch module of your own that need not forecast at all.

# %%
import logging
import os
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from gluonts.torch.distributions import StudentTOutput
from gluonts.torch.model.tft import TemporalFusionTransformerEstimator
from torch import nn

from tsbnn import BayesianEstimator, backtest
from tsbnn.datasets import from_frame, load_frame
from tsbnn.evaluation import (
    SeasonalNaiveGaussian,
    coverage_intervals,
    paired_difference,
)
from tsbnn.inference import (
    METHODS,
    BayesianOptimizer,
    FanInPrior,
    InferenceMethod,
    Posterior,
    method,
)
from tsbnn.plotting import plot_forecast, plot_posterior_spread, style

# TSBNN_SHORT=1 runs every cell with a tiny budget: enough to see that they work, not to learn.
SHORT = os.environ.get("TSBNN_SHORT") == "1"
EVALUATIONS = 4 if SHORT else 1200  # minibatch gradients for the TFT
CURVE_EVALUATIONS = 150 if SHORT else 10_000  # and for each of the small curves below
WINDOWS = 2 if SHORT else 12  # fortnights to forecast

plt.rcParams.update(style())
torch.set_num_threads(1)  # networks this small are fastest on one thread
# Lightning tells about devices at every training, and draws progress bars.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}

# %% [markdown]
# ## GluonTS's TFT, made Bayesian
#
# Wind and temperatures of Seattle, four years of days. The horizon is a fortnight.

# %%
weather = load_frame("seattle_weather")
dataset = from_frame(weather[weather["item_id"].isin(["temp_max", "temp_min", "wind"])])
print(dataset)


def tft(**settings: object) -> TemporalFusionTransformerEstimator:
    return TemporalFusionTransformerEstimator(
        freq=dataset.freq, prediction_length=14, context_length=28, **settings
    )


# %% [markdown]
# A Bayesian needs a likelihood. By default GluonTS's TFT has none: its head puts out quantiles. We
# are told so at once, and what to do.

# %%
try:
    BayesianEstimator(tft(), inference="score")
except ValueError as error:
    print(error)

# %% [markdown]
# With a distribution as its head it is a network like any other, and one line puts a posterior over
# its weights. It learns from all but the last 24 weeks, and forecasts these by fortnights.

# %%
network = tft(distr_output=StudentTOutput(), hidden_dim=8, num_heads=2, trainer_kwargs=QUIET)
estimator = BayesianEstimator(network, inference="score", gradient_evaluations=EVALUATIONS)
result = backtest(
    {"TFT": estimator},
    dataset,
    prediction_length=14,
    windows=WINDOWS,
    season=7,
    baselines={"last week": SeasonalNaiveGaussian(14, 7)},
)
run = result.settings["TFT"]["runs"][0]
print(f"{run['num_weights']:,} weights, {run['gradient_evaluations']:,} gradient evaluations")
print(f"{run['diagnostics']['learnt_nothing']:.0%} of the weights have learnt nothing")
result.summary(["crps", "coverage_50", "width_50", "coverage_95", "width_95"]).T

# %% [markdown]
# Most weights stay at their prior: there are nineteen for every observation. The diagnostics tell
# so, and warn from 95 %.
#
# The last fortnight of each series. The orange band, the doubt of the weights, comes with the
# posterior; GluonTS's own training gives one network, which has no doubt about itself.

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
units = {"temp_max": "°C", "temp_min": "°C", "wind": "m/s"}
for ax, (series, unit) in zip(axes, units.items(), strict=True):
    window = max(np.flatnonzero(result.windows["item_id"] == series))
    plot_forecast(
        result.forecasts["TFT", 0][window],
        observed=result.labels[window],
        history=result.entries[window]["target"][-28:],
        name=series,
        unit=unit,
        ax=ax,
    )
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, ncols=5, loc="outside lower center")
plt.show()

# %% [markdown]
# Do the intervals hold what they promise, over all windows? And is the network worth its training,
# against a forecast that repeats the last week with a Gaussian width?

# %%
difference = paired_difference(result, "TFT", "last week", "crps")
print(
    f"CRPS, TFT against last week: {100 * difference.relative:+.1f} % "
    f"(95 % interval {100 * difference.relative_low:+.1f} to {100 * difference.relative_high:+.1f})"
)
for row in coverage_intervals(result, ["TFT"]).itertuples():
    print(
        f"intervals of {row.nominal:.0%} held {row.coverage:.0%} of the days "
        f"({row.low:.0%} to {row.high:.0%}), at a width of {row.width:.1f}"
    )

# %% [markdown]
# The intervals of 50 % and 80 % hold what they promise, those of 90 % and 95 % a little more, and
# the network is worth its training. That wind cannot be negative, the head does not know: Student's
# t has no bound.
#
# The same line makes a Bayesian of GluonTS's DeepAR, PatchTST, SimpleFeedForward, WaveNet or TiDE.
#
# ## Your own module, in a plain training loop
#
# Below the forecasters lies `tsbnn.inference`, which knows nothing of time. A method builds a torch
# optimizer for a module; the loop around it is the usual one. We fit a curve through 120 noisy
# points that lie in two clumps, with nothing between them and nothing beyond. A good posterior is
# narrow where the points are, and opens where there are none.


# %%
def truth(x: np.ndarray) -> np.ndarray:
    return np.sin(2.2 * x) + 0.35 * x


NOISE = 0.15
rng = np.random.default_rng(0)
places = np.concatenate([rng.uniform(-2.2, -0.7, 60), rng.uniform(0.9, 2.2, 60)])
x = torch.tensor(places, dtype=torch.float32)[:, None]
y = torch.tensor(truth(places) + NOISE * rng.normal(size=120), dtype=torch.float32)


class Curve(nn.Module):
    """Any torch module will do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.last = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(x)).squeeze(-1)


# %% [markdown]
# The loop. The closure returns the mean negative log-likelihood *per observation*, and a step may
# call it more than once. So few points need no minibatches; with more, a step would be given the
# closure of a few rows. `finalize` is for the one method below that needs a last pass over the
# data.


# %%
def fit(inference: InferenceMethod) -> tuple[Curve, BayesianOptimizer]:
    torch.manual_seed(0)
    network = Curve()
    steps = inference.steps_within(CURVE_EVALUATIONS)  # some methods take several gradients a step
    optimizer = inference.optimizer(network, num_observations=len(y), total_steps=steps)

    def loss_of(rows: slice) -> Callable[[], torch.Tensor]:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            likelihood = torch.distributions.Normal(network(x[rows]), NOISE)
            loss = -likelihood.log_prob(y[rows]).mean()
            loss.backward()
            return loss

        return closure

    for _ in range(steps):
        optimizer.step(loss_of(slice(None)))
    optimizer.finalize([loss_of(slice(row, row + 1)) for row in range(len(y))])
    return network, optimizer


# %% [markdown]
# Six methods, the same budget of gradients, the same first weights. `laplace` takes the last layer
# only, as is usual; `prior` says how large weights may be before any data. The chain's step,
# `learning_rate`, is chosen for this likelihood: the default is for sharper ones, and would hardly
# move.

# %%
wide = FanInPrior(gain=2.0)
methods = {
    "map": method("map"),
    "ensemble": method("ensemble", num_members=5),
    "score": method("score", prior=wide),
    "elbo": method("elbo", prior=wide),
    "laplace, last layer": method(
        "laplace",
        structure="full",
        bayesian_parameters=("last.*",),
        last_pass=len(y),
        prior=wide,
    ),
    "sghmc": method("sghmc", learning_rate=3e-3, warm_start=0.1, prior=wide),
}
fitted = {name: fit(inference) for name, inference in methods.items()}
fitted["score"][1].posterior

# %% [markdown]
# `posterior.drawn(network)` puts one draw of all weights into the network, and takes it out again.


# %%
def curves(network: Curve, posterior: Posterior, at: np.ndarray) -> np.ndarray:
    """The curve of each of 100 weight draws, ``100 x len(at)``."""
    inputs = torch.tensor(at, dtype=torch.float32)[:, None]
    drawn = []
    for _ in range(100):
        with posterior.drawn(network), torch.no_grad():
            drawn.append(network(inputs).numpy())
    return np.stack(drawn)


grid = np.linspace(-4, 4, 201)
figure, axes = plt.subplots(
    2, 3, figsize=(10.5, 5.6), sharex=True, sharey=True, layout="constrained"
)
spreads = {}
for ax, (name, (network, optimizer)) in zip(axes.flat, fitted.items(), strict=True):
    drawn = curves(network, optimizer.posterior, grid)
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    ax.fill_between(grid, low, high, color="C1", alpha=0.45, linewidth=0, label="90 % of networks")
    ax.plot(grid, drawn.mean(axis=0), color="C0", label="their mean")
    ax.plot(grid, truth(grid), color="black", linestyle=":", linewidth=1, label="truth")
    ax.plot(places, y, linestyle="none", marker=".", markersize=3, color="black", label="data")
    ax.set_title(name)
    ax.set_ylim(-3, 3)
    spread = drawn.std(axis=0)
    seen = ((grid > -2.2) & (grid < -0.7)) | ((grid > 0.9) & (grid < 2.2))
    spreads[name] = {
        "at the data": spread[seen].mean(),
        "in the gap": spread[(grid > -0.7) & (grid < 0.9)].mean(),
        "beyond": spread[np.abs(grid) > 2.2].mean(),
    }
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, ncols=4, loc="outside lower center")
plt.show()

# %%
pd.DataFrame(spreads).T.round(2)

# %% [markdown]
# That is the standard deviation over networks, at the data, in the gap, and beyond. Two things to
# see:
#
# - **The methods differ**, though all answer the same question. `map` has no doubt at all, the five
#   members of the ensemble end in nearly the same curve, and `laplace` doubts the last layer only.
#   `score` and `elbo` look for the best independent Gaussians, and find nearly the same bands: they
#   open in the gap, but are wide at the data too, since independent weights cannot make up for one
#   another. The chain `sghmc` keeps whole networks: narrow at the data, widest in the gap.
# - **Far from the data none of the bands holds the truth.** Networks of `tanh` run flat, whatever
#   their weights: the band is as wide as what *this module* can easily draw, after its first
#   weights and its prior. `03_what_the_model_does_not_know` shows the same of forecasts.
#
# What the posterior learnt, tensor by tensor. A bar at 1 is as wide as the prior: those weights the
# data say nothing about.

# %%
told = fitted["score"][1].diagnostics()
print(f"{told.gradient_evaluations:,} gradient evaluations")
plot_posterior_spread(told.to_dict())
plt.show()

# %% [markdown]
# All sixteen methods are built by name; `docs/inference.md` says of each what it computes, when it
# fits, and what it costs.

# %%
print(*METHODS, sep=", ")
