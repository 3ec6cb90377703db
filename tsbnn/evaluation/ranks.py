r"""Models over several datasets: average ranks, Friedman's test, Nemenyi's critical difference.

On each of :math:`N` datasets the :math:`k` models are ranked, 1 for the lowest score, ties sharing
their mean rank. Friedman's test asks whether the average ranks :math:`R_j` differ at all, in Iman
and Davenport's form,

.. math::
    \chi^2_F = \frac{(k - 1) \sum_j N^2 (R_j - \frac{k+1}2)^2}{\sum_{ij} (r_{ij} - \frac{k+1}2)^2},
    \qquad F = \frac{(N - 1)\, \chi^2_F}{N (k - 1) - \chi^2_F}
    \sim F_{k - 1,\,(k - 1)(N - 1)} .

Two models differ if their average ranks are at least a critical difference apart,

.. math:: \mathrm{CD} = q_\alpha \sqrt{\frac{k (k + 1)}{6 N}} ,

where :math:`q_\alpha` is the studentized range's quantile divided by :math:`\sqrt 2`. It takes many
datasets to tell models apart by ranks alone: with six models on five, only ranks 3.4 apart differ.

Source: Demšar, *Statistical comparisons of classifiers over multiple data sets*, JMLR 7 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsbnn.evaluation.shapes import Array


@dataclass(frozen=True)
class RankComparison:
    """Models by their average ranks over datasets.

    Attributes
    ----------
    ranks
        Rank of each model on each dataset, ``dataset x model``.
    average_ranks
        By model, the best first.
    chi_square
        Friedman's statistic, corrected for ties; 0 where all ranks are tied.
    f_statistic, p_value
        Iman and Davenport's form of it, and its p-value. Infinite and 0 where all datasets agree.
    critical_difference
        Of average ranks, at level ``alpha``.
    alpha
        Level of the critical difference.
    groups
        Names of models that do not differ from each other: the largest such groups of at least
        two, in order of rank.
    """

    ranks: pd.DataFrame
    average_ranks: pd.Series[float]
    chi_square: float
    f_statistic: float
    p_value: float
    critical_difference: float
    alpha: float
    groups: tuple[tuple[str, ...], ...]


def compare_ranks(scores: pd.DataFrame, *, alpha: float = 0.05) -> RankComparison:
    """Rank models over datasets.

    Parameters
    ----------
    scores
        One row for each dataset and one column for each model; lower is better. Of a tidy table of
        results, ``table.pivot_table(index="dataset", columns="model", values="value")`` of one
        metric.
    alpha
        Level at which models are said to differ, between 0 and 1.

    Raises
    ------
    ValueError
        For fewer than two models or datasets, a missing score, naming model and dataset, and an
        ``alpha`` outside (0, 1).
    """
    from scipy import stats

    count, models = scores.shape
    if models < 2 or count < 2:
        raise ValueError(
            f"ranks compare at least two models on two datasets, not {models} on {count}"
        )
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
    values = scores.to_numpy(np.float64)
    if (missing := np.argwhere(np.isnan(values))).size:
        row, column = missing[0]
        raise ValueError(
            f"no score of {scores.columns[column]!r} on {scores.index[row]!r} "
            f"({len(missing)} are missing): leave out the model or the dataset"
        )
    ranks = scores.rank(axis=1)
    average = ranks.mean().sort_values(kind="stable")
    middle = (models + 1) / 2
    spread = float(np.square(ranks.to_numpy() - middle).sum())
    between = count**2 * float(np.square(average.to_numpy() - middle).sum())
    chi_square = (models - 1) * between / spread if spread else 0.0
    rest = count * (models - 1) - chi_square
    f_statistic = (count - 1) * chi_square / rest if rest > 1e-9 else np.inf
    free = (models - 1, (models - 1) * (count - 1))
    quantile = stats.studentized_range.ppf(1 - alpha, models, np.inf) / np.sqrt(2)
    critical = float(quantile * np.sqrt(models * (models + 1) / (6 * count)))
    return RankComparison(
        ranks=ranks,
        average_ranks=average,
        chi_square=float(chi_square),
        f_statistic=float(f_statistic),
        p_value=float(stats.f.sf(f_statistic, *free)),
        critical_difference=critical,
        alpha=alpha,
        groups=_groups([str(name) for name in average.index], average.to_numpy(), critical),
    )


def _groups(names: list[str], ranks: Array, critical: float) -> tuple[tuple[str, ...], ...]:
    """Longest runs of ordered ranks whose ends are less than the critical difference apart."""
    found: list[tuple[str, ...]] = []
    last = 0
    for first in range(len(names)):
        end = int(np.searchsorted(ranks, ranks[first] + critical - 1e-9, side="left"))
        if end - first > 1 and end > last:
            found.append(tuple(names[first:end]))
            last = end
    return tuple(found)
