r"""Variance between weight draws, and within them: what the model does not know, what nobody can.

With K weight draws and :math:`P_k` paths of draw k, path means :math:`m_k` and path variances
:math:`s_k^2` (ddof=1), this is an unbalanced one-way analysis of variance. The law of total
variance splits the predictive variance into

.. math:: \underbrace{\operatorname{Var}_\theta \mathbb E[y \mid \theta]}_{\text{epistemic}}
        + \underbrace{\mathbb E_\theta \operatorname{Var}[y \mid \theta]}_{\text{aleatoric}}

Their unbiased estimates are, with :math:`\nu = \sum_k (P_k - 1)`,

.. math:: \hat\sigma^2_a = \frac1\nu \sum_k (P_k - 1) s_k^2, \qquad
          \hat\sigma^2_e = \operatorname{Var}_k(m_k)
              - \hat\sigma^2_a \cdot \frac1K \sum_k \frac1{P_k}

(for equal :math:`P_k`, :math:`\operatorname{Var}_k(m_k) - \operatorname{mean}_k(s_k^2/P_k)`). The
epistemic estimate can be negative, and must be so at times if its average is to be right. Its
standard error follows from the mean squares' chi-squared laws, each with its unbiased estimate

.. math:: \operatorname{se}^2 = \frac{2 \operatorname{Var}_k(m_k)^2}{K + 1}
          + \Big(\frac1K \sum_k \frac1{P_k}\Big)^2 \frac{2 \hat\sigma_a^4}{\nu + 2} .

Source: Searle, Casella and McCulloch, *Variance Components*, 1992, chapter 3 (unweighted means).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Decomposition(NamedTuple):
    """Variances in squared target units, each ``time`` (``x dim``).

    ``epistemic`` may be negative; NaN stands where the paths do not tell.
    """

    epistemic: Array
    epistemic_se: Array
    aleatoric: Array
    total: Array


def decompose_samples(samples: Array, draw_index: NDArray[np.integer]) -> Decomposition:
    """Estimate the decomposition from paths.

    Parameters
    ----------
    samples
        ``num_samples x time`` (``x dim``).
    draw_index
        The weight draw of each path, ``num_samples``.

    Returns
    -------
    Decomposition
        Epistemic and aleatoric parts are NaN if no draw has two paths, the epistemic one also if
        there is a single draw. The total is then the plain variance of all paths.
    """
    paths = np.asarray(samples, dtype=np.float64)
    _, index, counts = np.unique(draw_index, return_inverse=True, return_counts=True)
    num_draws, freedom = len(counts), int((counts - 1).sum())
    members = (index[None, :] == np.arange(num_draws)[:, None]).astype(np.float64)
    unknown = np.full(paths.shape[1:], np.nan)
    if freedom == 0:
        total = paths.var(axis=0, ddof=1) if len(paths) > 1 else unknown
        return Decomposition(unknown, unknown, unknown, total)
    means = np.tensordot(members / counts[:, None], paths, axes=1)
    aleatoric = np.square(paths - means[index]).sum(axis=0) / freedom
    if num_draws == 1:
        return Decomposition(unknown, unknown, aleatoric, aleatoric)
    between = means.var(axis=0, ddof=1)
    share = float(np.mean(1.0 / counts))
    epistemic = between - share * aleatoric
    squared_error = 2 * between**2 / (num_draws + 1) + 2 * (share * aleatoric) ** 2 / (freedom + 2)
    return Decomposition(epistemic, np.sqrt(squared_error), aleatoric, epistemic + aleatoric)


def decompose_moments(means: Array, variances: Array) -> Decomposition:
    """Compute the decomposition from the exact mean and variance of each draw.

    Parameters
    ----------
    means, variances
        ``num_draws x time`` (``x dim``).

    Returns
    -------
    Decomposition
        The epistemic part is NaN for a single draw.
    """
    means, variances = np.asarray(means, np.float64), np.asarray(variances, np.float64)
    aleatoric = variances.mean(axis=0)
    if len(means) == 1:
        unknown = np.full(means.shape[1:], np.nan)
        return Decomposition(unknown, unknown, aleatoric, aleatoric)
    epistemic = means.var(axis=0, ddof=1)
    error = epistemic * np.sqrt(2.0 / (len(means) + 1))
    return Decomposition(epistemic, error, aleatoric, epistemic + aleatoric)


def decompose_batch(
    samples: Array,
    draw_index: NDArray[np.integer],
    means: Array | None,
    variances: Array | None,
    *,
    point_posterior: bool,
) -> Decomposition:
    """Decompose the variances of a batch of forecasts, each from the best that is known of it.

    Parameters
    ----------
    samples
        ``batch x num_samples x time`` (``x dim``).
    draw_index
        The weight draw of each path, ``num_samples``.
    means, variances
        Exact moments of each draw, ``batch x num_draws x time`` (``x dim``), or None. They are used
        for forecasts all of whose moments are finite.
    point_posterior
        Whether the posterior is one weight vector.

    Returns
    -------
    Decomposition
        Each ``batch x time`` (``x dim``).
    """
    exact: NDArray[np.bool_] = np.zeros(len(samples), dtype=bool)
    if means is not None and variances is not None:
        finite = np.isfinite(means) & np.isfinite(variances)
        exact = np.asarray(finite.all(axis=tuple(range(1, finite.ndim))))
    found = np.empty((4, len(samples), *samples.shape[2:]))
    if exact.any():
        draws = (moments[exact].swapaxes(0, 1) for moments in (means, variances))  # type: ignore[index]
        found[:, exact] = decompose_moments(*draws)
    if not exact.all():
        found[:, ~exact] = decompose_samples(samples[~exact].swapaxes(0, 1), draw_index)
    parts = Decomposition(*found)
    return without_weight_uncertainty(parts) if point_posterior else parts


def without_weight_uncertainty(parts: Decomposition) -> Decomposition:
    """Replace the epistemic part by the exact 0 of a posterior that is one weight vector."""
    zero = np.zeros_like(parts.aleatoric)
    return Decomposition(zero, zero, parts.aleatoric, parts.aleatoric)
