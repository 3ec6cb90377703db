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

A posterior of M weight vectors (an ensemble's members, the kept states of a chain) has the variance
over these M, and its draws are without replacement. So :math:`\hat\sigma^2_e` is multiplied by
:math:`(M-1)/M`, its standard error too, and in :math:`\operatorname{se}^2` stands
:math:`\operatorname{Var}_k(m_k)^2 - \frac KM \max(\hat\sigma^2_e, 0)^2` (before that factor): where
all M are drawn, only the paths' noise is left. With M = 1, a point, nothing epistemic is.

Sources: Searle, Casella and McCulloch, *Variance Components*, 1992, chapter 3 (unweighted means);
Cochran, *Sampling Techniques*, 1977, chapter 2 (finite populations).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
_LEAST_VARIANCE = np.finfo(np.float32).tiny


class Decomposition(NamedTuple):
    """Variances in squared target units, each ``time`` (``x dim``).

    ``epistemic`` may be negative; NaN stands where the paths do not tell.
    """

    epistemic: Array
    epistemic_se: Array
    aleatoric: Array
    total: Array


def decompose_samples(
    samples: Array, draw_index: NDArray[np.integer], num_atoms: int | None = None
) -> Decomposition:
    """Estimate the decomposition from paths.

    Parameters
    ----------
    samples
        ``num_samples x time`` (``x dim``).
    draw_index
        The weight draw of each path, ``num_samples``.
    num_atoms
        M, how many weight vectors the posterior consists of; None where it is continuous.

    Returns
    -------
    Decomposition
        Epistemic and aleatoric parts are NaN if no draw has two paths, the epistemic one also if
        there is a single draw of several atoms. The total is then the plain variance of all paths.

    Raises
    ------
    ValueError
        If there are more draws than atoms.
    """
    paths = np.asarray(samples, dtype=np.float64)
    _, index, counts = np.unique(draw_index, return_inverse=True, return_counts=True)
    num_draws, freedom = len(counts), int((counts - 1).sum())
    share, factor = _of_atoms(num_draws, num_atoms)
    members = (index[None, :] == np.arange(num_draws)[:, None]).astype(np.float64)
    unknown = np.full(paths.shape[1:], np.nan)
    alone = np.zeros_like(unknown) if num_atoms == 1 else unknown
    if freedom == 0:
        total = paths.var(axis=0, ddof=1) if len(paths) > 1 else unknown
        return Decomposition(alone, alone, unknown, total)
    means = np.tensordot(members / counts[:, None], paths, axes=1)
    aleatoric = np.square(paths - means[index]).sum(axis=0) / freedom
    if num_draws == 1:
        return Decomposition(alone, alone, aleatoric, aleatoric)
    between, noise = means.var(axis=0, ddof=1), float(np.mean(1.0 / counts)) * aleatoric
    spread = between - noise
    squared_error = 2 * (between**2 - share * np.maximum(spread, 0) ** 2) / (num_draws + 1)
    squared_error += 2 * noise**2 / (freedom + 2)
    epistemic = factor * spread
    return Decomposition(
        epistemic, factor * np.sqrt(squared_error), aleatoric, epistemic + aleatoric
    )


def decompose_moments(
    means: Array, variances: Array, num_atoms: int | None = None
) -> Decomposition:
    """Compute the decomposition from the exact mean and variance of each draw.

    Parameters
    ----------
    means, variances
        ``num_draws x time`` (``x dim``).
    num_atoms
        As for :func:`decompose_samples`.

    Returns
    -------
    Decomposition
        The epistemic part is NaN for a single draw of several atoms.

    Raises
    ------
    ValueError
        If there are more draws than atoms.
    """
    means, variances = np.asarray(means, np.float64), np.asarray(variances, np.float64)
    share, factor = _of_atoms(len(means), num_atoms)
    aleatoric = variances.mean(axis=0)
    if len(means) == 1:
        alone = np.full(means.shape[1:], 0.0 if num_atoms == 1 else np.nan)
        return Decomposition(alone, alone, aleatoric, aleatoric)
    epistemic = factor * means.var(axis=0, ddof=1)
    error = epistemic * np.sqrt(2.0 * (1.0 - share) / (len(means) + 1))
    return Decomposition(epistemic, error, aleatoric, epistemic + aleatoric)


def _of_atoms(num_draws: int, num_atoms: int | None) -> tuple[float, float]:
    """The share K/M of the posterior that was drawn, and (M-1)/M; 0 and 1 of a continuous one."""
    if num_atoms is None:
        return 0.0, 1.0
    if num_draws > num_atoms:
        raise ValueError(f"there are {num_draws} draws of a posterior of num_atoms={num_atoms}")
    return num_draws / num_atoms, (num_atoms - 1) / num_atoms


def decompose_batch(
    samples: Array,
    draw_index: NDArray[np.integer],
    means: Array | None,
    variances: Array | None,
    *,
    num_atoms: int | None,
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
        for forecasts all of whose moments are finite, and whose variances float32 can hold: in
        small units they vanish before the paths do.
    num_atoms
        As for :func:`decompose_samples`.

    Returns
    -------
    Decomposition
        Each ``batch x time`` (``x dim``).
    """
    exact: NDArray[np.bool_] = np.zeros(len(samples), dtype=bool)
    if means is not None and variances is not None:
        finite = np.isfinite(means) & np.isfinite(variances) & (variances >= _LEAST_VARIANCE)
        exact = np.asarray(finite.all(axis=tuple(range(1, finite.ndim))))
        draws = means[exact].swapaxes(0, 1), variances[exact].swapaxes(0, 1)
    found = np.empty((4, len(samples), *samples.shape[2:]))
    if exact.any():
        found[:, exact] = decompose_moments(*draws, num_atoms)
    if not exact.all():
        paths = samples[~exact].swapaxes(0, 1)
        found[:, ~exact] = decompose_samples(paths, draw_index, num_atoms)
    return Decomposition(*found)
