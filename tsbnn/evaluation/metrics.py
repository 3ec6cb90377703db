r"""All metrics of one set of forecasts, kept so that they can be resampled by window.

Every score here is a ratio of two sums over windows: CRPS its sum by the number of labels,
normalised CRPS by :math:`\sum |y|`, MASE by the labels that have a scale. Keeping both sums per
window gives the score of any choice of windows exactly, which means of per-window ratios would not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsbnn.evaluation import calibration, scores
from tsbnn.evaluation.epistemic import scaled_variances
from tsbnn.evaluation.randomness import stream
from tsbnn.evaluation.shapes import Array

_CHUNK = 256  # windows scored at a time

LEVELS = {round(100 * p): p for p in calibration.INTERVALS}


@dataclass(frozen=True)
class WindowScores:
    """Numerator and denominator of every score in every window.

    Attributes
    ----------
    numerators, denominators
        By metric, ``num_windows``. RMSE is kept as mean squared error.
    """

    numerators: dict[str, Array]
    denominators: dict[str, Array]

    def value(self, metric: str, weights: Array | None = None) -> Array:
        """Score over all windows, each counted ``weights`` times.

        Parameters
        ----------
        metric
            Name of the score.
        weights
            ``batch... x num_windows``; each window once if None.

        Returns
        -------
        numpy.ndarray
            ``batch...``; NaN where the denominator is 0.

        Raises
        ------
        ValueError
            If there is no such score per window.
        """
        if metric not in self.numerators:
            raise ValueError(
                f"no score {metric!r} per window; there are {', '.join(self.numerators)}"
            )
        above, below = self.numerators[metric], self.denominators[metric]
        counts = np.ones(len(above)) if weights is None else weights
        total = np.asarray(counts @ below, dtype=np.float64)
        ratio = np.divide(counts @ above, total, out=np.full(total.shape, np.nan), where=total != 0)
        return np.asarray(np.sqrt(ratio) if metric == "rmse" else ratio)


def score_windows(
    labels: Array, forecasts: Sequence[Any], scales: Array
) -> tuple[WindowScores, dict[str, float]]:
    r"""Score sample forecasts.

    Parameters
    ----------
    labels
        ``num_windows x prediction_length``; NaN where unobserved.
    forecasts
        One per window, with ``samples`` and, if it is Bayesian, ``epistemic_variance`` and
        ``total_std``.
    scales
        Seasonal error of each window's history, ``num_windows``: the scale of MASE.

    Returns
    -------
    WindowScores
        Sums by window.
    dict
        Every metric's value: those of the windows (``epistemic_share`` where any forecast knows
        it, see :func:`tsbnn.evaluation.epistemic.scaled_variances`), ``pit_deviation`` (mean over
        20 bins of :math:`|\mathrm{density} - 1|`) and ``pit_ks`` (Kolmogorov-Smirnov distance).
    """
    parts, transforms = [], []
    generator = stream(0, "pit")
    for begin in range(0, len(labels), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        y = labels[chunk]
        x = np.stack([np.asarray(f.samples, dtype=np.float64) for f in forecasts[chunk]])
        parts.append(_sums(y, x, scales[chunk]))
        transforms.append(calibration.pit(y, x, seed=generator))
    names = parts[0]
    sums = WindowScores(
        {name: np.concatenate([part[name][0] for part in parts]) for name in names},
        {name: np.concatenate([part[name][1] for part in parts]) for name in names},
    )
    epistemic, total = scaled_variances(forecasts)
    if np.isfinite(total).any():
        sums.numerators["epistemic_share"] = np.nansum(epistemic, axis=1)
        sums.denominators["epistemic_share"] = np.nansum(total, axis=1)
    values = {name: float(sums.value(name)) for name in sums.numerators}
    deviation = calibration.pit_deviation(np.concatenate(transforms))
    values["pit_deviation"] = deviation.mean_absolute
    values["pit_ks"] = deviation.kolmogorov_smirnov
    return sums, values


def _sums(y: Array, x: Array, scale: Array) -> dict[str, tuple[Array, Array]]:
    """Sums over each window's observed labels, by metric."""
    known = (~np.isnan(y)).sum(axis=-1).astype(np.float64)
    size = np.nansum(np.abs(y), axis=-1)
    quantiles = [scores.sample_quantile(x, level) for level in scores.QUANTILE_LEVELS]
    pinball = np.mean(
        [
            scores.quantile_loss(y, q, level)
            for q, level in zip(quantiles, scores.QUANTILE_LEVELS, strict=True)
        ],
        axis=0,
    )
    median = quantiles[scores.QUANTILE_LEVELS.index(0.5)]
    crps = np.nansum(scores.crps_ensemble(y, x), axis=-1)
    scaled = scores.scaled_absolute_error(y, median, scale)
    energy = scores.energy_score(y, x)
    sums = {
        "crps": (crps, known),
        "normalised_crps": (crps, size),
        "mean_wql": (np.nansum(pinball, axis=-1), size),
        "nd": (np.nansum(np.abs(y - median), axis=-1), size),
        "mase": (np.nansum(scaled, axis=-1), (~np.isnan(scaled)).sum(axis=-1).astype(np.float64)),
        "rmse": (np.nansum((y - x.mean(axis=-2)) ** 2, axis=-1), known),
        "energy_score": (np.nan_to_num(energy), (~np.isnan(energy)).astype(np.float64)),
    }
    for percent, level in LEVELS.items():
        low, high = calibration.central_interval(x, level)
        width = np.where(np.isnan(y), np.nan, high - low)
        sums[f"coverage_{percent}"] = (
            np.nansum(calibration.inside(y, low, high), axis=-1),
            known,
        )
        sums[f"width_{percent}"] = (np.nansum(width, axis=-1), known)
        sums[f"interval_score_{percent}"] = (
            np.nansum(scores.interval_score(y, low, high, level), axis=-1),
            known,
        )
    return sums
