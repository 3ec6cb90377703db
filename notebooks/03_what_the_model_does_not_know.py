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
# # What the model does not know
#
# The spread of a forecast has two parts. **Aleatoric** is the noise of the world, which stays
# whatever we learn. **Epistemic** is the doubt about the network's weights, which data remove. The
# second is the one that makes people buy Bayesian forecasters: it promises a warning where a model
# is out of its depth.
#
# Does it warn? That can be checked where the truth is known. So we simulate, ask in five
# situations, and compare what the model *says* it does not know with what it *really* does not
# know. At the end we go back to real data. Be prepared for both answers.

# %%
import logging
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.dates import YearLocator

from tsbnn import (
    BayesianEstimator,
    BayesianForecast,
    BayesianPredictor,
    DeepAREstimator,
    backtest,
)
from tsbnn.datasets import FrameDataset, from_frame, load_frame
from tsbnn.evaluation import selective_scores
from tsbnn.plotting import plot_epistemic_share, plot_forecast, plot_selective, style

# TSBNN_SHORT=1 runs every cell with a tiny budget: enough to see that they work, not to learn.
SHORT = os.environ.get("TSBNN_SHORT") == "1"
EVALUATIONS = 4 if SHORT else 1500  # minibatch gradients per training
HORIZON = 28  # days

plt.rcParams.update(style())
torch.set_num_threads(1)  # a network this small is fastest on one thread
# Lightning tells about devices at every training, and draws progress bars.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}

# %% [markdown]
# ## A world whose truth we know
#
# Eight office buildings are heated. Every kelvin below 16 °C takes 7 % more, weekends take less,
# and independent noise of 6 % comes on top. The network is told the outdoor temperature as a
# known covariate: the weather service forecasts it.

# %%
OFFICE = (1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.7)  # Monday to Sunday
NOISE = 0.06


def simulate(week: tuple[float, ...] = OFFICE, colder: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Four years of eight buildings; February 2024 may be colder than it was."""
    rng = np.random.default_rng(seed)
    day = pd.date_range("2021-01-01", "2024-12-31")
    weather = np.zeros(len(day))
    for t in range(1, len(day)):
        weather[t] = 0.75 * weather[t - 1] + rng.normal(0, 1.8)
    temperature = 11 - 9 * np.cos(2 * np.pi * (day.dayofyear - 20) / 365.25) + weather
    temperature = temperature - colder * (day >= "2024-02-01")
    shape = np.array(week)[day.dayofweek] * (1 + 0.07 * np.maximum(0, 16 - temperature))
    frames = []
    for number in range(8):
        truth = rng.uniform(20, 80) * shape
        demand = truth * (1 + NOISE * rng.normal(size=len(day)))
        columns = {"day": day, "temperature": temperature, "demand": demand, "truth": truth}
        frames.append(pd.DataFrame({"building": f"building {number}", **columns}))
    return pd.concat(frames, ignore_index=True)


world = simulate()
past = world[world["day"] < "2024-01-01"]

figure, axes = plt.subplots(1, 2, figsize=(10, 3.3), layout="constrained")
one = past[past["building"] == "building 0"]
axes[0].plot(one["day"], one["demand"], linewidth=0.6)
axes[0].set_ylabel("heat demand (MWh per day)")
axes[0].xaxis.set_major_locator(YearLocator())
axes[0].set_title("building 0, three years to learn from")
axes[1].scatter(one["temperature"], one["demand"], s=4, alpha=0.5)
axes[1].set_xlabel("outdoor temperature (°C)")
axes[1].set_title("workdays above, weekends below")
plt.show()

# %% [markdown]
# ## More data, less doubt
#
# The same network learns from the last two months, the last six, and all three years, with the
# same number of gradients.


# %%
def dataset_of(frame: pd.DataFrame) -> FrameDataset:
    """Neither network nor prior know units: covariates should be of order one."""
    return from_frame(
        frame.assign(cold=(10 - frame["temperature"]) / 10),
        item_id="building",
        timestamp="day",
        target="demand",
        freq="D",
        known_covariates="cold",
    )


def learn(frame: pd.DataFrame, **settings: object) -> BayesianPredictor:
    network = DeepAREstimator(
        freq="D",
        prediction_length=HORIZON,
        lags_seq=[1, 2, 3, 7, 14],
        num_feat_dynamic_real=1,
        trainer_kwargs=QUIET,
    )
    estimator = BayesianEstimator(
        network, inference_kwargs=settings, gradient_evaluations=EVALUATIONS
    )
    return estimator.train(dataset_of(frame))


records = {
    "2 months": past[past["day"] >= "2023-11-01"],
    "6 months": past[past["day"] >= "2023-07-01"],
    "3 years": past,
}
models = {name: learn(frame) for name, frame in records.items()}
for name, model in models.items():
    summary = model.training_summary
    print(
        f"{name}: {summary['num_observations']:,} observations for {summary['num_weights']:,} "
        f"weights, {summary['gradient_evaluations']:,} gradient evaluations"
    )

# %% [markdown]
# Each forecasts four weeks of every building, three times in the winter of 2024. We compare what it
# *says*, the epistemic and the aleatoric standard deviation, with what is *true*: how far its mean
# is off the mean of the simulation (that is what it does not know), and the simulation's noise.
# All are in percent of the mean demand.

# %%
WINTER = [pd.Timestamp(day) for day in ("2024-01-04", "2024-02-01", "2024-02-29")]


def history(frame: pd.DataFrame, start: pd.Timestamp, days: int | None = None) -> FrameDataset:
    """What is known on the eve of a forecast: demand so far, temperature through the horizon."""
    frame = frame[frame["day"] < start + pd.Timedelta(days=HORIZON)]
    if days is not None:
        frame = frame[frame["day"] >= start - pd.Timedelta(days=days)]
    return dataset_of(frame).without_last(HORIZON, horizon=HORIZON)


def ask(
    model: BayesianPredictor,
    frame: pd.DataFrame = world,
    starts: list[pd.Timestamp] = WINTER,
    days: int | None = None,
) -> tuple[list[BayesianForecast], dict[str, float]]:
    """Forecasts, and what they say beside what is true."""
    forecasts, squares = [], []
    for start in starts:
        ahead = frame[frame["day"].between(start, start + pd.Timedelta(days=HORIZON - 1))]
        truth = ahead.pivot(index="building", columns="day", values="truth").to_numpy()
        made = list(model.predict(history(frame, start, days), num_samples=200))
        for f, y in zip(made, truth, strict=True):
            parts = (f.epistemic_variance, (f.mean - y) ** 2, f.aleatoric_std**2, (NOISE * y) ** 2)
            squares.append([part.mean() / y.mean() ** 2 for part in parts])
        forecasts += made
    names = ("epistemic sd", "error of the mean", "aleatoric sd", "noise")
    roots = 100 * np.sqrt(np.maximum(np.mean(squares, axis=0), 0))
    return forecasts, dict(zip(names, roots, strict=True))


answers = {f"trained on {name}": ask(model) for name, model in models.items()}
pd.DataFrame({name: row for name, (_, row) in answers.items()}).T.round(1)

# %%
figure, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
plot_epistemic_share({name: forecasts for name, (forecasts, _) in answers.items()}, ax=ax)
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# With three years of data the doubt is smaller, as it should be, but by far less than the error:
# after two and six months 10.1 % are claimed where the mean is 20 and 21 % off, after three years
# 8.1 % where it is 3.3 % off. So the models of few data doubt too little, by half, and that of many
# too much. What they lack of doubt they put into the noise, which is overrated threefold after two
# months: a network that cannot yet tell signal from noise takes signal for noise. So the *share* of
# the doubt, in the picture, is the smallest with the fewest data.
#
# The picture is about the **far horizon** too: with six months and three years of data the share
# rises with the lead time, though the noise of this world is the same on every day. A path is drawn
# day by day, each from the last ones, and so the doubt adds up along a path.
#
# ## What a colder posterior would say
#
# All three networks have more weights than observations. That costs accuracy: a posterior over so
# many weights stays broad. `temperature="auto"` sharpens it, to T = N/D for N observations and D
# weights. The same question to such models:

# %%
colder = {name: learn(frame, temperature="auto") for name, frame in records.items()}
said = {
    f"trained on {name}, T = {model.training_summary['temperature']:.2f}": ask(model)[1]
    for name, model in colder.items()
}
pd.DataFrame(said).T.round(1)

# %% [markdown]
# The forecasts are better: after three years 2.6 % off instead of 3.3, after six months 15 instead
# of 21, after two 18.7 instead of 19.7. But the models of few data do not know how wrong they are:
# 1.0 % is claimed where 19 % is true, and 3.0 where 15 is. The doubt *grows* with the data, for the
# fewer there are, the colder the posterior and the surer of itself. So T = 1 is the default.
#
# ## Five situations
#
# Now we ask for forecasts
#
# 1. of the **same buildings** in winter, by the model of three years: its home ground;
# 2. from a **short history**: of three days only, as if the meters had just been installed;
# 3. of **unseen series**: swimming pools, busy at weekends, when offices are empty;
# 4. under a **covariate shift**: February 20 K colder than it was, colder than any day before;
# 5. of **another season**: summer, by the model that has learnt from November and December only.

# %%
FEBRUARY = pd.Timestamp("2024-02-01")
SUMMER = [pd.Timestamp(day) for day in ("2024-06-03", "2024-07-01", "2024-07-29")]
pools = simulate(week=(0.75, 0.8, 0.8, 0.8, 0.9, 1.2, 1.3), seed=1)
cold = simulate(colder=20)

situations = {
    "home ground": answers["trained on 3 years"],
    "short history": ask(models["3 years"], days=3),
    "unseen series": ask(models["3 years"], pools),
    "covariate shift": ask(models["3 years"], cold, [FEBRUARY]),
    "another season": ask(models["2 months"], starts=SUMMER),
}
found = pd.DataFrame({name: row for name, (_, row) in situations.items()}).T
found.round(1)

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
parts = (("epistemic sd", "error of the mean", "C1"), ("aleatoric sd", "noise", "C0"))
for ax, (said, true, colour) in zip(axes, parts, strict=True):
    ax.barh(found.index, found[said], height=0.55, color=colour, alpha=0.75, label=f"said: {said}")
    ax.scatter(found[true], found.index, color="black", zorder=3, label=f"true: {true}")
    ax.set_xlabel("% of the mean demand")
    ax.set_xlim(left=0)
    ax.grid(visible=False, axis="y")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2)
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# On the left a bar that reaches its dot is a model that knows what it does not know. Where a bar
# ends far before the dot, the model is wrong and does not know it.

# %%
home = found.loc["home ground"]
for name, row in found.drop("home ground").iterrows():
    said, true = "epistemic sd", "error of the mean"
    print(
        f"{name}: doubt from {home[said]:.1f} to {row[said]:.1f} %, "
        f"true error from {home[true]:.1f} to {row[true]:.1f} %"
    )

# %% [markdown]
# None of the warnings comes that one hopes for:
#
# - With a **short history** the error grows from 3.3 to 8.7 %, and the doubt from 8.1 to 8.5. It is
#   of the right size there, and was too large before.
# - Of the **unseen series** it notices nothing. The pools look like buildings with odd weekends,
#   and all networks of the posterior agree about weekends. That a series may be of *another kind*
#   is no weight in any of them.
# - In the **cold** it notices nothing either. Beyond the data all the networks bend the same way,
#   since their hidden units saturate.
# - In **another season** the doubt of the model of two months is hardly larger than it was in
#   winter (first table), and the error twice as large.
#
# The posterior is over the weights of *this* network, given *these* data. It tells how well the
# data determine them. It is no detector of a changed world. The fan charts show how that looks on a
# dashboard: above, orange bands that are wide enough; below, bands that look just as calm.

# %%
shown = {"home ground": world, "short history": world, "unseen series": pools}
figure, axes = plt.subplots(2, 2, figsize=(10, 5.6), layout="constrained")
for ax, (name, frame) in zip(axes.flat, {**shown, "covariate shift": cold}.items(), strict=True):
    forecasts, _ = situations[name]
    forecast = next(f for f in forecasts if f.start_date.to_timestamp() == FEBRUARY)
    series = frame[frame["building"] == forecast.item_id].set_index("day")["demand"]
    before = 3 if name == "short history" else HORIZON
    plot_forecast(
        forecast,
        observed=series[FEBRUARY:].iloc[:HORIZON].to_numpy(),
        history=series[: FEBRUARY - pd.Timedelta(days=1)].tail(before).to_numpy(),
        name="demand",
        unit="MWh",
        ax=ax,
    )
    ax.set_title(name)
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, ncols=5, loc="outside lower center")
plt.show()

# %% [markdown]
# What to do about it is old advice: watch whether inputs stay within the range of the
# training data, and whether recent forecasts held what they promised.

# %%
seen = past["temperature"]
for name, frame in (("home ground", world), ("covariate shift", cold)):
    ahead = frame[frame["day"].between("2024-02-01", "2024-02-28")]["temperature"]
    outside = ~ahead.between(seen.min(), seen.max())
    print(f"{name}: {outside.mean():.0%} of the temperatures lie outside of all that were learnt")

# %% [markdown]
# ## Selective forecasting: on real data, whom to trust?
#
# There is a test that needs no simulated truth. Order all forecasts by how sure the model was
# *before* the labels came. Drop the least sure ones. If the model knows which of its forecasts
# will be bad, the score of the rest improves.
#
# First Seattle's weather: all fortnights of 2015, of four series.


# %%
def race(frame: pd.DataFrame, horizon: int, windows: int, season: int):
    dataset = from_frame(frame)
    network = DeepAREstimator(freq=dataset.freq, prediction_length=horizon, trainer_kwargs=QUIET)
    estimator = BayesianEstimator(network, gradient_evaluations=EVALUATIONS)
    return backtest(
        {"score": estimator},
        dataset,
        prediction_length=horizon,
        windows=windows,
        season=season,
        baselines=False,
    )


def show(result, ax: plt.Axes) -> None:
    """Curves by four ways of telling how sure a model is."""
    orders = ("epistemic", "total", "share", "width")
    curves = [selective_scores(result, "score", "mase", by=by, unit="window") for by in orders]
    plot_selective(curves, names=orders, ax=ax)
    for by, curve in zip(orders, curves, strict=True):
        verdict = "informative" if curve.skill_low > 0 else "not shown to be informative"
        verdict = "misleading" if curve.skill_high < 0 else verdict
        interval = f"{curve.skill_low:+.2f} to {curve.skill_high:+.2f}"
        print(f"{by:9s} skill {curve.skill:+.2f} ({interval}): {verdict}")


figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
show(race(load_frame("seattle_weather"), 14, 2 if SHORT else 26, 365), ax)
plt.show()

# %% [markdown]
# `epistemic` and `total` order forecasts by the variance over weights and by the whole variance,
# each in units of its series; `share` by the former in percent of the latter; `width` by the
# interval of 50 % over the seasonal error of the history, which any model has, a point as well.
# Skill is 1 for an oracle that knows the scores, 0 for dropping at random; bands and brackets are
# 95 % intervals.
#
# In Seattle it is the *whole* spread that knows which fortnights will be hard. Of its epistemic
# part alone that is not shown, which is no contradiction: what makes a fortnight hard is the
# weather more than the lack of data.
#
# Then nine series of the US economy, year by year from late 1999 to 2009. The last years hold the
# financial crisis, of which nothing before gave an example.

# %%
economy = race(load_frame("us_macro"), 4, 2 if SHORT else 10, 1)
figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
show(economy, ax)
plt.show()

# %% [markdown]
# Here nothing is shown of any order: the whole spread may know a little, but its interval reaches
# below zero. Year by year one sees why: how unsure the model was, and how wrong. Did it know, the
# last bars would be the highest in both rows.

# %%
scores = economy.scores["score", 0]
table = economy.windows[["window", "start"]].assign(
    share=[
        np.mean(f.epistemic_variance) / np.mean(f.total_std**2)
        for f in economy.forecasts["score", 0]
    ],
    mase=scores.numerators["mase"] / scores.denominators["mase"],
)
by_year = table.groupby("window").agg({"start": "first", "share": "mean", "mase": "mean"})
years = [str(start)[:4] for start in by_year["start"]]

figure, axes = plt.subplots(2, figsize=(7.5, 4.4), sharex=True, layout="constrained")
axes[0].bar(years, 100 * by_year["share"], color="C1", alpha=0.75)
axes[0].set_ylabel("epistemic share\nof variance (%)")
axes[0].set_title("what the model said, before")
axes[1].bar(years, by_year["mase"], color="black", alpha=0.6)
axes[1].set_ylabel("MASE")
axes[1].set_title("how wrong it was, after (years from the quarter of the forecast's start)")
figure.align_ylabels()
plt.show()

# %% [markdown]
# ## What to take home
#
# - The epistemic part answers *how much data there were for this*, short training records and short
#   histories, and answers too evenly: with few data the error is larger than it says, with many
#   smaller.
# - Do not take its silence for safety. Another kind of series, covariates out of range, a crisis:
#   no posterior over the weights of one network sees these coming.
# - Test it on your own data before you act on it: `backtest`, then `selective_scores`. An interval
#   that reaches below zero says that it was not shown to be of use.
