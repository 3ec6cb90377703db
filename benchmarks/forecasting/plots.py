"""Plots of the comparison, a panel for each dataset: docs/images/comparison-*.png and ranks.png."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.forecasting.grid import BARE_MAP
from tsbnn import plotting
from tsbnn.evaluation import RankComparison, StoredScores, coverage_intervals, selective_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES = Path(__file__).parents[2] / "docs/images"
SHOWN = ("deepar, score", "deepar, elbo", BARE_MAP, "deepar, ensemble", "gluonts_deepar")
COLUMNS = 2


def save(figure: Figure, name: str) -> None:
    figure.savefig(IMAGES / f"{name}.png", dpi=110, bbox_inches="tight")
    plt.close(figure)


def panels(names: Sequence[str], draw: Callable[[str, Axes], object], legend: bool) -> Figure:
    """Draw a panel for each name; with ``legend`` the one that all share takes the free place."""
    rows = -(-(len(names) + legend) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(5.6 * COLUMNS, 3.4 * rows))
    for name, ax in zip(names, grid.flat, strict=False):
        draw(name, ax)
        ax.set_title(name)
        own = ax.get_legend()
        if legend and own is not None:
            own.remove()
    for ax in grid.flat[len(names) :]:
        ax.set_axis_off()
    if legend:
        grid.flat[len(names)].legend(*grid.flat[0].get_legend_handles_labels(), loc="center")
    figure.tight_layout()
    return figure


def draw_coverage(scores: dict[str, StoredScores]) -> pd.DataFrame:
    """Width against coverage, and return the coverages of all models with their intervals."""
    covered = {name: coverage_intervals(one) for name, one in scores.items()}

    # The same models in the same order everywhere: one legend serves all panels.
    everywhere = [m for m in SHOWN if all(m in set(found.model) for found in covered.values())]

    def draw(name: str, ax: Axes) -> None:
        by_model = dict(list(covered[name].groupby("model")))
        plotting.plot_sharpness(pd.concat([by_model[model] for model in everywhere]), ax=ax)

    save(panels(list(scores), draw, legend=True), "comparison-coverage")
    return pd.concat([found.assign(dataset=name) for name, found in covered.items()])


def draw_selective(scores: dict[str, StoredScores]) -> None:
    """MASE of what score VI is surest of, by its epistemic part and by the width of intervals."""

    def draw(name: str, ax: Axes) -> None:
        kinds = ("epistemic", "width")
        curves = [selective_scores(scores[name], SHOWN[0], "mase", by=by) for by in kinds]
        plotting.plot_selective(curves, names=kinds, ax=ax)

    save(panels(list(scores), draw, legend=False), "comparison-selective")


def draw_ranks(comparison: RankComparison) -> None:
    ax = plotting.plot_critical_differences(comparison)
    save(ax.figure, "ranks")
