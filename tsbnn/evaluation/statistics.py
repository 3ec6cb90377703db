r"""Whether two models differ by more than luck: paired differences with bootstrap intervals.

Both models forecast the same windows, and a hard window is hard for both. So they are resampled as
pairs: each replicate (see :mod:`tsbnn.evaluation.bootstrap`) draws windows and seeds, the same for
both models, and takes the difference of their scores, each averaged over seeds. The percentiles of
these differences bound the interval.

Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 8 and 13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsbnn.evaluation.bootstrap import Bootstrap, Scored, Unit, mean_over_seeds, runs_of, score
from tsbnn.evaluation.shapes import Array


@dataclass(frozen=True)
class PairedDifference:
    r"""Difference of two models' scores, ``a`` − ``b``.

    Attributes
    ----------
    a, b, metric
        What was compared. For scores, a negative difference says that ``a`` is better.
    value_a, value_b, difference
        Means over the common seeds, and their difference.
    low, high
        Confidence interval of the difference.
    relative, relative_low, relative_high
        ``value_a / value_b - 1`` with its interval, which holds 0 where that of the difference
        does; NaN where ``value_b`` is not positive. A few seeds that differ a lot leave open
        whether the mean of ``b`` is far from 0 at all: then the upper end is infinite.
    confidence
        Nominal coverage of the intervals.
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
    relative: float
    relative_low: float
    relative_high: float
    confidence: float
    num_seeds: int
    num_units: int


def paired_difference(
    scored: Scored,
    a: str,
    b: str,
    metric: str = "crps",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    unit: Unit = "series x window",
    resample_seeds: bool = True,
    seed: int = 0,
) -> PairedDifference:
    """Compare two models on one metric.

    The intervals tell of other windows and of other seeds at once. Two or three seeds tell little
    about further ones, and where they differ the intervals are as wide as that makes them.

    Parameters
    ----------
    scored
        A backtest, or :class:`tsbnn.evaluation.StoredScores`.
    a, b
        Names of models. They are compared on the seeds that both have; one that has a single seed,
        such as a baseline that no seed changes, is compared with every seed of the other. How a
        training of its own would scatter, nothing is known of then.
    metric
        A score that is kept per window: any but those of the PIT and of cost.
    confidence
        Nominal coverage of the intervals, between 0 and 1.
    resamples
        Bootstrap replicates.
    unit
        What is resampled beside the seeds: see :class:`tsbnn.evaluation.bootstrap.Bootstrap`.
    resample_seeds
        Let seeds vary too, where at least two are common. Otherwise the intervals are about these
        very trainings.
    seed
        Of the resampling.

    Raises
    ------
    ValueError
        For unknown models, metrics or units, no common seed, fewer than two units, and a
        confidence outside (0, 1).
    """
    runs_a, runs_b = runs_of(scored, a, b)
    bootstrap = Bootstrap(scored.windows, unit, confidence, resamples, resample_seeds, seed)
    value = score(metric)
    at_a, at_b = (bootstrap.replicates(runs, value) for runs in (runs_a, runs_b))
    value_a, value_b = (mean_over_seeds(runs, value) for runs in (runs_a, runs_b))
    low, high = bootstrap.interval(at_a - at_b)
    relative_low, relative_high = _relative_interval(bootstrap, at_a, at_b)
    return PairedDifference(
        a=a,
        b=b,
        metric=metric,
        value_a=float(value_a),
        value_b=float(value_b),
        difference=float(value_a - value_b),
        low=float(low),
        high=float(high),
        relative=float(value_a / value_b - 1) if value_b > 0 else np.nan,
        relative_low=relative_low if value_b > 0 else np.nan,
        relative_high=relative_high if value_b > 0 else np.nan,
        confidence=confidence,
        num_seeds=len(runs_a),
        num_units=bootstrap.num_units,
    )


def paired_differences(
    scored: Scored, reference: str, metric: str = "crps", **settings: object
) -> pd.DataFrame:
    """Compare every other model with one: a row for each, as :class:`PairedDifference` has them.

    Parameters
    ----------
    scored, metric
        As in :func:`paired_difference`.
    reference
        The model ``b``.
    **settings
        Further arguments of :func:`paired_difference`.
    """
    rows = [
        paired_difference(scored, model, reference, metric, **settings)  # type: ignore[arg-type]
        for model in scored.models
        if model != reference
    ]
    return pd.DataFrame(rows, columns=list(PairedDifference.__dataclass_fields__))


def coverage_intervals(
    scored: Scored,
    models: list[str] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    unit: Unit = "series x window",
    resample_seeds: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Coverage of the central intervals against nominal, and what width bought it.

    Where every label of all :math:`n` units lay inside, no resampling says anything else. Had a
    unit's expected coverage been :math:`c`, this would happen with probability :math:`c^n` at most,
    so the interval is :math:`[(\alpha / 2)^{1/n}, 1]` at confidence :math:`1 - \alpha`; where every
    label lay outside, :math:`[0, 1 - (\alpha / 2)^{1/n}]`. With one label a unit this is the
    interval of Clopper and Pearson, Biometrika 26 (1934).

    Parameters
    ----------
    scored
        A backtest, or :class:`tsbnn.evaluation.StoredScores`.
    models
        Names; all if None.
    confidence, resamples, unit, resample_seeds, seed
        As in :func:`paired_difference`.

    Returns
    -------
    pandas.DataFrame
        ``model, nominal, coverage, low, high, width``: one row for each model and each interval
        whose coverage is kept, coverages as shares with their confidence interval, the mean width
        in target units (NaN where widths are not kept).

    Raises
    ------
    ValueError
        As in :func:`paired_difference`, and if a model has no coverage kept.
    """
    bootstrap = Bootstrap(scored.windows, unit, confidence, resamples, resample_seeds, seed)
    rows = []
    for model in scored.models if models is None else models:
        (runs,) = runs_of(scored, model)
        kept = sorted(
            int(name.removeprefix("coverage_"))
            for name in runs[0].numerators
            if name.startswith("coverage_")
        )
        if not kept:
            raise ValueError(f"no coverage of {model!r} is kept: store metrics like 'coverage_95'")
        for percent in kept:
            value = score(f"coverage_{percent}")
            coverage = float(mean_over_seeds(runs, value))
            low, high = np.clip(bootstrap.interval(bootstrap.replicates(runs, value)), 0.0, 1.0)
            if coverage in (0.0, 1.0):
                observed = runs[0].denominators[f"coverage_{percent}"] > 0
                unseen = 1 - ((1 - confidence) / 2) ** (1 / bootstrap.num_units_of(observed))
                low, high = (1 - unseen, 1.0) if coverage else (0.0, unseen)
            width = f"width_{percent}"
            rows.append(
                {
                    "model": model,
                    "nominal": percent / 100,
                    "coverage": coverage,
                    "low": float(low),
                    "high": float(high),
                    "width": float(mean_over_seeds(runs, score(width)))
                    if width in runs[0].numerators
                    else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _relative_interval(bootstrap: Bootstrap, a: Array, b: Array) -> tuple[float, float]:
    """Ends of the interval of a / b - 1, scores that are not negative, from their replicates.

    These are Fieller's: ratios r at which the replicates of a - r b, and not of a / b, have 0
    between their percentiles. Where b > 0 in all replicates both are the same. Random weights of
    few seeds may carry b below 0; a replicate then speaks for a large ratio, unless a is lower yet.
    Replicates of nothing, or of nothing over nothing, say nothing.
    """
    most = np.finfo(np.float64).max
    ratios = np.divide(a, b, out=np.where(a < b, 0.0, most), where=b > 0)
    ratios[np.isnan(a) | np.isnan(b) | ((a == 0) & (b == 0))] = np.nan
    low, high = (float(end) for end in bootstrap.interval(ratios))
    return max(low, 0.0) - 1, high - 1 if high < 1e100 else np.inf
