"""How much of a forecast's variance comes from not knowing the weights, over many forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.shapes import Array


def epistemic_share(forecasts: Sequence[Any]) -> tuple[Array, Array]:
    r"""Epistemic share of the predictive variance by lead time, over many forecasts.

    .. math:: s_t = \sum_i w_i v^e_{it} \Big/ \sum_i w_i v_{it}, \qquad
              w_i = \Big(\sum_t v_{it}\Big)^{-1}

    with the weights putting series of different size on one scale. The epistemic variances
    :math:`v^e` are not floored, so that the share is not biased upwards; it may dip below zero.

    Parameters
    ----------
    forecasts
        Forecasts with ``epistemic_variance``, ``total_std`` and ``num_draws``.

    Returns
    -------
    share, error
        Each ``time``, without unit. The error adds the spread over forecasts to that of the K
        weight draws, which all forecasts of one prediction share: :math:`s_t\sqrt{2/(K+1)}`.
    """
    epistemic = np.stack([np.asarray(f.epistemic_variance, np.float64) for f in forecasts])
    total = np.square(np.stack([np.asarray(f.total_std, np.float64) for f in forecasts]))
    scale = total.sum(axis=1)
    kept = scale > 0
    epistemic, total = (part[kept] / scale[kept, None] for part in (epistemic, total))
    below = total.mean(axis=0)
    share: Array = epistemic.mean(axis=0) / below
    count = len(total)
    # The ratio's error by linearisation.
    spread = (epistemic - share * total).std(axis=0, ddof=1) / below if count > 1 else 0 * share
    return share, np.hypot(
        spread / np.sqrt(count), share * np.sqrt(2 / (forecasts[0].num_draws + 1))
    )


def running_mean(values: ArrayLike, length: int) -> Array:
    """Mean over ``length`` neighbouring steps, fewer at the ends."""
    given = np.asarray(values, dtype=np.float64)
    window = np.ones(length)
    sums, counts = (np.convolve(part, window) for part in (given, np.ones_like(given)))
    begin = length // 2
    mean: Array = (sums / counts)[begin : begin + len(given)]
    return mean
