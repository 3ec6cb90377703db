"""The page of a report: what a backtest found, in HTML that needs no other file."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tsbnn.evaluation.baselines import GLUONTS_DEEPAR, SEASONAL_NAIVE
from tsbnn.evaluation.figures import MOST_SERIES, Plot
from tsbnn.evaluation.learnt import learnt
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.statistics import PairedDifference
from tsbnn.evaluation.table import decimals, resampled, summary_table, written

_BASELINES = (SEASONAL_NAIVE, GLUONTS_DEEPAR)


def page(
    backtest: Backtest,
    differences: Sequence[PairedDifference],
    plots: Sequence[Plot],
    place: Mapping[str, str],
    title: str | None = None,
) -> str:
    """The page as text.

    Parameters
    ----------
    backtest
        With at least one model that gave results.
    differences
        Paired differences of the first model from others.
    plots
        What to show, in this order within each group.
    place
        Where it was computed, in words by name.
    title
        Heading; one with the dataset's name if None.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    table = summary_table(backtest)
    values = np.array([d.difference for d in differences])
    digits = decimals(values) if len(values) else 0
    templates = Environment(
        loader=PackageLoader("tsbnn.evaluation", "."), autoescape=True, undefined=StrictUndefined
    )
    return templates.get_template("report.html.j2").render(
        title=title or f"Backtest on {backtest.dataset or 'unnamed data'}",
        lede=_lede(backtest),
        findings=findings(backtest, differences),
        failures=[
            (f"{model}, seed {seed}", f"{type(error).__name__}: {error}")
            for (model, seed), error in backtest.failures.items()
        ],
        columns=table.columns,
        rows=[
            {"model": model, "note": "baseline" if model in _BASELINES else "", "cells": cells}
            for model, cells in table.rows.items()
        ],
        baselines=all(name in table.rows for name in _BASELINES),
        error_note=table.error_note,
        differences=[
            {
                "other": d.b,
                "difference": written(d.difference, digits=digits),
                "low": written(d.low, digits=digits),
                "high": written(d.high, digits=digits),
                "relative": written(d.relative, "percent", 1),
            }
            for d in differences
        ],
        first=backtest.models[0],
        many_series=backtest.windows["item_id"].nunique() > MOST_SERIES,
        unit=(
            "test windows, over all series together"
            if resampled(backtest) == "window"
            else "windows of single series"
        ),
        plots={
            group: [
                {
                    "caption": plot.caption,
                    "alt": plot.alt,
                    "width": plot.width,
                    "height": plot.height,
                    "light": _inline(plot.light),
                    "dark": _inline(plot.dark),
                }
                for plot in plots
                if plot.group == group
            ]
            for group in ("differences", "reliability", "pit", "fan", "epistemic_share")
        },
        learnt=learnt(backtest),
        num_seeds=len(_seeds(backtest)),
        settings=_settings(backtest),
        models=_models(backtest),
        environment=place,
    )


def findings(backtest: Backtest, differences: Sequence[PairedDifference]) -> list[str]:
    """What the comparison of the first model with the others says, in words."""
    frame = backtest.aggregate()
    crps = frame[frame["metric"] == "crps"].set_index("model")["mean"]
    best = str(crps.idxmin())
    said = [f"The lowest CRPS is that of {best}: {crps[best]:.4g}."]
    groups = (
        ("lower than that of", [d.b for d in differences if d.high < 0]),
        ("higher than that of", [d.b for d in differences if d.low > 0]),
        ("not clearly different from that of", [d.b for d in differences if d.low <= 0 <= d.high]),
    )
    parts = [f"{words} {_listed(names)}" for words, names in groups if names]
    if parts:
        said.append(
            f"The CRPS of {differences[0].a} is {'; '.join(parts)} (95\u00a0% intervals below)."
        )
    return said


def _lede(backtest: Backtest) -> str:
    series = backtest.windows["item_id"].nunique()
    count = len(backtest.windows) // series
    many = f"{series} series" if series > 1 else "one series"
    seeds = len(_seeds(backtest))
    return (
        f"{len(backtest.models)} models forecast {count} test "
        f"{'windows' if count > 1 else 'window'} of {backtest.prediction_length} steps in {many} "
        f"({backtest.freq}), trained under {seeds} {'seeds' if seeds > 1 else 'seed'} on what came "
        "before. No model sees a label of the windows."
    )


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
                    f"{run['temperature']:g}" if "temperature" in run else "–",
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


def _compact(value: Any) -> str:
    """Settings as ``name=value`` in one line."""
    if not isinstance(value, Mapping):
        return ""
    return ", ".join(f"{key}={json.dumps(part, default=str)}" for key, part in value.items())


def _seeds(backtest: Backtest) -> list[int]:
    return sorted({seed for _, seed in backtest.scores})


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _inline(file: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(file).decode("ascii")
