r"""Whether two models differ by more than luck: paired differences with bootstrap intervals.

Both models forecast the same windows, and a hard window is hard for both. So windows are resampled
as pairs: each replicate counts every window a random number of times, the same for both models
and all seeds, and takes the difference of the models' scores, each averaged over seeds. The
percentiles of these differences bound the interval.

Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 8 and 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from tsbnn.evaluation.randomness import stream
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.shapes import Array

Unit = Literal["series x window", "series", "window"]

_MOST_NUMBERS = 10_000_000  # weights in memory at a time


@dataclass(frozen=True)
class PairedDifference:
    """Difference of two models' scores, ``a`` − ``b``.

    Attributes
    ----------
    a, b, metric
        What was compared. For scores, a negative difference says that ``a`` is better.
    value_a, value_b, difference
        Means over the common seeds, and their difference.
    low, high
        Confidence interval of the difference.
    confidence
        Its nominal coverage.
    num_seeds, num_units
        Common seeds, and resampled units.
    """

    a: str
    b: str
    metric: str
    value_a: float
    value_b: float
    difference: float
    low: float
    high: float
    confidence: float
    num_seeds: int
    num_units: int


def paired_difference(
    backtest: Backtest,
    a: str,
    b: str,
    metric: str = "crps",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    unit: Unit = "series x window",
    seed: int = 0,
) -> PairedDifference:
    """Compare two models of a backtest on one metric.

    Parameters
    ----------
    backtest
        Its ``scores`` are used.
    a, b
        Names of models. They are compared on the seeds that both have.
    metric
        A score that is kept per window: any but those of the PIT and of cost.
    confidence
        Nominal coverage of the interval, between 0 and 1.
    resamples
        Bootstrap replicates.
    unit
        What is resampled: single windows of single series (which takes them as independent), or
        whole series, or whole windows over all series, which allows for dependence within each
        and needs some dozen of them.
    seed
        Of the resampling.

    Raises
    ------
    ValueError
        For unknown models, metrics or units, no common seed, fewer than two units, and a
        confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence!r}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples!r}")
    seeds = {model: {s for name, s in backtest.scores if name == model} for model in (a, b)}
    for model, found in seeds.items():
        if not found:
            raise ValueError(f"no results of {model!r}; there are {', '.join(backtest.models)}")
    common = sorted(seeds[a] & seeds[b])
    if not common:
        raise ValueError(f"{a!r} and {b!r} have no seed in common: {seeds}")
    groups = _groups(backtest.windows, unit)
    num_units = int(groups.max()) + 1
    if num_units < 2:
        raise ValueError(f"only {num_units} {unit} to resample: choose another unit")

    def score(model: str, weights: Array | None) -> Array:
        values = [backtest.scores[model, s].value(metric, weights) for s in common]
        return np.asarray(np.mean(values, axis=0))

    value_a, value_b = float(score(a, None)), float(score(b, None))
    generator = stream(seed, "bootstrap")
    chances = np.full(num_units, 1 / num_units)
    chunk = max(1, _MOST_NUMBERS // len(groups))
    differences = []
    for begin in range(0, resamples, chunk):
        size = min(chunk, resamples - begin)
        counts = generator.multinomial(num_units, chances, size=size)
        weights = counts[:, groups].astype(np.float64)
        differences.append(score(a, weights) - score(b, weights))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.nanquantile(np.concatenate(differences), tails)
    return PairedDifference(
        a=a,
        b=b,
        metric=metric,
        value_a=value_a,
        value_b=value_b,
        difference=value_a - value_b,
        low=float(low),
        high=float(high),
        confidence=confidence,
        num_seeds=len(common),
        num_units=num_units,
    )


def paired_differences(
    backtest: Backtest, reference: str, metric: str = "crps", **settings: object
) -> pd.DataFrame:
    """Compare every other model with one: a row for each, as :class:`PairedDifference` has them.

    Parameters
    ----------
    backtest, metric
        As in :func:`paired_difference`.
    reference
        The model ``b``.
    **settings
        Further arguments of :func:`paired_difference`.
    """
    rows = [
        paired_difference(backtest, model, reference, metric, **settings)  # type: ignore[arg-type]
        for model in backtest.models
        if model != reference
    ]
    return pd.DataFrame(rows, columns=list(PairedDifference.__dataclass_fields__))


def _groups(windows: pd.DataFrame, unit: str) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Place of the unit to which each window belongs."""
    if unit == "series x window":
        return np.arange(len(windows))
    columns = {"series": "item_id", "window": "window"}
    if unit not in columns:
        raise ValueError(f"unit must be 'series x window', 'series' or 'window', not {unit!r}")
    return np.asarray(pd.factorize(windows[columns[unit]])[0])
