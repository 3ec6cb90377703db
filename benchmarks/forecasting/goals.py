"""What score VI was to show, and whether it does: one row a goal, one column a network.

A goal is met where it holds on at least as many datasets as were asked for, and has no answer
before all of them have been run with three seeds.
"""

from __future__ import annotations

import math

import pandas as pd

from benchmarks.cells import LEVELS
from benchmarks.convergence import BUDGETS, reached, with_elbo
from benchmarks.forecasting import calibrated
from benchmarks.forecasting.grid import DATASETS, NAIVE, SCALED_ELBO
from benchmarks.forecasting.tables import LEAST_SEEDS, PEER, coverages

#: By the column's heading: how the models on a network are named.
NETWORKS = {"DeepAR": "deepar", "Transformer": "transformer", "GluonTS's TFT": "tft"}
#: Largest mean_wQL of the best of a network's models, by dataset.
WQL_GOALS = {"m4_hourly": 0.033, "etth1": 0.195, "exchange_rate": 0.00815}
#: Where the best of a network's models is to have a lower CRPS than MAP and the seasonal naive.
LOWER_ON = "etth1"
WORSE = 0.01
POINTS = 3.0
NOT_RUN = "–"


def verdict(holds: pd.Series, asked: int) -> str:
    """Whether a goal is met, on how many datasets it holds, and on which it does not."""
    if set(holds.index) != set(DATASETS):
        return NOT_RUN
    failed = [dataset for dataset in DATASETS if not holds[dataset]]
    count = len(DATASETS) - len(failed)
    text = f"{'met' if count >= asked else '**missed**'}: {count} of {len(DATASETS)}"
    return f"{text}, not {', '.join(failed)}" if 0 < count < len(DATASETS) else text


def goals(
    results: pd.DataFrame,
    differences: pd.DataFrame,
    calibration: pd.DataFrame,
    convergence: pd.DataFrame,
) -> pd.DataFrame:
    """One row a goal; what was asked, and what was found on each network.

    Parameters
    ----------
    results
        Rows of results/forecasting.csv.
    differences
        What ``tables.differences`` gives.
    calibration
        Rows of results/forecasting_calibrated.csv.
    convergence
        Rows of results/convergence.csv.
    """
    seeds = results.groupby(["model", "dataset"]).seed.transform("nunique")
    results = results[seeds >= LEAST_SEEDS]
    rows = []
    for network in NETWORKS.values():
        own = f"{network}, score"
        elbo, scaled, ensemble, peer = (
            _against(differences, own, other)
            for other in (f"{network}, elbo", SCALED_ELBO, f"{network}, ensemble", PEER)
        )
        answers = {
            "CRPS against the ELBO: the interval ends at +1 % at most, on 5 of 5": verdict(
                elbo.relative_high <= WORSE, 5
            ),
            "… and lies below zero, on 3": verdict(elbo.relative_high < 0, 3),
            "… the ELBO with trials of both its rates: at +1 % at most, on 5": verdict(
                scaled.relative_high <= WORSE, 5
            ),
            "Half of the gradients to the ELBO's last training ELBO, on 4": (
                verdict(_half(convergence), 4) if network == "deepar" else NOT_RUN
            ),
            "CRPS against GluonTS's own DeepAR: lower mean, on 5": verdict(peer.relative < 0, 5),
            "… in no more training time, on 5": verdict(_sooner(results, own), 5),
            "CRPS against the ensemble with the same budget: not shown to be worse, on 4": verdict(
                ensemble.relative_low < 0, 4
            ),
            "Coverage within 3 points at 50, 80, 90 and 95 %, on 4": verdict(
                _within(results[results.model == own]), 4
            ),
            "… after conformal calibration, on 4": verdict(
                _within(_calibrated(calibration, own)), 4
            ),
        }
        for dataset, goal in WQL_GOALS.items():
            name = f"{dataset}: mean_wQL of the best model at most {goal}"
            answers[name] = _best(results, network, dataset, goal)
            if dataset == LOWER_ON:
                name = "… its CRPS clearly below those of the seasonal naive and of MAP"
                answers[name] = _lower(results, differences, network)
        rows.append(answers)
    table = pd.DataFrame(rows, index=list(NETWORKS)).T
    return table.rename_axis("goal").reset_index()


def _against(differences: pd.DataFrame, own: str, other: str) -> pd.DataFrame:
    found = differences[(differences.a == own) & (differences.b == other)]
    found = found[found.num_seeds >= LEAST_SEEDS]
    return found.set_index("dataset")


def _half(convergence: pd.DataFrame) -> pd.Series:
    found = reached(with_elbo(convergence))
    own = found[found.method == "score"].set_index("dataset")["it reaches ELBO's with"]
    return own <= max(BUDGETS) / 2


def _sooner(results: pd.DataFrame, own: str) -> pd.Series:
    seconds = results.groupby(["model", "dataset"]).wall_s.mean().unstack("dataset")
    seconds = seconds.reindex([own, PEER])
    return (seconds.loc[own] <= seconds.loc[PEER])[seconds.notna().all()]


def _within(results: pd.DataFrame) -> pd.Series:
    if not len(results):
        return pd.Series(dtype=bool)
    off = (coverages(results) - LEVELS).abs()
    return (off.max(axis=1) <= POINTS).droplevel("model")


def _calibrated(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    return rows[(rows.intervals == calibrated.CALIBRATED) & (rows.model == model)]


def _errors(results: pd.DataFrame, network: str, dataset: str) -> pd.Series:
    """Mean weighted quantile losses of a network's models."""
    here = results[(results.metric == "mean_wql") & (results.dataset == dataset)]
    return here[here.model.str.startswith(f"{network}, ")].groupby("model").value.mean()


def _best(results: pd.DataFrame, network: str, dataset: str, goal: float) -> str:
    found = _errors(results, network, dataset)
    if not len(found):
        return NOT_RUN
    best = found.idxmin()
    word = "met" if found[best] <= goal else "**missed**"
    return f"{word}: {found[best]:.3g}, {best.removeprefix(f'{network}, ')}"


def _lower(results: pd.DataFrame, differences: pd.DataFrame, network: str) -> str:
    found = _errors(results, network, LOWER_ON)
    if not len(found):
        return NOT_RUN
    best, point = found.idxmin(), f"{network}, map"
    if best == point:
        return "**missed**: MAP is the best itself"
    ends = [
        float(_against(differences, best, other).relative_high.get(LOWER_ON, math.nan))
        for other in (NAIVE, point)
    ]
    if any(map(math.isnan, ends)):
        return NOT_RUN
    failed = [name for name, end in zip(("seasonal naive", "MAP"), ends, strict=True) if end >= 0]
    return f"**missed**: not {' and '.join(failed)}" if failed else "met"
