"""Does the epistemic spread grow where the model knows less?

`python -m benchmarks.situations [--models ...] [--seeds ...] [--jobs N]` writes
results/situations.csv and its table in RESULTS.md. Each situation trains a model once and has it
forecast at home and away:

- *short history*: every series as it is, and the last day before the forecast alone;
- *unseen series*: every second series is kept from the training, the others under odd seeds, so
  that what is peculiar to either half cancels over a pair of seeds;
- *new season*: trained on Victoria's demand from April to August 2013; home are the four weeks from
  1 September on, away those from 4 January on: far hotter than anything known, and with school
  holidays and daylight saving, which no input tells;
- *far horizon*: the first and the last quarter of the steps, of what is forecast at home.

Where a predictive distribution is honest, its standard deviation grows as the error of the mean
does, and its intervals cover away what they cover at home. What the error gains by ignorance is the
epistemic part's to say; MAP, which has none, is the control. Squared errors and variances of a
window are in units of its series' squared seasonal error; their means leave out the tenth of the
windows at either end. 5,000 gradient evaluations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from gluonts.time_feature import get_seasonality
from numpy.typing import NDArray
from scipy import stats

from benchmarks.cells import Cell, run_cells
from benchmarks.forecasting.models import estimator
from benchmarks.output import PAGE, fill, markdown
from benchmarks.series import cut, step_of, steps
from tsbnn.datasets import load
from tsbnn.evaluation import backtest, central_interval
from tsbnn.evaluation.epistemic import epistemic_variance
from tsbnn.evaluation.scores import seasonal_error
from tsbnn.evaluation.shapes import Array

MODELS = tuple(f"deepar, {method}" for method in ("score", "elbo", "mc_dropout", "ensemble", "map"))
SEEDS = (0, 1)
TITLE = "Away from home"
DAYS, PATHS, TRIMMED = 28, 400, 0.1
#: Between a situation's name and its dataset's.
OF = " of "
HOME, AWAY = "home", "away"
NEAR, FAR = "near", "far"
#: Whose growth is compared.
QUANTITIES = ("error", "total sd", "epistemic sd")


@dataclass(frozen=True)
class Case:
    """A series that ends with one window to forecast, at home or away; its seasonal error."""

    side: str
    series: dict[str, Any]
    scale: float


@dataclass(frozen=True)
class Situation:
    """What a model is trained on and what it has to forecast."""

    training: list[dict[str, Any]]
    cases: list[Case]


def _windows(data: Any) -> list[tuple[dict[str, Any], int, float]]:
    """Every series, the end of each of its test windows, and its seasonal error before those."""
    found = []
    for series, known in zip(data.dataset, data.training, strict=True):
        scale = seasonal_error(known["target"], data.season)
        last = len(series["target"])
        ends = [last - number * data.stride for number in reversed(range(data.windows))]
        found += [(series, end, scale) for end in ends]
    return found


def short_history(data: Any, seed: int) -> Situation:
    """Forecast from all of the past, and from one day of it."""
    cases = []
    for series, end, scale in _windows(data):
        first = end - data.prediction_length - get_seasonality(data.freq)
        cases.append(Case(HOME, steps(series, 0, end), scale))
        cases.append(Case(AWAY, steps(series, first, end), scale))
    return Situation(list(data.training), cases)


def unseen_series(data: Any, seed: int) -> Situation:
    """Forecast series that were trained on, and those that were not: every second one."""
    away = {series["item_id"] for series in list(data.dataset)[seed % 2 :: 2]}
    cases = [
        Case(AWAY if series["item_id"] in away else HOME, steps(series, 0, end), scale)
        for series, end, scale in _windows(data)
    ]
    return Situation([known for known in data.training if known["item_id"] not in away], cases)


def new_season(data: Any, seed: int) -> Situation:
    """Forecast four weeks that go on where the training ends, and four of another season."""
    (series,) = data.dataset
    known = cut(series, "2013-04-01", "2013-09-01")
    scale = seasonal_error(known["target"], data.season)
    cases = []
    for side, start in ((HOME, "2013-09-01"), (AWAY, "2014-01-04")):
        for day in range(DAYS):
            end = step_of(series, start) + data.prediction_length + 24 * day
            cases.append(Case(side, steps(series, step_of(series, "2013-04-01"), end), scale))
    return Situation([known], cases)


SITUATIONS: dict[str, Callable[[Any, int], Situation]] = {
    "short history": short_history,
    "unseen series": unseen_series,
    "new season": new_season,
}
#: Which situation on which dataset.
PLACES = (
    ("short history", "m4_hourly"),
    ("short history", "nyc_taxi"),
    ("unseen series", "m4_hourly"),
    ("unseen series", "exchange_rate"),
    ("new season", "vic_electricity"),
)


def evaluate(cell: Cell) -> pd.DataFrame:
    """Train a model once, and measure its forecasts at home, away, near and far."""
    name, dataset = cell.dataset.split(OF)
    data = load(dataset)
    situation = SITUATIONS[name](data, cell.seed)
    check(situation, data.prediction_length)
    # A series has several cases, but an id of a backtest only one.
    entries = [
        {**case.series, "item_id": f"{case.side} {number}"}
        for number, case in enumerate(situation.cases)
    ]
    found = backtest(
        {cell.model: estimator(cell.model, data)},
        entries,
        prediction_length=data.prediction_length,
        windows=1,
        season=data.season,
        training_data=situation.training,
        seeds=(cell.seed,),
        num_samples=PATHS,
        baselines=False,
    )
    measured = measure(
        found.forecasts[cell.model, cell.seed],
        found.labels,
        np.array([case.scale for case in situation.cases]),
        np.array([case.side for case in situation.cases]),
    )
    return pd.DataFrame(
        {"metric": measured.keys(), "value": measured.values()}
        | {"wall_s": found.results.wall_s.iloc[0]}
    )


def check(situation: Situation, prediction_length: int) -> None:
    """Make sure that no window of a series is trained on.

    Raises
    ------
    ValueError
        If a training series goes on beyond the start of one of its windows.
    """
    ends = {known["item_id"]: known["start"] + len(known["target"]) for known in situation.training}
    for case in situation.cases:
        name = case.series["item_id"]
        start = case.series["start"] + len(case.series["target"]) - prediction_length
        if name in ends and ends[name] > start:
            raise ValueError(f"{name} is trained on up to {ends[name]}, its window is at {start}")


def measure(
    forecasts: Sequence[Any], labels: Array, scale: Array, side: NDArray[np.str_]
) -> dict[str, float]:
    """Trimmed means over the windows of each side, and of the near and far steps at home.

    Parameters
    ----------
    forecasts
        One a window, with the parts of its variance.
    labels
        ``num_windows x prediction_length``.
    scale, side
        Of each window: its series' seasonal error, and :data:`HOME` or :data:`AWAY`.

    Returns
    -------
    dict
        By "SIDE, QUANTITY": roots of means over windows and steps of the squared error of the mean
        and of the variances, over the squared scale; and "SIDE, coverage", the share of labels in
        the central 95 %. The epistemic part, which is an estimate without a floor, is NaN where its
        mean is not above two standard errors.
    """
    means = np.stack([forecast.mean for forecast in forecasts])
    low, high = central_interval(np.stack([forecast.samples for forecast in forecasts]), 0.95)
    by_step = {
        "error": (means - labels) ** 2,
        "epistemic sd": np.stack([epistemic_variance(forecast) for forecast in forecasts]),
        "total sd": np.stack([forecast.total_std**2 for forecast in forecasts]),
    }
    covered = np.where(np.isnan(labels), np.nan, (low <= labels) & (labels <= high))
    quarter = labels.shape[1] // 4
    every, near, far = slice(None), slice(quarter), slice(-quarter, None)
    sides = {HOME: (HOME, every), AWAY: (AWAY, every), NEAR: (HOME, near), FAR: (HOME, far)}
    found = {}
    for name, (whose, part) in sides.items():
        rows = side == whose
        for quantity, squares in by_step.items():
            by_window = np.nanmean(squares[rows][:, part], axis=1) / scale[rows] ** 2
            mean = stats.trim_mean(by_window, TRIMMED)
            error = stats.mstats.trimmed_stde(by_window, limits=(TRIMMED, TRIMMED))
            known = quantity != "epistemic sd" or mean > 2 * error
            found[f"{name}, {quantity}"] = float(np.sqrt(mean)) if known else np.nan
        found[f"{name}, coverage"] = float(np.nanmean(covered[rows][:, part]))
    return found


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line a situation, dataset and model: how much larger everything is than at home.

    Geometric means over the seeds, with their range. What is near and far is forecast by the models
    of the situation that trains on everything, that of short histories. Unseen series take as many
    even as odd seeds.
    """
    wide = rows.pivot_table(index=["dataset", "model", "seed"], columns="metric", values="value")
    situations = [(name, dataset, name, HOME, AWAY) for name, dataset in PLACES]
    situations += [
        ("far horizon", dataset, name, NEAR, FAR)
        for name, dataset in PLACES
        if name == "short history"
    ]
    lines = []
    for situation, dataset, name, home, away in situations:
        for model in MODELS:
            place = f"{name}{OF}{dataset}"
            if (place, model) not in wide.index:
                continue
            found = wide.loc[place, model]
            if name == "unseen series":
                pairs = min((found.index % 2 == 0).sum(), (found.index % 2 == 1).sum())
                found = found.groupby(found.index % 2).head(pairs)
            if len(found):
                about = {"situation": situation, "dataset": dataset, "model": model}
                lines.append(about | {"seeds": len(found)} | _growth(found, home, away))
    return pd.DataFrame(lines)


def _growth(found: pd.DataFrame, home: str, away: str) -> dict[str, str]:
    line = {}
    for quantity in QUANTITIES:
        ratios = found[f"{away}, {quantity}"] / found[f"{home}, {quantity}"]
        mean = np.exp(np.log(ratios).mean(skipna=False))
        text = f"× {mean:.2f} ({ratios.min():.2f} – {ratios.max():.2f})"
        line[quantity] = "–" if np.isnan(mean) else text
    shares = (100 * found[f"{side}, coverage"].mean() for side in (home, away))
    line["95 % covers"] = " → ".join(f"{share:.0f}" for share in shares)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    given = parser.parse_args()
    cells = [
        Cell(f"{name}{OF}{dataset}", model, seed)
        for seed in given.seeds
        for model in given.models
        for name, dataset in PLACES
    ]
    rows = run_cells(evaluate, cells, "situations", jobs=given.jobs)
    found = markdown(table(rows))
    print(f"\n## {TITLE}\n\n{found}")
    fill(PAGE, {TITLE: found})


if __name__ == "__main__":
    main()
