"""How labels and sample paths lie in arrays, checked once for every score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def labels_and_samples(observed: ArrayLike, samples: ArrayLike) -> tuple[Array, Array]:
    """Return both as float64 after checking that they fit.

    Parameters
    ----------
    observed
        Labels, ``batch... x time``; NaN where unobserved.
    samples
        Sample paths, ``batch... x num_samples x time``: GluonTS's ``forecast.samples``, stacked.

    Raises
    ------
    ValueError
        If the shapes do not fit, there is no path, a label is infinite, or a path is not finite
        where there is a label.
    """
    y = np.asarray(observed, dtype=np.float64)
    x = np.asarray(samples, dtype=np.float64)
    if y.ndim < 1 or x.ndim != y.ndim + 1 or x.shape[:-2] + x.shape[-1:] != y.shape:
        raise ValueError(
            f"samples must be batch x num_samples x time and observed batch x time; "
            f"found samples {x.shape} and observed {y.shape}"
        )
    if x.shape[-2] == 0:
        raise ValueError(f"samples hold no path: their shape is {x.shape}")
    if np.isinf(y).any():
        raise ValueError(f"{int(np.isinf(y).sum())} labels are infinite; unobserved ones are NaN")
    if not np.isfinite(x).all():
        bad = ~np.isfinite(x).all(axis=-2) & ~np.isnan(y)
        if bad.any():
            raise ValueError(
                f"samples are NaN or infinite at {int(bad.sum())} of {bad.size} labels: "
                "the forecast has diverged"
            )
    return y, x


def labels_and_points(observed: ArrayLike, *predictions: ArrayLike) -> tuple[Array, ...]:
    """Return labels and point predictions (quantiles, bounds) of the same shape as float64.

    Raises
    ------
    ValueError
        If a prediction does not have the labels' shape, or is NaN where there is a label.
    """
    y = np.asarray(observed, dtype=np.float64)
    arrays = [np.asarray(prediction, dtype=np.float64) for prediction in predictions]
    for array in arrays:
        if array.shape != y.shape:
            raise ValueError(
                f"a prediction of shape {array.shape} does not fit labels of shape {y.shape}"
            )
        if (np.isnan(array) & ~np.isnan(y)).any():
            raise ValueError("a prediction is NaN where there is a label")
    return (y, *arrays)


def mean_of_observed(values: Array, name: str) -> float:
    """Mean of what is not NaN.

    Raises
    ------
    ValueError
        If everything is NaN, so that nothing was observed.
    """
    kept = ~np.isnan(values)
    if not kept.any():
        raise ValueError(f"{name}: none of {values.size} labels is observed")
    return float(values[kept].mean())


def ratio_of_sums(numerator: Array, denominator: Array, name: str) -> float:
    """Sum of one array by that of another, over what is not NaN; NaN if the latter sums to 0.

    Raises
    ------
    ValueError
        If everything is NaN, so that nothing was observed.
    """
    kept = ~np.isnan(numerator) & ~np.isnan(denominator)
    if not kept.any():
        raise ValueError(f"{name}: none of {numerator.size} labels is observed")
    below = float(denominator[kept].sum())
    return float(numerator[kept].sum()) / below if below else float("nan")
