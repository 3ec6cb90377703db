"""How much of a dataset's CRPS a few of its series decide, and what a comparison says without them.

CRPS and mean_wQL add up over series in the target's units, so series with large values count most.
MASE, whose errors are in units of each series' own seasonal differences, is beside them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsbnn.evaluation import StoredScores

FEW = 0.02
MODELS = ("deepar, score", "deepar, elbo", "deepar, map", "deepar, ensemble", "gluonts_deepar")


def by_series(scores: StoredScores, metric: str) -> pd.DataFrame:
    """Mean score of every series, ``model x seed`` by series."""
    items = scores.windows.item_id
    rows = {}
    for cell, found in scores.scores.items():
        totals = pd.Series(np.asarray(found.numerators[metric]).ravel()).groupby(items).sum()
        counts = pd.Series(np.asarray(found.denominators[metric]).ravel()).groupby(items).sum()
        rows[cell] = totals / counts
    table = pd.DataFrame(rows).T
    table.index.names = ["model", "seed"]
    return table


def concentration(dataset: str, scores: StoredScores) -> pd.DataFrame:
    """One line a model: what the largest few series hold, and all figures with and without them."""
    crps, mase = by_series(scores, "crps"), by_series(scores, "mase")
    few = max(1, round(FEW * crps.shape[1]))
    # The same series for all models: those that hold most on average.
    largest = crps.mean().nlargest(few).index
    others = crps.drop(columns=largest)
    rows = []
    for model in MODELS:
        if model not in crps.index.get_level_values("model"):
            continue
        own, rest = crps.loc[model], others.loc[model]
        whole, without = own.mean(axis=1), rest.mean(axis=1)
        rows.append(
            {
                "dataset": dataset,
                "model": model,
                "seeds": len(own),
                "series": crps.shape[1],
                "largest": few,
                "their share": own[largest].sum(axis=1).mean() / own.sum(axis=1).mean(),
                "crps": whole.mean(),
                "seeds' spread": whole.std(ddof=1) / whole.mean(),
                "crps of the others": without.mean(),
                "seeds' spread of the others": without.std(ddof=1) / without.mean(),
                "median series' mase": mase.loc[model].median(axis=1).mean(),
            }
        )
    return pd.DataFrame(rows)


def concentrations(scores: dict[str, StoredScores]) -> pd.DataFrame:
    """Those of the datasets with more than a few series."""
    found = [
        concentration(dataset, one)
        for dataset, one in scores.items()
        if one.windows.item_id.nunique() >= 1 / FEW
    ]
    return pd.concat(found, ignore_index=True)
