r"""Calibration: central intervals, the probability integral transform (PIT), distance from uniform.

A forecast is calibrated if labels fall below its quantile of level p with frequency p. Coverage
is meaningless without the width that bought it, so functions return both. Shapes are those of
:mod:`tsbnn.evaluation.scores`; unobserved labels are left out.

Sources: Gneiting, Balabdaoui and Raftery, *Probabilistic forecasts, calibration and sharpness*,
JRSS B 69 (2007); Czado, Gneiting and Held, *Predictive model assessment for count data*,
Biometrics 65 (2009), for the randomised PIT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tsbnn.evaluation.randomness import stream
from tsbnn.evaluation.shapes import Array, labels_and_points, labels_and_samples, mean_of_observed

#: Nominal coverages of the central intervals that are reported.
INTERVALS = (0.5, 0.8, 0.9, 0.95)


def central_interval(samples: ArrayLike, coverage: float) -> tuple[Array, Array]:
    r"""Bounds of the central interval of the paths at every time.

    The bounds are the sample quantiles of levels :math:`(1 \mp \mathrm{coverage})/2` at position
    level·(S+1) of S sorted samples (Weibull's rule). If label and samples come from one
    distribution, such an interval covers the label with just the nominal probability, while the
    commoner rules promise 95 % and cover 93 % at S=100. The nominal coverage must be at most
    :math:`(S-1)/(S+1)`; wider intervals are cut at the outermost samples.

    Parameters
    ----------
    samples
        ``batch... x num_samples x time``.
    coverage
        Nominal coverage, between 0 and 1.

    Returns
    -------
    lower, upper
        ``batch... x time``, in target units.

    Raises
    ------
    ValueError
        If the coverage does not lie between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage!r}")
    levels = ((1 - coverage) / 2, (1 + coverage) / 2)
    lower, upper = np.quantile(
        np.asarray(samples, dtype=np.float64), levels, axis=-2, method="weibull"
    )
    return lower, upper


def inside(observed: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Array:
    """1 where a label lies in the closed interval, 0 where not, NaN where unobserved."""
    y, low, high = labels_and_points(observed, lower, upper)
    return np.where(np.isnan(y), np.nan, ((low <= y) & (y <= high)).astype(np.float64))


@dataclass(frozen=True)
class Coverage:
    """Nominal and empirical coverage of a central interval, with its mean width in target units."""

    nominal: float
    empirical: float
    width: float


def coverage(observed: ArrayLike, samples: ArrayLike, nominal: float) -> Coverage:
    """Empirical coverage and mean width of the central interval, over the observed labels.

    Parameters
    ----------
    observed, samples
        ``batch... x time`` and ``batch... x num_samples x time``.
    nominal
        Nominal coverage, between 0 and 1.
    """
    y, x = labels_and_samples(observed, samples)
    lower, upper = central_interval(x, nominal)
    width = np.where(np.isnan(y), np.nan, upper - lower)
    return Coverage(
        nominal,
        mean_of_observed(inside(y, lower, upper), "coverage"),
        mean_of_observed(width, "coverage"),
    )


def pit(
    observed: ArrayLike,
    samples: ArrayLike,
    *,
    randomised: bool = True,
    seed: int | np.random.Generator = 0,
) -> Array:
    r"""Probability integral transform of every label among its S samples.

    .. math:: \frac{\#\{x_i < y\} + V\,(1 + \#\{x_i = y\})}{S + 1}

    with V uniform on [0, 1): exactly uniform if label and samples come from one distribution,
    ties and finite S included. With ``randomised=False``, V = ½ gives the mid-rank: reproducible
    without a seed, but on a grid of S+1 values, which a histogram with other edges shows as
    stripes.

    Parameters
    ----------
    observed, samples
        ``batch... x time`` and ``batch... x num_samples x time``.
    randomised
        Draw V, or use ½.
    seed
        Seed or generator of V.

    Returns
    -------
    numpy.ndarray
        ``batch... x time``, in [0, 1]; NaN where unobserved.
    """
    y, x = labels_and_samples(observed, samples)
    below = (x < y[..., None, :]).sum(axis=-2)
    ties = (x == y[..., None, :]).sum(axis=-2)
    generator = seed if isinstance(seed, np.random.Generator) else stream(seed, "pit")
    v = generator.random(y.shape) if randomised else 0.5
    rank = (below + v * (1 + ties)) / (x.shape[-2] + 1)
    return np.where(np.isnan(y), np.nan, rank)


def pit_histogram(values: ArrayLike, bins: int = 20) -> tuple[Array, Array]:
    """Density of the PIT in equal bins: 1 everywhere for a calibrated forecast.

    A ∪ says that the forecasts are too narrow, a ∩ too wide, a slope biased.

    Parameters
    ----------
    values
        PIT of any shape; NaN is left out.
    bins
        Number of bins.

    Returns
    -------
    density, edges
        ``bins`` and ``bins + 1``.

    Raises
    ------
    ValueError
        If there is no value, or one lies outside [0, 1].
    """
    u = _observed_pit(values)
    counts, edges = np.histogram(u, bins=bins, range=(0.0, 1.0))
    return counts * (bins / u.size), edges


@dataclass(frozen=True)
class PITDeviation:
    r"""How far the PIT is from uniform.

    Attributes
    ----------
    mean_absolute
        Mean over bins of :math:`|\mathrm{density} - 1|`; 0 is uniform, 2·(1 − 1/bins) has all in
        one bin. For n independent labels of a calibrated forecast it is about
        :math:`\sqrt{2\,\mathrm{bins}/(\pi n)}`, not 0.
    chi_square
        Pearson's statistic, :math:`\sum (\mathrm{count} - n/\mathrm{bins})^2/(n/\mathrm{bins})`;
        compare with χ² of bins − 1 degrees of freedom, but only if the labels are independent:
        those of one window are not.
    kolmogorov_smirnov
        :math:`\sup_u |\hat F(u) - u|`.
    count
        Number of observed labels, n.
    """

    mean_absolute: float
    chi_square: float
    kolmogorov_smirnov: float
    count: int


def pit_deviation(values: ArrayLike, bins: int = 20) -> PITDeviation:
    """Deviations of the PIT from uniform; arguments as in :func:`pit_histogram`."""
    u = np.sort(_observed_pit(values))
    density, _ = pit_histogram(u, bins)
    n = u.size
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - u).max(), (u - steps[:-1]).max()))
    return PITDeviation(
        mean_absolute=float(np.abs(density - 1).mean()),
        chi_square=float(np.square(density - 1).sum() * n / bins),
        kolmogorov_smirnov=distance,
        count=n,
    )


def reliability_curve(values: ArrayLike, levels: ArrayLike | None = None) -> tuple[Array, Array]:
    """Frequency with which labels fell below the quantile of each level.

    Parameters
    ----------
    values
        PIT of any shape; NaN is left out.
    levels
        Levels of the quantiles; 0, 0.05, …, 1 if None.

    Returns
    -------
    nominal, empirical
        Both ``num_levels``. Equal if the forecast is calibrated.
    """
    u = np.sort(_observed_pit(values))
    chosen = np.linspace(0, 1, 21) if levels is None else np.asarray(levels, dtype=np.float64)
    return chosen, np.searchsorted(u, chosen, side="right") / u.size


def reliability_interval(
    values: ArrayLike,
    levels: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Bootstrap interval of the reliability curve, over windows.

    Labels of one window hang together, so whole windows are resampled.

    Parameters
    ----------
    values
        PIT, ``batch... x num_windows x time``; NaN where unobserved. A window is resampled with
        its whole batch: of several seeds, say.
    levels
        As in :func:`reliability_curve`.
    confidence
        Nominal coverage of the interval at each level, between 0 and 1.
    resamples, seed
        Replicates, and seed of the resampling.

    Returns
    -------
    low, high
        Both ``num_levels``.

    Raises
    ------
    ValueError
        If there are not two windows of PIT values, or the confidence is outside (0, 1).
    """
    u = np.asarray(values, dtype=np.float64)
    if u.ndim < 2 or u.shape[-2] < 2:
        raise ValueError(
            f"PIT values must be at least two windows x time to resample them, not {u.shape}"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence!r}")
    _observed_pit(u)
    chosen = np.linspace(0, 1, 21) if levels is None else np.asarray(levels, dtype=np.float64)
    windows = np.moveaxis(u, -2, 0).reshape(u.shape[-2], -1)
    below = np.stack([(windows <= level).sum(axis=1) for level in chosen], axis=1)
    known = (~np.isnan(windows)).sum(axis=1)
    even = np.full(len(windows), 1 / len(windows))
    counts = stream(seed, "bootstrap").multinomial(len(windows), even, resamples)
    totals = counts @ known
    curves = (counts @ below)[totals > 0] / totals[totals > 0, None]
    low, high = np.quantile(curves, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def _observed_pit(values: ArrayLike) -> Array:
    u = np.asarray(values, dtype=np.float64).ravel()
    u = u[~np.isnan(u)]
    if not u.size:
        raise ValueError("no observed label: there is no PIT value")
    if u.min() < 0 or u.max() > 1:
        raise ValueError(f"PIT values lie in [0, 1]; found {u.min()} to {u.max()}")
    return u
