r"""Scores of forecasts on plain arrays: CRPS, quantile, interval and energy scores, point errors.

Lower is better in all of them. Labels ``observed`` are ``batch... x time`` with NaN where nothing
was observed, sample paths ``batch... x num_samples x time``: GluonTS's ``forecast.samples``,
stacked. Unobserved points are left out everywhere; they never count as zero, neither above nor
below a fraction line. Functions named after a score return one float over all observed points;
those that return arrays are NaN at unobserved points.

Sources: Gneiting and Raftery, *Strictly proper scoring rules, prediction, and estimation*, JASA
102 (2007), for CRPS, quantile, interval and energy scores; Hyndman and Koehler, *Another look at
measures of forecast accuracy*, Int. J. Forecasting 22 (2006), for MASE.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.shapes import (
    Array,
    labels_and_points,
    labels_and_samples,
    mean_of_observed,
    ratio_of_sums,
)

#: The levels of ``mean_wql``.
QUANTILE_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

# Labels above which properscoring's quadratic fallback would take minutes and gigabytes.
_MOST_LABELS_WITHOUT_NUMBA = 2_000


@cache
def _properscoring() -> tuple[Callable[..., Array], bool]:
    """Load properscoring's ensemble CRPS, and whether numba compiles it (on import, so: late)."""
    import properscoring
    from properscoring import _crps

    compiled = _crps._crps_ensemble_core is not _crps._crps_ensemble_vectorized
    return properscoring.crps_ensemble, compiled


def crps_ensemble(observed: ArrayLike, samples: ArrayLike) -> Array:
    r"""CRPS of the empirical distribution of the samples, at every label.

    .. math:: \mathrm{CRPS} = \frac1S \sum_i |x_i - y| - \frac1{2S^2} \sum_{i,j} |x_i - x_j|

    Parameters
    ----------
    observed
        Labels y, ``batch... x time``, in target units; NaN where unobserved.
    samples
        Sample paths x, ``batch... x num_samples x time``, in target units.

    Returns
    -------
    numpy.ndarray
        ``batch... x time``, in target units; NaN where unobserved.

    Raises
    ------
    ValueError
        If the shapes do not fit or a sample is not finite where there is a label.
    RuntimeError
        If there are many labels and properscoring found no numba, without which its time and
        memory grow with the square of the number of samples.
    """
    y, x = labels_and_samples(observed, samples)
    compute, compiled = _properscoring()
    if not compiled and y.size > _MOST_LABELS_WITHOUT_NUMBA:
        raise RuntimeError(
            f"CRPS of {y.size} labels needs numba, which properscoring could not import "
            f"(its fallback is quadratic in the {x.shape[-2]} samples): pip install numba"
        )
    # Sorting is most of the work, and along contiguous memory half of it.
    ordered = np.array(np.moveaxis(x, -2, -1), order="C")
    ordered.sort(axis=-1)
    return np.asarray(compute(y, ordered, issorted=True), dtype=np.float64)


def crps(observed: ArrayLike, samples: ArrayLike) -> float:
    """Mean of :func:`crps_ensemble` over all observed labels, in target units."""
    return mean_of_observed(crps_ensemble(observed, samples), "crps")


def normalised_crps(observed: ArrayLike, samples: ArrayLike) -> float:
    r"""Sum-normalised CRPS, :math:`\sum \mathrm{CRPS} / \sum |y|`; without unit.

    NaN if all observed labels are 0.
    """
    y = np.asarray(observed, dtype=np.float64)
    return ratio_of_sums(crps_ensemble(y, samples), np.abs(y), "normalised_crps")


def sample_quantile(samples: ArrayLike, level: float) -> Array:
    """Quantile of the paths at every time, by GluonTS's rule.

    That is the order statistic at index ``round((num_samples - 1) * level)``, as in
    ``gluonts.model.forecast.SampleForecast.quantile``; no interpolation.

    Parameters
    ----------
    samples
        ``batch... x num_samples x time``.
    level
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray
        ``batch... x time``.

    Raises
    ------
    ValueError
        If the level lies outside [0, 1].
    """
    if not 0 <= level <= 1:
        raise ValueError(f"a quantile's level must lie in [0, 1], not {level!r}")
    x = np.asarray(samples, dtype=np.float64)
    index = int(np.round((x.shape[-2] - 1) * level))
    return np.asarray(np.partition(x, index, axis=-2)[..., index, :])


def quantile_loss(observed: ArrayLike, predicted: ArrayLike, level: float) -> Array:
    r"""Twice the pinball loss, :math:`2\,|(y - q)\,(\mathbb 1[y \le q] - \tau)|`, at every label.

    The factor 2 is GluonTS's: at the median this is the absolute error.

    Parameters
    ----------
    observed, predicted
        Labels and predicted quantiles, of one shape, in target units.
    level
        τ.
    """
    y, q = labels_and_points(observed, predicted)
    return np.asarray(2 * np.abs((y - q) * ((y <= q) - level)))


def mean_wql(
    observed: ArrayLike,
    quantiles: ArrayLike,
    levels: tuple[float, ...] = QUANTILE_LEVELS,
) -> float:
    r"""Mean weighted quantile loss, :math:`\frac1{|\tau|}\sum_\tau \sum_y L_\tau / \sum |y|`.

    Equal to ``MeanWeightedSumQuantileLoss(levels)`` of ``gluonts.ev``. Its nine levels make it
    about 9 % larger than :func:`normalised_crps`, which it approximates.

    Parameters
    ----------
    observed
        ``batch... x time``.
    quantiles
        Predicted quantiles, ``batch... x num_levels x time``: of a forecast itself, or of its
        paths by :func:`sample_quantile`.
    levels
        The quantiles' levels, in their order.

    Returns
    -------
    float
        Without unit; NaN if all observed labels are 0.
    """
    y, q = labels_and_samples(observed, quantiles)
    if q.shape[-2] != len(levels):
        raise ValueError(f"{len(levels)} levels, but {q.shape[-2]} quantiles")
    losses = [quantile_loss(y, q[..., i, :], level) for i, level in enumerate(levels)]
    return ratio_of_sums(np.mean(losses, axis=0), np.abs(y), "mean_wql")


def nd(observed: ArrayLike, predicted: ArrayLike) -> float:
    r"""Normalised deviation, :math:`\sum |y - \hat y| / \sum |y|`; NaN if all labels are 0.

    ``predicted`` is the median where the forecast is a distribution.
    """
    y, point = labels_and_points(observed, predicted)
    return ratio_of_sums(np.abs(y - point), np.abs(y), "nd")


def rmse(observed: ArrayLike, predicted: ArrayLike) -> float:
    """Root mean squared error in target units; ``predicted`` is the mean."""
    y, point = labels_and_points(observed, predicted)
    return float(np.sqrt(mean_of_observed((y - point) ** 2, "rmse")))


def seasonal_error(history: ArrayLike, season: int) -> float:
    r"""Mean :math:`|y_t - y_{t-m}|` over one series' history: the scale of MASE.

    As in GluonTS, a history shorter than the season m is differenced at lag 1.

    Returns
    -------
    float
        In target units; NaN if no two observed points lie a season apart.

    Raises
    ------
    ValueError
        If the season is less than 1.
    """
    if season < 1:
        raise ValueError(f"season must be at least 1, not {season!r}")
    y = np.asarray(history, dtype=np.float64)
    lag = season if season <= len(y) else 1
    differences = np.abs(y[lag:] - y[:-lag])
    differences = differences[~np.isnan(differences)]
    return float(differences.mean()) if differences.size else float("nan")


def scaled_absolute_error(observed: ArrayLike, predicted: ArrayLike, scale: ArrayLike) -> Array:
    r""":math:`|y - \hat y|` by the seasonal error of its series, at every label; without unit.

    NaN also where the scale is 0 or NaN: an absolute error has no ratio to a history that never
    changed.

    Parameters
    ----------
    observed, predicted
        ``batch... x time``; the prediction is the median.
    scale
        Seasonal errors, ``batch...``.
    """
    y, point = labels_and_points(observed, predicted)
    below = np.asarray(scale, dtype=np.float64)
    if below.shape != y.shape[:-1]:
        raise ValueError(f"a scale of shape {below.shape} does not fit labels of shape {y.shape}")
    below = np.where(below > 0, below, np.nan)
    return np.asarray(np.abs(y - point) / below[..., None])


def mase(observed: ArrayLike, predicted: ArrayLike, scale: ArrayLike) -> float:
    """Mean absolute scaled error: the mean of :func:`scaled_absolute_error`.

    Raises
    ------
    ValueError
        If no label is observed, or none of a series whose seasonal error is above 0.
    """
    scaled = scaled_absolute_error(observed, predicted, scale)
    if np.isnan(scaled).all() and not np.isnan(np.asarray(observed, dtype=np.float64)).all():
        raise ValueError(
            "mase: no label is of a series whose seasonal error is above 0 (a history that never "
            "changes has 0, and NaN is for one without two observed points a season apart)"
        )
    return mean_of_observed(scaled, "mase")


def interval_score(
    observed: ArrayLike, lower: ArrayLike, upper: ArrayLike, coverage: float
) -> Array:
    r"""Winkler's interval score at every label, in target units.

    .. math:: (u - l) + \frac2\alpha (l - y)_+ + \frac2\alpha (y - u)_+, \qquad
              \alpha = 1 - \mathrm{coverage}

    Parameters
    ----------
    observed, lower, upper
        Labels and bounds of the central interval, of one shape.
    coverage
        Nominal coverage of the interval, between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage!r}")
    y, low, high = labels_and_points(observed, lower, upper)
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return np.asarray(high - low + 2 / (1 - coverage) * outside)


def energy_score(observed: ArrayLike, samples: ArrayLike) -> Array:
    r"""Energy score of whole paths: CRPS in as many dimensions as the path has observed points.

    .. math:: \frac1S \sum_i \lVert x_i - y \rVert - \frac1{2S^2} \sum_{i,j} \lVert x_i - x_j \rVert

    It sees what the scores of single times do not: dependence along the path.

    Returns
    -------
    numpy.ndarray
        One score per path of labels, ``batch...``, in target units; NaN if none of its points
        is observed.
    """
    y, x = labels_and_samples(observed, samples)
    known = ~np.isnan(y)
    # Distances do not change with the origin, and around y the Gram matrix does not cancel.
    x = np.where(known[..., None, :], x - y[..., None, :], 0.0)
    result = np.empty(y.shape[:-1])
    for index in np.ndindex(result.shape):
        paths = x[index]
        gram = paths @ paths.T
        norms = np.diagonal(gram)
        distances = np.sqrt(np.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0))
        result[index] = np.sqrt(norms).mean() - distances.mean() / 2
    return np.where(known.any(axis=-1), result, np.nan)
