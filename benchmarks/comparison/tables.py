"""What the comparison found: `python -m benchmarks.comparison.tables` prints RESULTS.md's tables.

Everything comes from results/forecasting.csv and results/forecasting_DATASET.npz; differences,
ranks, coverages and selective scores go to results/forecasting_*.csv, plots to docs/images/.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.cells import kept
from benchmarks.comparison.grid import DATASETS
from benchmarks.output import RESULTS, write
from tsbnn import plotting
from tsbnn.evaluation import (
    StoredScores,
    compare_ranks,
    coverage_intervals,
    paired_difference,
    selective_scores,
)

NETWORKS = ("deepar", "transformer", "patch_transformer")
REFERENCES = ("elbo", "map", "ensemble")
IMAGES = Path(__file__).parents[2] / "docs/images"


def stored() -> dict[str, StoredScores]:
    """Every window's scores by dataset."""
    paths = {dataset: RESULTS / f"forecasting_{dataset}.npz" for dataset in DATASETS}
    return {name: StoredScores.load(path) for name, path in paths.items() if path.exists()}


def differences(scores: dict[str, StoredScores]) -> pd.DataFrame:
    """CRPS of score VI relative to others of the same network, and to GluonTS's DeepAR."""
    rows = []
    for dataset, found in scores.items():
        for network in NETWORKS:
            own = f"{network}, score"
            others = [*(f"{network}, {name}" for name in REFERENCES), "gluonts_deepar"]
            for other in others:
                if own in found.models and other in found.models:
                    rows.append({"dataset": dataset, **vars(paired_difference(found, own, other))})
    return pd.DataFrame(rows)


def ranks(results: pd.DataFrame, models: Iterable[str]) -> pd.DataFrame:
    """Mean CRPS by dataset and model: of those that all datasets have."""
    crps = results[(results.metric == "crps") & results.model.isin(list(models))]
    return crps.pivot_table(index="dataset", columns="model", values="value").dropna(axis=1)


def selective(scores: dict[str, StoredScores], models: Iterable[str]) -> pd.DataFrame:
    """How well uncertainty tells which forecasts will be bad."""
    rows = []
    for dataset, found in scores.items():
        for model in models:
            if model in found.models:
                # A series' single window says nothing of its total spread against others.
                several = len(found.windows) > len(set(found.windows.item_id))
                for by in ("epistemic", "total") if several else ("epistemic",):
                    one = selective_scores(found, model, "mase", by=by)
                    names = ("skill", "skill_low", "skill_high")
                    values = {name: getattr(one, name) for name in names}
                    rows.append({"dataset": dataset, "model": model, "by": by, **values})
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    """Format a frame as a table of Markdown."""
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|---" * frame.shape[1] + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def plain(value: float, digits: int) -> str:
    """Write a number with so many significant digits and without an exponent."""
    return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")


def scoreboard(results: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """One row a model: scores ± standard error over seeds, coverage and width, cost."""
    here = results[results.dataset == dataset]
    groups = here.groupby(["model", "metric"], sort=False).value
    mean, error = groups.mean().unstack("metric"), groups.sem().unstack("metric")
    scatter = groups.std().unstack("metric").mean_wql / mean.mean_wql
    table = pd.DataFrame({"seeds": here.groupby("model").seed.nunique()})
    for metric in ("mean_wql", "crps"):
        spread = error[metric].map(lambda value: f" ± {plain(value, 1)}")
        table[metric] = mean[metric].map(lambda value: plain(value, 4)) + spread
    table["scatter over seeds"] = scatter.map("{:.1%}".format)
    for level in (50, 80, 90, 95):
        covered = mean[f"coverage_{level}"].map("{:.1%}".format)
        table[f"{level} %: coverage / width"] = (
            covered + " / " + mean[f"width_{level}"].map(lambda value: plain(value, 3))
        )
    table["training s"] = here.groupby("model").wall_s.mean().round().astype(int)
    order = mean.mean_wql.sort_values().index
    text = table.loc[order].reset_index()
    return text.replace({" ± nan": ""}, regex=True).replace({"nan%": "–"})


def main() -> None:
    results, scores = kept("forecasting"), stored()
    for dataset in scores:
        print(f"\n{dataset}:\n\n{markdown(scoreboard(results, dataset))}")
    found = differences(scores)
    if len(found):
        write(found, "forecasting_differences")
        text = found[["dataset", "a", "b"]].copy()
        text["CRPS, relative"] = [
            f"{row.relative:+.1%} ({row.relative_low:+.1%} to {row.relative_high:+.1%})"
            for row in found.itertuples()
        ]
        print(f"\n{markdown(text)}")
    table = ranks(results, results.model.unique())
    if len(table) > 1 and table.shape[1] > 1:
        comparison = compare_ranks(table)
        ax = plotting.plot_critical_differences(comparison)
        ax.figure.savefig(IMAGES / "ranks.png", dpi=150, bbox_inches="tight")
        plt.close(ax.figure)
        print(f"\n{comparison.average_ranks.round(2).to_string()}")
    coverages = [coverage_intervals(one).assign(dataset=name) for name, one in scores.items()]
    write(pd.concat(coverages), "forecasting_coverage")
    informed = selective(scores, (f"{network}, score" for network in NETWORKS))
    if len(informed):
        write(informed, "forecasting_selective")
        print(f"\n{markdown(informed.round(3))}")


if __name__ == "__main__":
    main()
