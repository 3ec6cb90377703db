"""How much of a forecast's variance comes from not knowing the weights, over many forecasts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.shapes import Array


def epistemic_variance(forecast: Any) -> Array | None:
    """Epistemic variance of a forecast by lead time, in squared target units, unfloored.

    None if the forecast comes from no weight draws, or if its paths do not tell: with fewer paths
    than twice the draws, :class:`tsbnn.BayesianForecast` gives NaN and a warning, which is not
    repeated here.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the epistemic variance of this forecast", RuntimeWarning)
        found = getattr(forecast, "epistemic_variance", None)
    if found is None or np.isnan(found).any():
        return None
    return np.asarray(found, dtype=np.float64)


def scaled_variances(forecasts: Sequence[Any]) -> tuple[Array, Array]:
    r"""Epistemic and whole predictive variance of every forecast, on one scale for all series.

    The epistemic share of the predictive variance of a set of forecasts, in the table as in the
    plot, is the ratio of their means over that set,

    .. math:: s = \sum_{i,t} v^e_{it} / c_i \Big/ \sum_{i,t} v_{it} / c_i ,

    where :math:`c_i` is the mean predictive variance of all forecasts of the same series, so that
    series of different size count alike. The epistemic variances :math:`v^e` are not floored, and
    what they are divided by is a mean over many forecasts: neither biases the share. It may dip
    below zero.

    Parameters
    ----------
    forecasts
        Forecasts, some with ``epistemic_variance`` and ``total_std``. Those with the same
        ``item_id`` are of one series; one without is a series of its own.

    Returns
    -------
    epistemic, total
        :math:`v^e_{it}/c_i` and :math:`v_{it}/c_i`, each ``num_forecasts x time``, without unit;
        rows of NaN where a forecast does not tell, or where its series has no variance.
    """
    length = max((np.shape(f.samples)[1] for f in forecasts), default=0)
    epistemic, total = np.full((2, len(forecasts), length), np.nan)
    series: dict[Any, list[int]] = {}
    for place, forecast in enumerate(forecasts):
        variance = epistemic_variance(forecast)
        spread = getattr(forecast, "total_std", None)
        if variance is None or spread is None or np.isnan(spread).any():
            continue
        epistemic[place], total[place] = variance, np.square(np.asarray(spread, np.float64))
        item = getattr(forecast, "item_id", None)
        series.setdefault((place,) if item is None else item, []).append(place)
    for places in series.values():
        scale = total[places].mean()
        for part in (epistemic, total):
            part[places] = part[places] / scale if scale > 0 else np.nan
    return epistemic, total


def epistemic_share(forecasts: Sequence[Any]) -> tuple[Array, Array]:
    r"""Epistemic share of the predictive variance by lead time, over many forecasts.

    That of :func:`scaled_variances`, over all forecasts at one lead time.

    Parameters
    ----------
    forecasts
        Forecasts with ``epistemic_variance``, ``total_std`` and ``num_draws``, and with
        ``num_atoms`` where their posterior consists of finitely many weight vectors.

    Returns
    -------
    share, error
        Each ``time``, without unit. The error adds the spread over forecasts to that of the K
        weight draws, which all forecasts of one prediction share:
        :math:`s_t\sqrt{2(1 - K/M)/(K+1)}`, with M atoms (infinitely many by default).

    Raises
    ------
    ValueError
        If no forecast tells.
    """
    epistemic, total = scaled_variances(forecasts)
    kept = ~np.isnan(total).any(axis=1)
    if not kept.any():
        raise ValueError("no forecast has an epistemic variance")
    epistemic, total = epistemic[kept], total[kept]
    below = total.mean(axis=0)
    share: Array = epistemic.mean(axis=0) / below
    count = len(total)
    # The ratio's error by linearisation.
    spread = (epistemic - share * total).std(axis=0, ddof=1) / below if count > 1 else 0 * share
    one = forecasts[int(np.argmax(kept))]
    draws, atoms = one.num_draws, getattr(one, "num_atoms", None)
    unseen = 1 - draws / atoms if atoms else 1
    return share, np.hypot(spread / np.sqrt(count), share * np.sqrt(2 * unseen / (draws + 1)))


def running_mean(values: ArrayLike, length: int) -> Array:
    """Mean over ``length`` neighbouring steps, fewer at the ends."""
    given = np.asarray(values, dtype=np.float64)
    window = np.ones(length)
    sums, counts = (np.convolve(part, window) for part in (given, np.ones_like(given)))
    begin = length // 2
    mean: Array = (sums / counts)[begin : begin + len(given)]
    return mean
