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
# # From a frame to a verdict: score-based VI against ELBO
#
# A neural forecaster gives sample paths, and their spread is what the network takes for noise,
# provided that the network itself is right. Trained on a few years of data it is not exactly
# right, and two ways of saying by how much compete here. Both put a Gaussian over every weight of
# a DeepAR; they differ in how they find it:
#
# - **score** matches the gradient of the log posterior at weights drawn from the current
#   Gaussians, one proximal step at a time;
# - **elbo** is the usual variational training: it follows the gradient of a lower bound of the
#   evidence.
#
# We take daily weather in Seattle, fit, look at a forecast, and then let both stand the same
# test.

# %%
import logging
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

from tsbnn import BayesianEstimator, DeepAREstimator, backtest
from tsbnn.datasets import from_frame, load_frame
from tsbnn.evaluation import paired_difference, pit
from tsbnn.plotting import (
    plot_epistemic_share,
    plot_forecast,
    plot_pit,
    plot_reliability,
    style,
)

# TSBNN_SHORT=1 runs every cell with a tiny budget: enough to see that they work, not to learn.
SHORT = os.environ.get("TSBNN_SHORT") == "1"
EVALUATIONS = 4 if SHORT else 2000  # minibatch gradients per training
WINDOWS = 2 if SHORT else 26  # fortnights to forecast, per series
HORIZON = 14  # days

plt.rcParams.update(style())
torch.set_num_threads(1)  # a network this small is fastest on one thread
# Lightning tells about devices at every training.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

# %% [markdown]
# ## The frame
#
# One row per series and day. Yours may look like this one, or hold a single series; rows may come
# in any order, and days without a row are taken for unobserved, not for zero.

# %%
frame = load_frame("seattle_weather")
frame.groupby("item_id")["target"].describe().round(1)

# %%
UNITS = {"precipitation": "mm", "temp_max": "°C", "temp_min": "°C", "wind": "m/s"}
figure, axes = plt.subplots(4, figsize=(8, 6), sharex=True, layout="constrained")
for ax, (name, series) in zip(axes, frame.groupby("item_id"), strict=True):
    ax.plot(series["timestamp"].astype("datetime64[ns]"), series["target"], linewidth=0.7)
    ax.set_ylabel(f"{name} ({UNITS[name]})")
figure.align_ylabels()
plt.show()

# %% [markdown]
# `from_frame` checks it and makes a dataset for GluonTS. Had it found a date twice or a text
# among the numbers, it would have named series, row and value. We keep the last fortnight aside.

# %%
dataset = from_frame(frame, item_id="item_id", timestamp="timestamp", target="target", freq="D")
history = dataset.without_last(HORIZON)
dataset

# %% [markdown]
# ## Fit
#
# `BayesianEstimator` takes one of our estimators, or any torch estimator of GluonTS that has a
# distribution as its output, and behaves like one.


# %%
def estimator(inference: str) -> BayesianEstimator:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    network = DeepAREstimator(freq=dataset.freq, prediction_length=HORIZON, trainer_kwargs=quiet)
    return BayesianEstimator(
        network, inference=inference, gradient_evaluations=EVALUATIONS, num_draws=20, seed=0
    )


predictor = estimator("score").train(history)
summary = predictor.training_summary
print(
    f"{summary['num_weights']:,} weights from {summary['num_observations']:,} observations, "
    f"{summary['gradient_evaluations']:,} gradient evaluations"
)

# %% [markdown]
# ## Forecast
#
# A hundred paths per series, from twenty draws of all weights. Blue is the whole spread. Orange
# is the part that comes from not knowing the weights, where 90 % of the networks have their mean;
# a longer record would shrink it. The rest is weather.

# %%
forecasts = list(predictor.predict(history, num_samples=100))

figure, axes = plt.subplots(2, 2, figsize=(9, 5.5), layout="constrained")
for ax, forecast, entry in zip(axes.flat, forecasts, dataset, strict=True):
    target = entry["target"]
    plot_forecast(
        forecast,
        observed=target[-HORIZON:],
        history=target[-4 * HORIZON : -HORIZON],
        unit=UNITS[entry["item_id"]],
        ax=ax,
    )
axes[0, 0].legend(fontsize=8)
plt.show()
# %% [markdown]
# The same in numbers, for the maximum temperature in °C. Variances add, standard deviations do
# not.

# %%
warmest = forecasts[dataset.item_ids.index("temp_max")]
for days in (1, 7, 14):
    print(
        f"day {days:2d}: mean {warmest.mean[days - 1]:5.1f}, "
        f"aleatoric sd {warmest.aleatoric_std[days - 1]:4.1f}, "
        f"epistemic sd {warmest.epistemic_std[days - 1]:4.1f}"
    )

# %% [markdown]
# ## Score VI against ELBO
#
# One fortnight tells nothing about who forecasts better. `backtest` trains both on what lies
# before the test range, asks for every fortnight in it, and keeps the labels to itself until the
# forecasts are made. Two baselines always come along: last year's weather with a Gaussian width,
# and GluonTS's own DeepAR with as many gradients.

# %%
result = backtest(
    {"score": estimator("score"), "elbo": estimator("elbo")},
    dataset,
    prediction_length=HORIZON,
    windows=WINDOWS,
    season=365,
    dataset_name="seattle_weather",
)
result.summary().drop(columns="wall_s").T

# %% [markdown]
# Lower is better in `crps`, `mean_wql`, `nd`, `mase` and `pit_deviation`. A coverage should be
# near its nominal 50 or 95 %, and of two that are, the one with the smaller width is the better.
#
# A difference between two rows may be luck of the draw of windows. The bootstrap says how much of
# it is.

# %%
difference = paired_difference(result, "score", "elbo", "crps", unit="window")
print(
    f"CRPS, score minus elbo: {difference.difference:+.3f} "
    f"(95 % interval {difference.low:+.3f} to {difference.high:+.3f})"
)
if difference.high < 0:
    print("On these windows score forecasts better.")
elif difference.low > 0:
    print("On these windows elbo forecasts better.")
else:
    print("On these windows neither forecasts clearly better.")

# %% [markdown]
# That is one training of each. How much training itself scatters, only further seeds can tell:
# `backtest(..., seeds=(0, 1, 2, 3, 4))`.
#
# ## Calibration
#
# How often labels fell below each quantile, and where they fell within the forecasts. On the
# diagonal, and with a flat histogram, probabilities mean what they say.

# %%
pits = {
    model: pit(
        result.labels, np.stack([forecast.samples for forecast in result.forecasts[model, 0]])
    )
    for model in result.models
}
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
plot_reliability(pits, ax=ax)
plt.show()

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True, layout="constrained")
for ax, model in zip(axes, ("score", "elbo"), strict=True):
    plot_pit(pits[model], ax=ax)
    ax.set_title(f"{model}: {ax.get_title(loc='left')}")
plt.show()

# %% [markdown]
# ## What they do not know
#
# The share of the variance that is epistemic, by lead time, over all windows. It is an estimate
# that may dip below zero where there is little to find.

# %%
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
plot_epistemic_share({model: result.forecasts[model, 0] for model in ("score", "elbo")}, ax=ax)
plt.show()

# %% [markdown]
# The same comparison, with MAP beside it and a report to pass on, is one command:
#
# ```
# tsbnn backtest --dataset seattle_weather --models deepar --inference score,elbo,map --out report/
# ```
