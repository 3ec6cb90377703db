"""Time features by name: the calendar that a network is told, under GluonTS's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gluonts.time_feature import (
    TimeFeature,
    day_of_month,
    day_of_week,
    day_of_year,
    hour_of_day,
    minute_of_hour,
    month_of_year,
    second_of_minute,
    week_of_year,
)

#: GluonTS's functions, each of which maps a calendar's cycle to -0.5 … 0.5.
TIME_FEATURES: Mapping[str, TimeFeature] = {
    "second_of_minute": second_of_minute,
    "minute_of_hour": minute_of_hour,
    "hour_of_day": hour_of_day,
    "day_of_week": day_of_week,
    "day_of_month": day_of_month,
    "day_of_year": day_of_year,
    "week_of_year": week_of_year,
    "month_of_year": month_of_year,
}

#: How many days the cycle of each takes, at least; years by months and quarters are not exact.
CYCLES: Mapping[TimeFeature, float] = {
    second_of_minute: 1 / 1440,
    minute_of_hour: 1 / 24,
    hour_of_day: 1.0,
    day_of_week: 7.0,
    day_of_month: 30.0,
    day_of_year: 360.0,
    week_of_year: 360.0,
    month_of_year: 360.0,
}


def named_time_features(features: str | Sequence[str | Callable[..., Any]]) -> list[TimeFeature]:
    """Return the functions of the names; functions stay as they are.

    Raises
    ------
    ValueError
        For an unknown name, or one that is there twice; the message lists those there are.
    """
    given = [features] if isinstance(features, str) else list(features)
    unknown = [name for name in given if not callable(name) and name not in TIME_FEATURES]
    if unknown:
        raise ValueError(
            f"no time feature is named {unknown[0]!r}; there are {', '.join(TIME_FEATURES)}"
        )
    functions = [TIME_FEATURES[one] if isinstance(one, str) else one for one in given]
    if len(set(functions)) < len(functions):
        raise ValueError(f"time features {given}: each can be there once")
    return functions
