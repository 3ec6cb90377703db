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
# # Covariates, and many series
#
# A chain of thirty ice-cream shops wants to know the next two weeks. Beside the sales there is more
# to go by, and of three kinds:
#
# | kind | here | known |
# |---|---|---|
# | known covariates | price, promotion | ahead: we decide on them |
# | past covariates | people in the street | up to today, as counted |
# | static features | kind of shop, its area | always, one value for each shop |
#
# What does each of them bring? What happens if we change the plan? And what can be said of a shop
# that opened three days ago? The sales are simulated, so that the answers can be checked.

# %%
import logging
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from gluonts.torch.distributions import NegativeBinomialOutput

from tsbnn import BayesianEstimator, DeepAREstimator, Forecaster, backtest
from tsbnn.datasets import from_frame
from tsbnn.evaluation import coverage_intervals, paired_differences
from tsbnn.plotting import plot_differences, plot_forecast, style

# TSBNN_SHORT=1 runs every cell with a tiny budget: enough to see that they work, not to learn.
SHORT = os.environ.get("TSBNN_SHORT") == "1"
EVALUATIONS = 4 if SHORT else 1200  # minibatch gradients per training
HORIZON = 14  # days

plt.rcParams.update(style())
torch.set_num_threads(1)  # a network this small is fastest on one thread
# Lightning tells about devices at every training, and draws progress bars.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}

# %% [markdown]
# ## Thirty shops
#
# The kind of a shop decides its week: those in the city are nearly empty on Sundays, those at the
# seaside live on weekends and on summer, those in stations are the same all week. A cut of the
# price lifts sales, an announced promotion lifts them further by half. How many people come along
# the street wanders about by itself.

# %%
WEEKS = {  # Monday to Sunday
    "city": (1.1, 1.1, 1.1, 1.15, 1.3, 1.2, 0.1),
    "station": (1.0, 1.0, 1.0, 1.0, 1.1, 0.9, 0.9),
    "seaside": (0.5, 0.5, 0.5, 0.6, 1.1, 1.9, 1.9),
}
PROMOTION = 1.5  # times the sales


def simulate(shops: int, name: str, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    day = pd.date_range("2023-01-01", "2024-12-29")
    weeks = len(day) // 7 + 1
    frames = []
    for number in range(shops):
        kind = list(WEEKS)[number % 3]
        area = rng.uniform(40, 200)
        promotion = np.repeat(rng.random(weeks) < 1 / 6, 7)[: len(day)]
        discount = np.repeat(rng.choice([0.0, 0.0, 0.05, 0.2], weeks), 7)[: len(day)]
        street = np.zeros(len(day))
        for t in range(1, len(day)):
            street[t] = 0.95 * street[t - 1] + 0.08 * rng.normal()
        summer = -np.cos(2 * np.pi * day.dayofyear / 365.25)
        usual = np.array(WEEKS[kind])[day.dayofweek]
        usual = usual * (1 + (0.5 if kind == "seaside" else 0.1) * summer) * np.exp(street)
        truth = 0.25 * area * usual * (1 - discount) ** -1.5 * np.where(promotion, PROMOTION, 1)
        columns = {
            "shop": f"{name} {number:02d}",
            "day": day,
            "sales": rng.negative_binomial(12, 12 / (12 + truth)),
            "price": 4 * (1 - discount),
            "promotion": promotion.astype(int),
            "people": rng.poisson(3 * area * usual),
            "kind": kind,
            "area": area,
            "truth": truth,
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


sales = simulate(30, "shop", seed=0)
sales.drop(columns="truth").head()

# %%
figure, axes = plt.subplots(3, figsize=(9, 5), sharex=True, layout="constrained")
for ax, name in zip(axes, ("shop 00", "shop 01", "shop 02"), strict=True):
    shop = sales[(sales["shop"] == name) & (sales["day"] >= "2024-10-01")]
    ax.plot(shop["day"], shop["sales"], linewidth=1)
    ax.fill_between(
        shop["day"],
        0,
        1,
        where=shop["promotion"] == 1,
        step="mid",
        color="C1",
        alpha=0.25,
        linewidth=0,
        transform=ax.get_xaxis_transform(),
        label="promotion",
    )
    ax.set_ylabel(f"{name}\n{shop['kind'].iloc[0]}")
axes[0].set_title("Ice creams sold a day, last quarter")
axes[0].legend(loc="upper right")
plt.show()

# %% [markdown]
# Covariates go into the network as they are, so they should be numbers of order one, and those that
# change with time near zero on a usual day. That is all the preparation there is; text such as
# `kind` is encoded by `from_frame`.


# %%
def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    street = np.log1p(frame["people"])
    return frame.assign(
        discount=1 - frame["price"] / 4,
        street=street - street.groupby(frame["shop"]).transform("mean"),
        size=frame["area"] / 100,
    ).drop(columns="truth")


COLUMNS = {"item_id": "shop", "timestamp": "day", "target": "sales", "freq": "D"}
KNOWN, PAST, STATIC = ["discount", "promotion"], ["street"], ["kind", "size"]
dataset = from_frame(
    prepared(sales),
    **COLUMNS,
    known_covariates=KNOWN,
    past_covariates=PAST,
    static_features=STATIC,
)
print(dataset)
print("kinds:", dataset.static_categories["kind"])

# %% [markdown]
# ## What does each kind of covariate bring?
#
# Four models, each with one more kind of column. They forecast the last four fortnights of every
# shop. Sales are counts, so the network's head is a negative binomial distribution.


# %%
def estimator(known: int = 0, past: int = 0, kinds: int = 0) -> BayesianEstimator:
    network = DeepAREstimator(
        freq="D",
        prediction_length=HORIZON,
        context_length=2 * HORIZON,
        lags_seq=[1, 7, 14],
        distr_output=NegativeBinomialOutput(),
        num_feat_dynamic_real=known,
        num_past_feat_dynamic_real=past,
        num_feat_static_cat=kinds,
        num_feat_static_real=kinds,
        cardinality=dataset.cardinality if kinds else None,
        trainer_kwargs=QUIET,
    )
    return BayesianEstimator(network, gradient_evaluations=EVALUATIONS)


result = backtest(
    {
        "sales alone": estimator(),
        "+ known": estimator(known=2),
        "+ known, past": estimator(known=2, past=1),
        "+ known, past, static": estimator(known=2, past=1, kinds=1),
    },
    dataset,
    prediction_length=HORIZON,
    windows=1 if SHORT else 4,
    season=7,
    baselines=False,
)
run = result.settings["sales alone"]["runs"][0]
print(f"{run['gradient_evaluations']:,} gradient evaluations for every model")
result.summary(["crps", "mase", "coverage_50", "width_50", "coverage_95", "width_95"]).T

# %% [markdown]
# Each difference to the model that knows the sales alone, with an interval from resampling shops
# and fortnights:

# %%
differences = paired_differences(result, "sales alone", "crps")
figure, ax = plt.subplots(figsize=(7.5, 2.4), layout="constrained")
plot_differences(
    list(differences["a"]),
    100 * differences["relative"],
    100 * differences["relative_low"],
    100 * differences["relative_high"],
    label="difference in CRPS to sales alone (%), with its 95 % interval; left is better",
    ax=ax,
)
plt.show()

# %%
steps = list(zip(result.models[1:], result.models[2:], strict=False))
for before, after in steps:
    row = paired_differences(result, before, "crps").set_index("a").loc[after]
    sign = "better" if row["high"] < 0 else "worse" if row["low"] > 0 else "no clear difference"
    print(
        f"{after}, against {before}: {100 * row['relative']:+.1f} % "
        f"({100 * row['relative_low']:+.1f} to {100 * row['relative_high']:+.1f}): {sign}"
    )

# %% [markdown]
# The known covariates bring nearly all: without them nobody can tell a promotion of next week.
# The other two bring nothing that these windows can show. How busy the street was up to today shows
# in the sales up to today already, and nobody knows how busy it will be; and what kind of shop it
# is, two years of its sales tell as well. Try columns one by one, and let the backtest decide.
#
# Do the intervals hold what they promise?

# %%
coverages = coverage_intervals(result, ["sales alone", "+ known, past, static"])
table = coverages.set_index(["model", "nominal"])
table.style.format("{:.1%}", subset=["coverage", "low", "high"]).format("{:.1f}", subset=["width"])

# %% [markdown]
# Those of the largest model hold one to five points more than they promise, at a width some 10 %
# below that of the model without covariates.
#
# ## What if? Two plans for the next fortnight
#
# `Forecaster` does on frames what the estimator does on datasets. We keep the known covariates, and
# the static features for the new shops to come. The plan is a frame of the horizon with the known
# covariates. Here are two, with and without a promotion in the second week.

# %%
forecaster = Forecaster(
    freq="D",
    prediction_length=HORIZON,
    item_id="shop",
    timestamp="day",
    target="sales",
    support="count",
    covariates=KNOWN,
    static_features=STATIC,
    gradient_evaluations=EVALUATIONS,
    model_kwargs={"context_length": 2 * HORIZON, "lags_seq": [1, 7, 14], "trainer_kwargs": QUIET},
)
forecaster.fit(prepared(sales))

ahead = pd.date_range(sales["day"].max() + pd.Timedelta(days=1), periods=HORIZON)
plan = pd.DataFrame(
    [(shop, day) for shop in sales["shop"].unique() for day in ahead], columns=["shop", "day"]
).assign(discount=0.0, promotion=0)
promoted = plan.assign(promotion=(plan["day"] > ahead[6]).astype(int))

plans = {
    "no promotion": forecaster.predict(future_covariates=plan, levels=[80]),
    "promotion in the second week": forecaster.predict(future_covariates=promoted, levels=[80]),
}
plans["no promotion"].head(3)

# %%
figure, axes = plt.subplots(3, figsize=(9, 6.2), sharex=True, layout="constrained")
for ax, name in zip(axes, ("shop 00", "shop 01", "shop 02"), strict=True):
    shop = sales[sales["shop"] == name].tail(2 * HORIZON)
    ax.plot(shop["day"], shop["sales"], color="black", linewidth=0.9, label="observed")
    for place, (label, forecast) in enumerate(plans.items()):
        rows = forecast[forecast["shop"] == name]
        ax.plot(rows["day"], rows["median"], color=f"C{place}", label=label)
        ax.fill_between(
            rows["day"], rows["lo-80"], rows["hi-80"], color=f"C{place}", alpha=0.2, linewidth=0
        )
    ax.set_ylabel(f"{name}\n{shop['kind'].iloc[0]}")
axes[0].set_title("Ice creams sold a day: median, and interval of 80 %")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, ncols=3, loc="outside lower center")
plt.show()

# %% [markdown]
# Over all shops the simulation's promotion multiplies sales by 1.5. What has the model learnt?

# %%
second_week = {name: f[f["day"] > ahead[6]]["mean"].sum() for name, f in plans.items()}
factor = second_week["promotion in the second week"] / second_week["no promotion"]
print(f"forecast: times {factor:.2f}; simulated: times {PROMOTION:.2f}")

# %% [markdown]
# Most of it, but not all.
#
# ## Cold start: shops that have just opened
#
# Twelve new shops, of which the model has never seen anything. We forecast them at four dates of
# 2024 from one day of sales, three days, a week and so on. A second model, without static features,
# shows what it is worth to know that a shop lies at the seaside. (Below it is called "sales alone",
# but it knows the plan, as the first one does.) `predict` warns where a model is far less sure than
# it was of its training windows; we collect these warnings.

# %%
without = Forecaster(**{**forecaster.get_params(), "static_features": []}).fit(prepared(sales))
models = {"kind and area known": forecaster, "sales alone": without}

opened = simulate(12, "new shop", seed=99)
days_of_sales = (1, 7) if SHORT else (1, 3, 7, 14, 28)
starts = pd.date_range("2024-05-01", periods=2 if SHORT else 4, freq="49D")

rows, told = [], []
for days in days_of_sales:
    for start in starts:
        since = opened[opened["day"].between(start - pd.Timedelta(days=days), start, "left")]
        horizon = opened[opened["day"].between(start, start + pd.Timedelta(days=HORIZON - 1))]
        future = prepared(horizon)[["shop", "day", *KNOWN]]
        for model, fitted in models.items():
            with warnings.catch_warnings(record=True) as caught:
                forecast = fitted.predict(prepared(since), future_covariates=future)
            told += [(days, model, str(warning.message)) for warning in caught]
            both = horizon.merge(forecast, on=["shop", "day"])
            size = both.groupby("shop")["truth"].transform("mean")
            values = {
                "error of the mean": ((both["mean"] - both["truth"]).abs() / size).mean(),
                "epistemic sd": np.sqrt(((both["epistemic_std"] / size) ** 2).mean()),
                "coverage of 80 %": both["sales"].between(both["lo-80"], both["hi-80"]).mean(),
            }
            rows.append({"days of sales": days, "model": model, **values})
cold = pd.DataFrame(rows).groupby(["model", "days of sales"]).mean()
cold.style.format("{:.0%}")

# %%
for days, model, message in told:
    print(f"{days} days of sales, {model}: {message}.")
print(f"{len(told)} warnings in {len(rows)} predictions")

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), sharex=True, layout="constrained")
for ax, column in zip(axes, cold.columns, strict=True):
    for marker, model in zip("os", models, strict=True):
        line = 100 * cold.loc[model, column]
        ax.plot(line.index, line, marker=marker, label=model)
    ax.set_xscale("log", base=2)
    ax.set_xticks(days_of_sales, [str(days) for days in days_of_sales])
    ax.set_xlabel("days since the opening")
    ax.set_ylim(0, None)
axes[0].set_title("error of the mean (% of sales)")
axes[1].set_title("epistemic sd (% of sales)")
axes[2].set_title("coverage of the 80 % interval (%)")
axes[2].axhline(80, color="black", linestyle=":", linewidth=1)
axes[0].legend()
plt.show()

# %% [markdown]
# From left to right: the error, what the model says of its own doubt, and whether its intervals
# hold. The error more than halves within four weeks. To know the kind of a shop helps for a few
# days; from a week on its sales tell as much. The doubt falls too, though only once there is more
# than a week to look at. On the first day it is too small: below the dotted line, intervals
# promise more than they hold (70 % instead of 80 %), and no warning came. With a day or two of
# sales, widen them.
#
# One of the new shops, three days and four weeks after its opening:

# %%
start = pd.Timestamp("2024-06-05")
shop = opened[opened["shop"] == "new shop 02"]
figure, axes = plt.subplots(1, 2, figsize=(10, 3.3), sharey=True, layout="constrained")
for ax, days in zip(axes, (3, 28), strict=True):
    rows = shop[shop["day"].between(start - pd.Timedelta(days=days), start, "left")]
    horizon = shop[shop["day"].between(start, start + pd.Timedelta(days=HORIZON - 1))]
    schema = forecaster.predictor_.frame_schema
    known = from_frame(
        prepared(rows),
        **schema.arguments(),
        future_covariates=prepared(horizon)[["shop", "day", *KNOWN]],
        prediction_length=HORIZON,
    )
    plot_forecast(
        next(forecaster.predictor_.predict(known, num_samples=200)),
        observed=horizon["sales"].to_numpy(),
        history=rows["sales"].to_numpy(),
        ax=ax,
    )
    ax.set_title(f"{days} days of sales, at the {shop['kind'].iloc[0]}")
axes[1].set_ylabel("")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, ncols=5, loc="outside lower center")
plt.show()
