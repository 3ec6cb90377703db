r"""Selective forecasting: whether a model knows which of its forecasts will be bad.

Windows are put in order of an uncertainty that was known before their labels. Of the share
:math:`u` of windows of which the model is surest, the mean score is

.. math:: C(u) = \frac1u \int_0^u s(v)\, dv ,

with :math:`s(v)` the score of the window at place :math:`v` of that order; windows of the same
uncertainty are taken as in random order. If the uncertainty tells of the score, :math:`C` falls
below :math:`C(1)`, where a random order stays. The lowest possible curve, the oracle's, puts
windows in order of their scores. One number says how much of what there is to know is known, the
skill

.. math:: \frac{\int C(1) - C(u)\, du}{\int C(1) - C_\mathrm{oracle}(u)\, du} ,

1 for the oracle's order, 0 for a random one, negative for a misleading one. Its areas are means
over the shares that are asked for.

Sources: Geifman and El-Yaniv, *Selective classification for deep neural networks*, NeurIPS 2017,
for risk-coverage curves; Malinin, Mlodozeniec and Gales, *Ensemble distribution distillation*, ICLR
2020, for the ratio of areas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd

from tsbnn.evaluation.bootstrap import Bootstrap, Scored, Unit, mean_over_seeds, runs_of
from tsbnn.evaluation.metrics import WindowScores
from tsbnn.evaluation.shapes import Array

Uncertainty = Literal["epistemic", "total", "share", "width"]
#: The interval whose width stands for a forecast's spread.
_WIDTH = "width_50"

_KEPT = tuple(np.linspace(0.05, 1.0, 20).round(2).tolist())


@dataclass(frozen=True)
class SelectiveScores:
    """Score of the forecasts that a model is surest of, by how many they are.

    Attributes
    ----------
    model, metric, by
        Whose forecasts, which score, and which uncertainty they are ordered by.
    kept
        Shares of windows that are kept, ``num_shares``.
    score, low, high
        Mean score of the windows kept, with its confidence interval, ``num_shares``.
    oracle
        The same where the order is that of the scores themselves.
    random
        Mean score of all windows: that of any share in a random order.
    skill, skill_low, skill_high
        Part of the oracle's gain that the uncertainty brings, with its confidence interval. NaN if
        all windows have the same score.
    confidence
        Nominal coverage of the intervals.
    num_seeds, num_units
        Seeds that are averaged over, and resampled units.
    """

    model: str
    metric: str
    by: Uncertainty
    kept: Array
    score: Array
    low: Array
    high: Array
    oracle: Array
    random: float
    skill: float
    skill_low: float
    skill_high: float
    confidence: float
    num_seeds: int
    num_units: int


def selective_scores(
    scored: Scored,
    model: str,
    metric: str = "crps",
    *,
    by: Uncertainty = "epistemic",
    kept: Sequence[float] = _KEPT,
    confidence: float = 0.95,
    resamples: int = 1000,
    unit: Unit = "series x window",
    resample_seeds: bool = True,
    seed: int = 0,
) -> SelectiveScores:
    """Score the forecasts that remain when those that a model is least sure of are dropped.

    Every window counts alike: its score is that of this window alone. In a set of series of
    different size the large ones decide a score in target units; ``"mase"`` and
    ``"normalised_crps"`` have none. Windows without an observed label, or whose forecast does not
    tell its variances, are left out.

    Parameters
    ----------
    scored
        A backtest, or :class:`tsbnn.evaluation.StoredScores` with ``"epistemic_share"`` among its
        metrics, whose two parts are the variances, or ``"width_50"``.
    model
        Name of a model, for all but ``"width"`` one with weight draws.
    metric
        A score that is kept per window, lower is better.
    by
        ``"epistemic"`` and ``"total"``: variance over weights, and whole predictive variance, of
        the window, both divided by the mean predictive variance of its series (see
        :func:`tsbnn.evaluation.epistemic.scaled_variances`); ``"share"``: the former by the latter.
        ``"width"``: mean width of the central 50 % interval by the seasonal error of the window's
        history. Every model has one, a point too, which is what the others have to be held
        against; and it tells series apart that have one window each.
    kept
        Shares of windows to keep, above 0 and at most 1, ascending.
    confidence, resamples, unit, resample_seeds, seed
        As in :func:`tsbnn.evaluation.paired_difference`. Each replicate is put in order anew.

    Raises
    ------
    ValueError
        As in :func:`tsbnn.evaluation.paired_difference`; if no forecast of the model tells its
        variances, or its widths or the seasonal errors are not known; for another ``by``; for
        ``"total"`` where each series has a single window, whose variance is divided by itself; and
        for shares that are not as above.
    """
    shares = np.asarray(kept, dtype=np.float64)
    if not shares.size or shares[0] <= 0 or shares[-1] > 1 or (np.diff(shares) <= 0).any():
        raise ValueError(f"kept must be ascending shares above 0 and at most 1, not {list(kept)}")
    (runs,) = runs_of(scored, model)
    _check(scored, model, by)
    bootstrap = Bootstrap(scored.windows, unit, confidence, resamples, resample_seeds, seed)
    unknown = pd.Series(np.nan, scored.windows.index)
    errors: Array = np.asarray(scored.windows.get("seasonal_error", unknown), dtype=np.float64)
    order = partial(_order, by=by, errors=errors)
    curves = partial(_curves, metric=metric, order=order, shares=shares)
    score, oracle, even = mean_over_seeds(runs, curves)
    replicates = bootstrap.replicates(runs, curves)
    low, high = bootstrap.interval(replicates[:, 0])
    # No order beats the oracle's; only random weights of seeds go beyond.
    skill_low, skill_high = np.minimum(bootstrap.interval(_skill(replicates)), 1.0)
    return SelectiveScores(
        model=model,
        metric=metric,
        by=by,
        kept=shares,
        score=score,
        low=low,
        high=high,
        oracle=oracle,
        random=float(even[0]),
        skill=float(_skill(np.stack([score, oracle, even]))),
        skill_low=float(skill_low),
        skill_high=float(skill_high),
        confidence=confidence,
        num_seeds=len(runs),
        num_units=bootstrap.num_units,
    )


def _check(scored: Scored, model: str, by: Uncertainty) -> None:
    if by not in get_args(Uncertainty):
        raise ValueError(f"by must be 'epistemic', 'total', 'share' or 'width', not {by!r}")
    runs = [scores for (name, _), scores in scored.scores.items() if name == model]
    needed = _WIDTH if by == "width" else "epistemic_share"
    kept = all(needed in run.numerators for run in runs)
    if by == "width" and not kept:
        raise ValueError(f"the widths of {model!r} are not known: store {_WIDTH!r} per window")
    if by == "width" and "seasonal_error" not in scored.windows:
        raise ValueError("by='width' needs the column 'seasonal_error' of windows")
    if not kept:
        raise ValueError(
            f"the variances of {model!r} are not known: it has no 'epistemic_share' per window, "
            "because it draws no weights, or because that metric was not stored"
        )
    if by == "total" and not scored.windows["item_id"].duplicated().any():
        raise ValueError(
            "by='total' tells nothing here: each series has one window, and variances are divided "
            "by the mean of their series; by='width' compares series"
        )


def _order(run: WindowScores, *, by: Uncertainty, errors: Array) -> Array:
    """Uncertainty of every window, NaN where it is not known."""
    nothing = np.full(len(next(iter(run.numerators.values()))), np.nan)
    if by == "width":
        below = run.denominators[_WIDTH] * errors
        found: Array = np.divide(run.numerators[_WIDTH], below, out=nothing, where=below > 0)
        return found
    epistemic, total = run.numerators["epistemic_share"], run.denominators["epistemic_share"]
    values = {"epistemic": epistemic, "total": total}
    shares = np.divide(epistemic, total, out=nothing, where=total > 0)
    return np.where(total > 0, values.get(by, shares), np.nan)


def _curves(
    run: WindowScores,
    weights: Array | None,
    *,
    metric: str,
    order: Callable[[WindowScores], Array],
    shares: Array,
) -> Array:
    """Curves by the uncertainty, by the score, and in a random order, ``... x 3 x num_shares``."""
    run.value(metric)  # says which metrics there are
    uncertainty, below = order(run), run.denominators[metric]
    known = ~np.isnan(uncertainty) & (below > 0)
    if not known.any():
        raise ValueError(f"no window has both an uncertainty and {metric!r}")
    score = run.numerators[metric][known] / below[known]
    score = np.sqrt(score) if metric == "rmse" else score
    counts = np.ones((1, len(score))) if weights is None else weights[:, known]
    curves = np.stack(
        [
            _curve(score, uncertainty[known], counts, shares),
            _curve(score, score, counts, shares),
            _curve(score, np.zeros_like(score), counts, shares),
        ],
        axis=1,
    )
    return curves[0] if weights is None else curves


def _curve(score: Array, order: Array, counts: Array, shares: Array) -> Array:
    """Mean score of the lowest shares in an order, ``resamples x num_shares``."""
    places = np.argsort(order, kind="stable")
    score, order, counts = score[places], order[places], counts[:, places]
    # Sums are known where an uncertainty's last window is in; between, a random order is linear.
    ends = np.append(np.flatnonzero(np.diff(order)), len(order) - 1)
    reached = np.cumsum(counts, axis=1)[:, ends]
    sums = np.cumsum(counts * score, axis=1)[:, ends]
    curve = np.full((len(counts), len(shares)), np.nan)
    for row, (at, total) in enumerate(zip(reached, sums, strict=True)):
        if at[-1] > 0:
            amounts = shares * at[-1]
            curve[row] = np.interp(amounts, np.append(0.0, at), np.append(0.0, total)) / amounts
    return curve


def _skill(curves: Array) -> Array:
    """Gain over a random order by that of the oracle; curves are ``... x 3 x num_shares``."""
    score, oracle, even = np.moveaxis(curves.mean(axis=-1), -1, 0)
    gain, most = np.asarray(even - score), np.asarray(even - oracle)
    nothing = np.full(gain.shape, np.nan)
    return np.asarray(np.divide(gain, most, out=nothing, where=most > 1e-9 * np.abs(even)))
