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
# # Which method is better, and how sure is that?
#
# Three ways of training the same network, a DeepAR, stand the same test:
#
# - **score** puts a Gaussian over every weight and finds it by score-based variational inference:
#   it matches the gradient of the log posterior at weights drawn from the current Gaussians, one
#   proximal step at a time;
# - **elbo** looks for the same Gaussians by the usual variational training: it follows the
#   gradient of a lower bound of the evidence;
# - **map** is ordinary training: one best value for every weight, and no doubt about it.
#
# Every comparison on this page comes with an interval. A table of means alone says who won on
# these windows, not whether he would win again.

# %%
import logging
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

from tsbnn import BayesianEstimator, DeepAREstimator, backtest
from tsbnn.datasets import from_frame, load_frame
from tsbnn.evaluation import coverage_intervals, paired_difference, paired_differences, pit
from tsbnn.plotting import (
    plot_differences,
    plot_forecast,
    plot_pit,
    plot_reliability,
    plot_sharpness,
    style,
)

# TSBNN_SHORT=1 runs every cell with a tiny budget: enough to see that they work, not to learn.
SHORT = os.environ.get("TSBNN_SHORT") == "1"
EVALUATIONS = 4 if SHORT else 2000  # minibatch gradients per training
WINDOWS = 2 if SHORT else 26  # fortnights to forecast, per series
HORIZON = 14  # days

plt.rcParams.update(style())
torch.set_num_threads(1)  # a network this small is fastest on one thread
# Lightning tells about devices at every training, and draws progress bars.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}

# %% [markdown]
# ## The data, and the rules
#
# Daily weather in Seattle, 2012 to 2015: precipitation, wind, the day's highest and lowest
# temperature.

# %%
UNITS = {"precipitation": "mm", "temp_max": "°C", "temp_min": "°C", "wind": "m/s"}
dataset = from_frame(load_frame("seattle_weather"), freq="D")
dataset

# %% [markdown]
# The rules are those of a fair race:
#
# - every method gets the same network, the same data and the same number of minibatch gradients;
# - all train on what lies before the test range, and forecast every fortnight in it from what was
#   known on its eve. `backtest` keeps the labels to itself until the forecasts are made;
# - two baselines always come along: last year's weather with a Gaussian width
#   (`seasonal_naive`), and GluonTS's own DeepAR with as many gradients (`gluonts_deepar`). It also
#   reads lags of two and three years, and the age of a series. Our network leaves these out: fewer
#   than half of the training points know such lags, and every forecast is older than training.


# %%
def estimator(inference: str) -> BayesianEstimator:
    network = DeepAREstimator(freq=dataset.freq, prediction_length=HORIZON, trainer_kwargs=QUIET)
    return BayesianEstimator(
        network, inference=inference, gradient_evaluations=EVALUATIONS, num_draws=20
    )


METHODS = ("score", "elbo", "map")
result = backtest(
    {method: estimator(method) for method in METHODS},
    dataset,
    prediction_length=HORIZON,
    windows=WINDOWS,
    season=365,
    dataset_name="seattle_weather",
)
print(
    f"{len(result.windows)} windows of {HORIZON} days; for every method of ours "
    f"{result.settings['score']['runs'][0]['gradient_evaluations']:,} gradient evaluations"
)

# %% [markdown]
# ## What a forecast looks like
#
# The same fortnight of the highest temperature, by all three. Blue is the whole spread; orange is
# the part of it that comes from not knowing the weights, which `map` cannot have.

# %%
window = int(result.windows.query("item_id == 'temp_max'").index[WINDOWS // 2])
history = result.entries[window]["target"]

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, layout="constrained")
for ax, method in zip(axes, METHODS, strict=True):
    plot_forecast(
        result.forecasts[method, 0][window],
        observed=result.labels[window],
        history=history[-2 * HORIZON :],
        unit="°C",
        ax=ax,
    )
    ax.set_title(method)
for ax in axes[1:]:
    ax.set_ylabel("")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, ncols=5, loc="outside lower center")
plt.show()

# %% [markdown]
# ## The table

# %%
result.summary().drop(columns="wall_s").T

# %% [markdown]
# Lower is better in `crps`, `mean_wql`, `nd`, `mase` and `pit_deviation`. A coverage should be
# near its nominal 50 or 95 %, and of two that are, the one with the smaller width is the better.
#
# ## Paired differences
#
# All methods forecast the same windows. A stormy fortnight is hard for each of them, so we take
# the difference window by window, and resample whole windows of time (all four series together,
# for they share their weather) to see how much that difference could have been another one. An
# interval that does not reach zero is a clear difference.

# %%
differences = paired_differences(result, "map", "crps", unit="window")
differences[["a", "b", "value_a", "value_b", "difference", "low", "high"]].round(3)

# %%
figure, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
plot_differences(
    [f"{row.a} − {row.b}" for row in differences.itertuples()],
    100 * differences["relative"],
    100 * differences["relative_low"],
    100 * differences["relative_high"],
    label="difference in CRPS (%), with its 95 % interval; left of 0 is better than map",
    ax=ax,
)
plt.show()

# %% [markdown]
# And the two ways of finding a posterior, against each other:

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
# So here `map` has the lowest CRPS, clearly below `score` (3 %) and `elbo` (2 %), of which neither
# is shown to be better than the other. But that is one training of each. How much training itself
# scatters, only further seeds can tell: `backtest(..., seeds=(0, 1, 2, 3, 4))`. The intervals then
# resample seeds, too.
#
# ## Calibration: do intervals hold what they promise?
#
# Coverage is an estimate like any other, so it has an interval as well.

# %%
coverages = coverage_intervals(result, ["score", "elbo", "map", "gluonts_deepar"], unit="window")
table = coverages[coverages["nominal"].isin([0.5, 0.95])].set_index(["nominal", "model"])
table.style.format("{:.1%}", subset=["coverage", "low", "high"]).format("{:.1f}", subset=["width"])

# %% [markdown]
# At 95 % `score` and `elbo` hold what they promise; `map` holds less, and GluonTS's training far
# less. At 50 % `score` and `elbo` hold more than they promise.
#
# The picture shows the price of coverage. Each curve goes through the intervals of 50, 80, 90 and
# 95 %. A marker belongs on the dotted line of its coverage; left of it, the interval holds too
# rarely, right of it, more often than it promises. Of two markers on their line the lower one is
# the sharper. (The width is a mean over all four series, whatever their units.)

# %%
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
plot_sharpness(coverages, ax=ax)
plt.show()

# %% [markdown]
# The same for all probabilities at once. How often did labels fall below each quantile (on the
# diagonal: as often as they should), and where in the forecast did they fall (flat: everywhere
# alike; ∪: too narrow, ∩: too wide)?

# %%
pits = {
    model: pit(
        result.labels, np.stack([forecast.samples for forecast in result.forecasts[model, 0]])
    )
    for model in ("score", "elbo", "map", "gluonts_deepar")
}
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
plot_reliability(pits, ax=ax)
plt.show()

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 2.9), sharey=True, layout="constrained")
for ax, method in zip(axes, METHODS, strict=True):
    plot_pit(pits[method], ax=ax)
    ax.set_title(f"{method}: {ax.get_title(loc='left')}")
for ax in axes[1:]:
    ax.set_ylabel("")
plt.show()

# %% [markdown]
# None of the three is flat. Too few labels fall at the low end, too many around 0.4 and at the very
# top, there above all under `map`. On average over the bins `score` is farthest from flat.
#
# The same comparison, with a report to pass on, is one command:
#
# ```
# tsbnn backtest --dataset seattle_weather --models deepar --inference score,elbo,map --out report/
# ```
#
# More data sets, seeds and methods are in `benchmarks/RESULTS.md`.
