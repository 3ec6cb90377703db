"""Parts of series: entries of GluonTS, cut at steps or at timestamps."""

from __future__ import annotations

from typing import Any

import pandas as pd

COVARIATES = ("feat_dynamic_real", "past_feat_dynamic_real")


def steps(series: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    """Take the steps of a series from one up to another, which is left out."""
    there = [name for name in COVARIATES if series.get(name) is not None]
    return {
        **series,
        "start": series["start"] + first,
        "target": series["target"][first:last],
        **{name: series[name][:, first:last] for name in there},
    }


def step_of(series: dict[str, Any], stamp: str) -> int:
    """The step of a series at which a timestamp lies."""
    return int((pd.Period(stamp, series["start"].freq) - series["start"]).n)


def cut(series: dict[str, Any], first: str, last: str) -> dict[str, Any]:
    """Take the steps of a series from one timestamp up to another, which is left out."""
    return steps(series, step_of(series, first), step_of(series, last))
