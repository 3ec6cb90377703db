"""Several backtests side by side: every model's score on every dataset, and their ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tsbnn.evaluation.images import WIDTH, Drawing
from tsbnn.evaluation.plots.comparisons import plot_critical_differences
from tsbnn.evaluation.ranks import RankComparison, compare_ranks
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.table import COLUMNS, METRIC, Cell, summary_table


@dataclass(frozen=True)
class Overview:
    """Models by datasets.

    Attributes
    ----------
    datasets
        Names, in the order of the backtests.
    rows
        By model, one cell per dataset.
    ranks
        Of the models that have a score on every dataset; None if they are fewer than two.
    """

    datasets: list[str]
    rows: dict[str, list[Cell]]
    ranks: RankComparison | None


def overview(backtests: Sequence[Backtest]) -> Overview:
    """Put CRPS with its standard error, the best of each dataset marked, beside each other.

    Raises
    ------
    ValueError
        If two backtests are of one dataset, or one does not say of which.
    """
    names = [backtest.dataset for backtest in backtests]
    for name in names:
        if not name:
            raise ValueError("a report on several backtests needs their dataset_name: one has none")
        if names.count(name) > 1:
            raise ValueError(f"two backtests are of {name!r}: give each a dataset_name of its own")
    columns = [column for column in COLUMNS if column.metric == METRIC]
    tables = [summary_table(backtest, columns).rows for backtest in backtests]
    models = list(dict.fromkeys(model for table in tables for model in table))
    rows = {m: [t[m][0] if m in t else Cell("–") for t in tables] for m in models}
    return Overview(names, rows, _ranks(backtests))


def rank_drawings(ranks: RankComparison | None) -> list[Drawing]:
    """Draw the critical differences, if there are ranks."""
    if ranks is None:
        return []
    order = ", ".join(f"{model} {rank:.2f}" for model, rank in ranks.average_ranks.items())
    return [
        Drawing(
            "ranks",
            "ranks",
            "Average ranks",
            f"Average ranks of the models over {len(ranks.ranks)} datasets: {order}; critical "
            f"difference {ranks.critical_difference:.2f}",
            1.3 + 0.13 * len(ranks.groups) + 0.27 * -(-len(order.split(",")) // 2),
            lambda figure: plot_critical_differences(ranks, ax=figure.subplots()),
            width=1.5 * WIDTH,
        )
    ]


def _ranks(backtests: Sequence[Backtest]) -> RankComparison | None:
    results = pd.concat([backtest.results for backtest in backtests])
    scores = results[results["metric"] == METRIC]
    table = scores.pivot_table(index="dataset", columns="model", values="value", sort=False)
    table = table.dropna(axis="columns")
    return compare_ranks(table) if min(table.shape) > 1 else None
