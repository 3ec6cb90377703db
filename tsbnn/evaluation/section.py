"""What a page says of one backtest: findings, tables and plots, ready for the template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tsbnn.evaluation.baselines import GLUONTS_DEEPAR, SEASONAL_NAIVE
from tsbnn.evaluation.fans import MOST_SERIES, scaled_errors
from tsbnn.evaluation.figures import GROUPS
from tsbnn.evaluation.images import Plot
from tsbnn.evaluation.learnt import learnt
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.statistics import PairedDifference
from tsbnn.evaluation.table import best_model, decimals, resampled, summary_table, written

_BASELINES = (SEASONAL_NAIVE, GLUONTS_DEEPAR)
#: Members of a list that are shown.
_LONG = 8
#: Rows of the table of worst series.
_WORST = 8


def section(
    backtest: Backtest, differences: Sequence[PairedDifference], plots: Sequence[Plot]
) -> dict[str, Any]:
    """Variables of the template.

    Parameters
    ----------
    backtest
        With at least one model that gave results.
    differences
        Paired differences of models from the best one.
    plots
        What to show, in this order within each group.
    """
    table = summary_table(backtest)
    groups = {group: [plot for plot in plots if plot.group == group] for group in GROUPS}
    found = {
        "dataset": backtest.dataset or "unnamed data",
        "lede": lede(backtest),
        "findings": findings(backtest, differences),
        "failures": [
            (f"{model}, seed {seed}", f"{type(error).__name__}: {error}")
            for (model, seed), error in backtest.failures.items()
        ],
        "columns": table.columns,
        "rows": [
            {"model": model, "note": "baseline" if model in _BASELINES else "", "cells": cells}
            for model, cells in table.rows.items()
        ],
        "baselines": all(name in table.rows for name in _BASELINES),
        "error_note": table.error_note,
        "best": best_model(backtest),
        "differences": _differences(differences),
        "unit": (
            "test windows, over all series together"
            if resampled(backtest) == "window"
            else "windows of single series"
        ),
        "many_series": backtest.windows["item_id"].nunique() > MOST_SERIES,
        "plots": groups,
        "worst": _worst_series(backtest),
        "learnt": learnt(backtest),
        "num_seeds": len(_seeds(backtest)),
        "settings": _settings(backtest),
        "models": _models(backtest),
        "networks": _networks(backtest),
    }
    return {**found, "contents": _contents(found)}


def findings(backtest: Backtest, differences: Sequence[PairedDifference]) -> list[str]:
    """What the comparison of the best model with the others says, in words."""
    frame = backtest.aggregate()
    crps = frame[frame["metric"] == "crps"].set_index("model")["mean"]
    best = best_model(backtest)
    said = [f"The lowest CRPS, {crps[best]:.4g}, is that of {best}."]
    groups = (
        ("clearly higher", [d.a for d in differences if d.low > 0]),
        ("not clearly higher", [d.a for d in differences if not d.low > 0]),
    )
    said.extend(f"That of {_listed(names)} is {words}." for words, names in groups if names)
    return said


def lede(backtest: Backtest) -> str:
    """What was done, in two sentences."""
    series = backtest.windows["item_id"].nunique()
    count = len(backtest.windows) // series
    many = f"{series} series" if series > 1 else "one series"
    seeds = len(_seeds(backtest))
    models = len(backtest.models)
    return (
        f"{models} {'models' if models > 1 else 'model'} forecast {count} test "
        f"{'windows' if count > 1 else 'window'} of {backtest.prediction_length} steps in {many} "
        f"({backtest.freq}), trained under {seeds} {'seeds' if seeds > 1 else 'seed'} on what came "
        "before. No model sees a label of the windows."
    )


def _contents(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Anchor and title of every part that there is something to say in."""
    plots = found["plots"]
    parts = (
        ("failures", "Failures", found["failures"]),
        ("scores", "Scores", True),
        ("differences", "Differences to the best", found["differences"]),
        ("calibration", "Calibration", plots["calibration"] or plots["sharpness"]),
        ("forecasts", "Forecasts", plots["fan"]),
        ("worst", "Worst series", plots["worst"] or found["worst"]),
        ("epistemic", "What the models do not know", plots["epistemic_share"]),
        ("selective", "Selective forecasting", plots["selective"]),
        ("training", "Training", plots["training"]),
        ("learnt", "What the posteriors learnt", found["learnt"]),
        ("settings", "Settings", True),
    )
    return [(anchor, title) for anchor, title, there in parts if there]


def _differences(differences: Sequence[PairedDifference]) -> list[dict[str, str]]:
    digits = decimals(np.array([d.difference for d in differences])) if differences else 0
    return [
        {
            "model": d.a,
            "difference": written(d.difference, digits=digits),
            "interval": f"{written(d.low, digits=digits)} to {written(d.high, digits=digits)}",
            "relative": written(d.relative, "percent", 1),
            "relative_interval": f"{written(d.relative_low, 'percent', 1)} to "
            f"{written(d.relative_high, 'percent', 1)}",
        }
        for d in differences
    ]


def _worst_series(backtest: Backtest) -> dict[str, Any]:
    """Scaled errors of the series on which the best model erred most, of all models.

    Empty where there are no more series than the plots show anyway.
    """
    items = backtest.windows["item_id"]
    if items.nunique() <= MOST_SERIES:
        return {}
    columns = [best_model(backtest), *backtest.models]
    errors = {
        model: backtest.windows.assign(error=scaled_errors(backtest, model))
        .groupby("item_id", sort=False)["error"]
        .mean()
        for model in dict.fromkeys(columns)
    }
    order = errors[columns[0]].dropna().sort_values(ascending=False, kind="stable")
    if order.empty:
        return {}
    return {
        "models": list(errors),
        "rows": [
            (item, [written(float(errors[model][item]), digits=2) for model in errors])
            for item in order.index[:_WORST]
        ],
        "count": len(order),
        "median": written(float(order.median()), digits=2),
    }


def _settings(backtest: Backtest) -> dict[str, str]:
    starts = backtest.windows["start"]
    paths = [len(run[0].samples) for run in backtest.forecasts.values() if run]
    items = list(dict.fromkeys(backtest.windows["item_id"]))
    shown = ", ".join(map(str, items[:12])) + (", …" if len(items) > 12 else "")
    found = {
        "dataset": backtest.dataset or "–",
        "frequency": f"{backtest.freq}, season of {backtest.season} steps",
        "series": f"{len(items)}: {shown}",
        "windows": f"{backtest.entries.count} per series of {backtest.prediction_length} steps, "
        f"{backtest.entries.stride} steps apart, the first from {starts.min()}, "
        f"the last from {starts.max()}",
        "labels": f"{int((~np.isnan(backtest.labels)).sum())} observed of {backtest.labels.size}",
        "seeds": ", ".join(map(str, _seeds(backtest))),
    }
    if paths:
        found["paths per forecast"] = str(max(paths))
    return found


def _models(backtest: Backtest) -> list[dict[str, Any]]:
    """One row per model: what it is, what it was trained with, what it cost."""
    frame = backtest.aggregate()
    means = frame.pivot(index="model", columns="metric", values="mean")
    rows = []
    for model in backtest.models:
        about = backtest.settings[model]
        run = about["runs"][0]
        cost: Mapping[Any, Any] = means.loc[model].to_dict()
        rows.append(
            {
                "model": model,
                "text": [about["network"], about["inference"], about["family"]],
                "numbers": [
                    _count(run.get("num_observations")),
                    f"{run['temperature']:.3g}" if "temperature" in run else "–",
                    _count(run.get("num_weights")),
                    written(cost["gradient_evaluations"], "count"),
                    written(cost["wall_s"], digits=1),
                    written(cost["predict_s"], digits=1),
                    written(cost["peak_memory_mib"], digits=0),
                ],
                "settings": _compact(run.get("settings")),
            }
        )
    return rows


def _count(value: Any) -> str:
    return "–" if value is None else written(float(value), "count")


def _networks(backtest: Backtest) -> list[tuple[str, str]]:
    """Models that have the same settings of their networks, and these."""
    found: dict[tuple[str, str], list[str]] = {}
    for model in backtest.models:
        about = backtest.settings[model]
        if text := _compact(about.get("network_settings")):
            found.setdefault((about["network"], text), []).append(model)
    return [(", ".join(models), text) for (_, text), models in found.items()]


def _compact(value: Any) -> str:
    """Settings as ``name=value`` in one line."""
    if not isinstance(value, Mapping):
        return ""
    return ", ".join(f"{key}={_written_short(part)}" for key, part in value.items())


def _written_short(value: Any) -> str:
    """A value in JSON; of long lists the first members and the last one."""
    if isinstance(value, list) and len(value) > _LONG:
        first = ", ".join(json.dumps(part, default=str) for part in value[: _LONG - 2])
        return f"[{first}, …, {json.dumps(value[-1], default=str)}]"
    return json.dumps(value, default=str)


def _seeds(backtest: Backtest) -> list[int]:
    return sorted({seed for _, seed in backtest.scores})


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
