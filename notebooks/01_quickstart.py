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
# # Quickstart: from your frame to a forecast that knows its limits
#
# You have a pandas frame: a column that names the series, a column of dates, a column of values.
# You want to know what comes next, and how sure one can be. In this notebook
#
# 1. we look at a frame as it comes out of a logger, with holes,
# 2. `Forecaster` learns from it and forecasts four weeks,
# 3. we compare with what really came,
# 4. and keep the model for tomorrow.

# %%
import logging
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from tsbnn import Forecaster
from tsbnn.datasets import from_frame, load_frame
from tsbnn.plotting import plot_decomposition, plot_frame, style

# TSBNN_SHORT=1 runs every cell with a tiny budget: enough to see that they work, not to learn.
SHORT = os.environ.get("TSBNN_SHORT") == "1"
EVALUATIONS = 4 if SHORT else 3000  # minibatch gradients
HORIZON = 28  # days

plt.rcParams.update(style())
torch.set_num_threads(1)  # a network this small is fastest on one thread
# Lightning tells about devices at every training, and draws progress bars.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}

# %% [markdown]
# ## The frame
#
# Four years of weather in Seattle, day by day, as three sensors wrote it down. To make it look
# like most people's data we lose some of it: one row in twenty, and two months of the anemometer.
# Nothing marks the lost days. Their rows are not there, and that is all.

# %%
UNITS = {"wind": "m/s", "day temperature": "°F", "night temperature": "°F"}

weather = load_frame("seattle_weather").rename(
    columns={"item_id": "sensor", "timestamp": "day", "target": "reading"}
)
weather["sensor"] = weather["sensor"].replace(
    {"temp_max": "day temperature", "temp_min": "night temperature"}
)
weather = weather[weather["sensor"].isin(list(UNITS))].copy()
celsius = weather["sensor"] != "wind"
weather.loc[celsius, "reading"] = 32 + 1.8 * weather.loc[celsius, "reading"]

lost = np.random.default_rng(0).random(len(weather)) < 0.05
lost |= (
    (weather["sensor"] == "wind") & weather["day"].between("2015-07-01", "2015-08-31")
).to_numpy()
frame = weather[~lost].sample(frac=1, random_state=0, ignore_index=True)  # in no order at all
frame.head()

# %%
figure, axes = plt.subplots(3, figsize=(9, 5), sharex=True, layout="constrained")
for ax, (sensor, unit) in zip(axes, UNITS.items(), strict=True):
    series = frame[frame["sensor"] == sensor].set_index("day")["reading"].asfreq("D")
    ax.plot(series["2015":], linewidth=1)
    ax.set_ylabel(f"{sensor}\n({unit})")
figure.align_ylabels()
axes[0].set_title("The last year; gaps are lost days")
plt.show()

# %% [markdown]
# You need not repair any of it. Rows may come in any order, and a day without a row is
# *unobserved*: the network neither takes it for zero nor learns from it.
#
# ## Fit and forecast
#
# We keep the last four weeks aside, to look at them later. `Forecaster` needs to know the horizon
# and the names of the columns. One network learns from all sensors together. Its
# weights are not numbers but distributions: the default method, score-based variational
# inference, finds for every weight a mean and a standard deviation.

# %%
cutoff = frame["day"].max() - pd.Timedelta(days=HORIZON)
past, future = frame[frame["day"] <= cutoff], frame[frame["day"] > cutoff]

forecaster = Forecaster(
    freq="D",
    prediction_length=HORIZON,
    item_id="sensor",
    timestamp="day",
    target="reading",
    support="nonnegative",  # there is no wind below 0 m/s; nor are Seattle's days below 0 °F
    gradient_evaluations=EVALUATIONS,
    num_samples=200,
    model_kwargs={"trainer_kwargs": QUIET},
)
forecaster.fit(past)

summary = forecaster.predictor_.training_summary
print(
    f"{summary['num_weights']:,} weights from {summary['num_observations']:,} observations, "
    f"{summary['gradient_evaluations']:,} gradient evaluations"
)

# %% [markdown]
# `predict` goes on where every series ends and answers in the columns that you gave it: the mean,
# the median, quantiles, and the bounds of intervals (`lo-80` and `hi-80` hold 80 %).

# %%
forecast = forecaster.predict()
forecast[["sensor", "day", "median", "lo-80", "hi-80", "epistemic_std", "aleatoric_std"]].head()

# %% [markdown]
# The last two columns are what is special here. Both are standard deviations in the unit of the
# sensor:
#
# - **aleatoric** is what the model takes for the weather's own noise. No amount of data removes
#   such noise.
# - **epistemic** is what *this model* does not know, because it has seen too little: by so much do
#   networks differ that all fit the past. More data would shrink it.
#
# Their squares add up to the variance of the whole forecast.

# %%
by_sensor = forecast.groupby("sensor")[["epistemic_std", "aleatoric_std"]]
spread = by_sensor.agg(lambda std: np.sqrt((std**2).mean()))
spread["epistemic share of variance"] = spread["epistemic_std"] ** 2 / (spread**2).sum(axis=1)
spread.style.format("{:.2f}").format("{:.0%}", subset=["epistemic share of variance"])

# %% [markdown]
# ## A fan chart, and what really came
#
# `tsbnn.plotting` draws a series of the frame, beside its history. Blue is the whole spread. Orange
# is the epistemic part: 90 % of the networks have their mean there. (It is estimated from 200
# paths; where the estimate is not above zero there is no orange.) The black dots are the four weeks
# that the model has not seen.

# %%
figure, axes = plt.subplots(3, figsize=(9, 7.5), sharex=True, layout="constrained")
for ax, (sensor, unit) in zip(axes, UNITS.items(), strict=True):
    plot_frame(forecast, frame, series=sensor, unit=unit, ax=ax)
figure.align_ylabels()
axes[0].legend(ncols=5, loc="upper left", bbox_to_anchor=(0, 1.3))
plt.show()

# %% [markdown]
# An interval of 80 % should hold four days in five. Four weeks of three sensors are few, so take
# this as a first look; the notebook `02_compare_methods` does it properly.

# %%
both = future.merge(forecast, on=["sensor", "day"])
for level in (80, 95):
    held = both["reading"].between(both[f"lo-{level}"], both[f"hi-{level}"])
    print(f"the {level} % intervals held {held.mean():.0%} of {len(both)} readings")

# %% [markdown]
# Both held more than they promise: on these four weeks they were, if anything, too wide.
#
# How both parts depend on the lead time, averaged over the sensors, each in units of its own mean
# variance. Behind the forecaster stands a GluonTS predictor, `predictor_`, whose forecasts know
# their sample paths and which weights each path was drawn with:

# %%
dataset = from_frame(past, **forecaster.predictor_.frame_schema.arguments())
paths = list(forecaster.predictor_.predict(dataset))

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
plot_decomposition(paths, ax=ax)
plt.show()

# %% [markdown]
# ## Keep the model
#
# `save` writes a folder: settings as JSON, weights as safetensors, no data. Loading it runs no
# code from the folder. A loaded model wants to be told where to start from.

# %%
with tempfile.TemporaryDirectory() as folder:
    forecaster.save(Path(folder) / "weather")
    files = sorted(file.name for file in (Path(folder) / "weather").iterdir())
    loaded = Forecaster.load(Path(folder) / "weather")

print(*files, sep=", ")
print("same forecast as before:", loaded.predict(past).equals(forecast))

# %% [markdown]
# Tomorrow there are new readings. To forecast from them, hand over a frame that has them:
# `loaded.predict(new_frame)`. To learn from them too, `loaded.update(new_rows)` takes what the
# model believes now as its prior.
#
# ## Where to go on
#
# - `02_compare_methods`: is score VI better than the usual training, and how sure is that?
# - `03_what_the_model_does_not_know`: when to believe the epistemic part, and when not.
