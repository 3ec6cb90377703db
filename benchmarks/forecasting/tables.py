"""What is read off the comparison: scores, differences, ranks, and what uncertainty is worth.

Everything comes from results/forecasting.csv and results/forecasting_DATASET.npz.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from benchmarks.cells import LEVELS
from benchmarks.forecasting.grid import (
    BARE_MAP,
    COLD,
    DATASETS,
    EXTENDED,
    FIXED,
    NAIVE,
    SCALED_ELBO,
    WARM,
    WITHOUT,
    WRAPPED,
)
from benchmarks.forecasting.models import AT
from benchmarks.output import RESULTS, plain
from tsbnn.evaluation import StoredScores, paired_difference, selective_scores
from tsbnn.evaluation.bootstrap import Unit
from tsbnn.evaluation.selective import Uncertainty

#: For anything that is said of seeds.
LEAST_SEEDS = 3
NETWORKS = ("deepar", "transformer", "patch_transformer")
OWN = tuple(f"{network}, score" for network in NETWORKS)
PEER = "gluonts_deepar"
#: What score VI is compared with: others on the same network, and a peer.
REFERENCES = ("elbo", "elbo_natural", "map", "mc_dropout", "ensemble")
#: And at its method's default rate (see `grid`): the ELBO at the same, others at their best.
RATED = ("elbo at 5e-3", "map", "ensemble")
#: What score VI with a longer warm start is compared with.
WARMED = ("score", "elbo", "map", "ensemble")
#: The pairs whose intervals are looked at more closely, and all that are compared.
CLOSER = (
    *((own, own.replace("score", other)) for own in OWN for other in REFERENCES),
    *((own, PEER) for own in OWN),
    *(("deepar, score", model) for model in WITHOUT),
    ("deepar, score", SCALED_ELBO),
)
PAIRS = (
    *CLOSER,
    (SCALED_ELBO, "deepar, elbo"),
    (WARM[0], SCALED_ELBO),
    *(("deepar, score at 5e-3", f"deepar, {other}") for other in RATED),
    ("deepar, score at 5e-3", PEER),
    ("deepar, score", f"{PEER} at 1e-3"),
    *((model, "gluonts_patch_tst") for model in ("deepar, score", "deepar, map", *OWN[2:])),
    *((model, "gluonts_tft") for model in OWN[:2]),
    *(("tft, score", f"gluonts_{other}") for other in ("tft", "tft_student_t", "deepar")),
    *(("tft, score", other) for other in ("tft, map", "deepar, score")),
    *((model, NAIVE) for model in OWN[:2]),
    # The best of each network on etth1, of which a goal asks (see `goals`).
    *(("deepar, ensemble x5", f"deepar, {point}") for point in ("map", "map at 5e-3")),
    *((model, NAIVE) for model in ("deepar, ensemble x5", "transformer, map")),
    ("deepar, score", "deepar, map at 5e-3"),
    *((f"deepar, {own} at 5e-3", BARE_MAP) for own in ("score", "score warm_start=0.8", "map")),
    (WITHOUT[1], "deepar, ensemble"),
    *(("deepar, score warm_start=0.8", f"deepar, {other}") for other in WARMED),
    *(("deepar, score warm_start=0.8 at 5e-3", f"deepar, {other}") for other in WARMED),
    *((model, other) for model in COLD for other in ("deepar, score", *WITHOUT)),
    ("deepar, score mixture", "deepar, elbo mixture"),
    *((model, "deepar, score") for model in EXTENDED if model.startswith("deepar, ")),
    ("patch_transformer, score", "deepar, score"),
    # The point that it is built around.
    ("deepar, laplace", BARE_MAP),
)
#: Whose uncertainty is looked at: posteriors, what draws weights otherwise, and points.
WARNERS = (
    *OWN,
    *(f"deepar, {method}" for method in ("elbo", "ensemble", "mc_dropout")),
    *(f"{network}, map" for network in NETWORKS),
    BARE_MAP,
    PEER,
    NAIVE,
)
#: The tables that models are divided among.
MAIN, TRANSFORMER, WRAPPED_TFT, EXTENSIONS, OTHER_RATES = PARTS = (
    "DeepAR and peers",
    "Transformer",
    "TFT with a likelihood",
    "more methods",
    "other learning rates",
)
#: Methods with other settings, which have no rank: their neighbours' would count them.
VARIANTS = (*WARM, *COLD, SCALED_ELBO, *(model for model in WITHOUT if model != BARE_MAP))
#: What the short tables of docs/results.md have.
SHORT = ("deepar, score", "deepar, elbo", "deepar, map", BARE_MAP, "deepar, ensemble", PEER)


def stored() -> dict[str, StoredScores]:
    """Every window's scores by dataset."""
    paths = {dataset: RESULTS / f"forecasting_{dataset}.npz" for dataset in DATASETS}
    return {name: StoredScores.load(path) for name, path in paths.items() if path.exists()}


def parts(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by the table that their models stand in, one of :data:`PARTS`."""
    table = results.model.map(_part)
    return {name: results[table == name] for name in PARTS if name in set(table)}


def _part(model: str) -> str:
    if AT in model:
        return OTHER_RATES
    if model in WRAPPED:
        return WRAPPED_TFT
    if model in EXTENDED:
        return EXTENSIONS
    return TRANSFORMER if model.startswith("transformer, ") else MAIN


def differences(
    scores: dict[str, StoredScores],
    pairs: Iterable[tuple[str, str]] = PAIRS,
    unit: Unit = "series x window",
    resample_seeds: bool = True,
) -> pd.DataFrame:
    """CRPS of one model relative to another's, for each pair and dataset that have been run.

    ``unit`` is what the bootstrap draws beside seeds, if it draws them; datasets that have only one
    of it are left out.
    """
    rows = []
    for own, other in pairs:
        for dataset, found in scores.items():
            drawn = unit != "window" or found.windows.window.nunique() > 1
            if drawn and own in found.models and other in found.models:
                row = vars(
                    paired_difference(found, own, other, unit=unit, resample_seeds=resample_seeds)
                )
                # A single training of a network is no baseline that seeds do not change.
                trained = [name for name, _ in found.scores if name not in FIXED]
                counts = (trained.count(model) for model in (own, other) if model not in FIXED)
                rows.append({"dataset": dataset, **row, "num_seeds": min(counts, default=1)})
    return pd.DataFrame(rows)


def difference_matrix(found: pd.DataFrame) -> pd.DataFrame:
    """One row a pair, one column a dataset: relative difference with its interval.

    Below :data:`LEAST_SEEDS` too little is known of their luck for an interval.
    """
    text = [
        f"{row.relative:+.1%}"
        + f" ({_end(row.relative_low)} to {_end(row.relative_high)})"
        * (row.num_seeds >= LEAST_SEEDS)
        for row in found.itertuples()
    ]
    table = found.assign(pair=found.a + " against " + found.b, text=text).pivot_table(
        index="pair", columns="dataset", values="text", aggfunc="first", sort=False
    )
    return table.fillna("–").reset_index().rename(columns={"pair": "CRPS, relative"})


def _end(relative: float) -> str:
    if math.isinf(relative):
        return "∞"
    return f"{relative:+.1%}" if abs(relative) < 0.0095 else f"{relative:+.0%}"


def ranks(results: pd.DataFrame) -> pd.DataFrame:
    """Mean CRPS by dataset and model: of those that all datasets have, but for variants."""
    crps = results[(results.metric == "crps") & ~results.model.isin(VARIANTS)]
    return crps.pivot_table(index="dataset", columns="model", values="value").dropna(axis=1)


def selective(
    scores: dict[str, StoredScores], models: Iterable[str] = WARNERS, metric: str = "mase"
) -> pd.DataFrame:
    """How well a model's uncertainty tells which of its forecasts will be bad.

    By its epistemic part where it draws weights, by its whole variance where a series has several
    windows to compare, and by the width of its intervals, which points have as well.
    """
    rows = []
    for dataset, found in scores.items():
        several = len(found.windows) > found.windows.item_id.nunique()
        for model in models:
            runs = [run for (name, _), run in found.scores.items() if name == model]
            parts = [run.numerators.get("epistemic_share") for run in runs]
            told = all(part is not None for part in parts)
            kinds: dict[Uncertainty, bool] = {
                # All draws of a point are the same.
                "epistemic": told and any(part.any() for part in parts),
                "total": told and several,
                "width": True,
            }
            for by in [name for name, known in kinds.items() if runs and known]:
                one = selective_scores(found, model, metric, by=by)
                values = {name: getattr(one, name) for name in ("skill", "skill_low", "skill_high")}
                about = {"dataset": dataset, "model": model, "by": by, "num_seeds": len(runs)}
                rows.append({**about, **values})
    return pd.DataFrame(rows)


def selective_matrix(found: pd.DataFrame) -> pd.DataFrame:
    """One row a model and uncertainty, one column a dataset: skill with its interval.

    Bold where that does not reach 0; without one below :data:`LEAST_SEEDS`, if seeds matter.
    """
    text = []
    for row in found.itertuples():
        skill, ends = f"{row.skill:.2f}", f" ({row.skill_low:.2f} to {row.skill_high:.2f})"
        known = row.num_seeds >= LEAST_SEEDS or row.model in FIXED
        clear = known and (row.skill_low > 0 or row.skill_high < 0)
        text.append((f"**{skill}**" if clear else skill) + ends * known)
    table = found.assign(text=text).pivot_table(
        index=["by", "model"], columns="dataset", values="text", aggfunc="first", sort=False
    )
    return table.fillna("–").reset_index()


def matrix(
    results: pd.DataFrame, metric: str = "crps", among: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row a model, one column a dataset: mean ± standard error over seeds.

    The last column is the mean over the datasets of the ratio to the best of each ``among`` other
    results, or these. Models are in its order, those that some dataset lacks after the others.
    """
    best = results if among is None else among
    best = best[best.metric == metric].groupby(["dataset", "model"]).value.mean()
    best = best.groupby("dataset").min()
    groups = results[results.metric == metric].groupby(["model", "dataset"], sort=False).value
    mean, error, seeds = (
        getattr(groups, name)().unstack("dataset") for name in ("mean", "sem", "count")
    )
    columns = [dataset for dataset in DATASETS if dataset in mean]
    ratio = (mean / best[columns]).mean(axis=1, skipna=False)
    order = ratio.sort_values().index
    table = pd.DataFrame(index=order)
    table["seeds"] = seeds.loc[order].min(axis=1).astype(int)
    for dataset in columns:
        table[dataset] = [
            _cell(mean.at[model, dataset], error.at[model, dataset], best[dataset])
            for model in order
        ]
    table["over the best"] = ratio[order].map("{:.2f}".format).replace("nan", "–")
    return table.reset_index()


def scatter(results: pd.DataFrame) -> pd.DataFrame:
    """One row a model, one column a dataset: sd of CRPS over seeds in percent of its mean.

    Only where there are at least :data:`LEAST_SEEDS`. Models that scatter least on average come
    first, those that some dataset lacks last.
    """
    groups = results[results.metric == "crps"].groupby(["model", "dataset"]).value
    seeds = groups.count()
    found = (groups.std() / groups.mean())[seeds >= LEAST_SEEDS].unstack("dataset")
    found = found[[dataset for dataset in DATASETS if dataset in found]]
    order = found.mean(axis=1, skipna=False).sort_values().index
    text = found.loc[order].map("{:.1%}".format).replace("nan%", "–")
    text.insert(
        0, "seeds", seeds[seeds >= LEAST_SEEDS].unstack().loc[order].min(axis=1).astype(int)
    )
    return text.reset_index()


def _cell(mean: float, error: float, best: float) -> str:
    if pd.isna(mean):
        return "–"
    text = plain(mean, 3) if mean > best else f"**{plain(mean, 3)}**"
    return text if pd.isna(error) else f"{text} ± {plain(error, 1)}"


def coverages(results: pd.DataFrame) -> pd.DataFrame:
    """Mean coverage in percent by model and dataset, a column for each of :data:`LEVELS`."""
    groups = results.groupby(["model", "dataset", "metric"], sort=False).value.mean().unstack()
    covered = 100 * groups[[f"coverage_{level}" for level in LEVELS]]
    return covered.set_axis(LEVELS, axis=1)


def coverage_matrix(results: pd.DataFrame) -> pd.DataFrame:
    """Coverage of the central intervals of 50, 80, 90 and 95 % by model and dataset, in percent.

    Bold where all are within three points. Models that are within them most often come first, then
    those that are nearer on average.
    """
    covered = coverages(results)
    text = covered.apply(lambda row: " / ".join(f"{value:.0f}" for value in row), axis=1)
    off = (covered - LEVELS).abs()
    within = off.max(axis=1) <= 3
    text = text.where(~within, "**" + text + "**").unstack("dataset").fillna("–")
    order = pd.DataFrame(
        {
            "within": -within.groupby("model").sum(),
            "off": off.mean(axis=1).groupby("model").mean(),
        }
    ).sort_values(["within", "off"])
    return text.loc[order.index, [d for d in DATASETS if d in text]].reset_index()


def epistemic_matrix(results: pd.DataFrame) -> pd.DataFrame:
    """What part of the variance is epistemic, in percent, and what it does to the intervals.

    The width of the 50 % intervals is relative to bare MAP's. Models whose weights are drawn, and
    that all datasets have; the least epistemic come first.
    """
    means = results.groupby(["metric", "model", "dataset"]).value.mean()
    share, width = (means[metric].unstack() for metric in ("epistemic_share", "width_50"))
    columns = [dataset for dataset in DATASETS if dataset in share]
    share = share.loc[(share > 0).all(axis=1), columns]
    relative = width.loc[share.index, columns] / width.loc[BARE_MAP, columns]
    text = (100 * share).map("{:.0f} % / ".format) + relative.map("× {:.2f}".format)
    return text.loc[share.mean(axis=1).sort_values().index].reset_index()


def summary(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """CRPS of :data:`SHORT` and percent that their 95 % intervals hold, one row a dataset each."""
    means = results.groupby(["metric", "dataset", "model"]).value.mean()
    crps, covered = (means[metric].unstack() for metric in ("crps", "coverage_95"))
    best = crps[list(SHORT)].min(axis=1)
    texts = {
        "CRPS": lambda dataset, model: _cell(crps.at[dataset, model], math.nan, best[dataset]),
        "95 % intervals hold, %": lambda dataset, model: f"{100 * covered.at[dataset, model]:.0f}",
    }
    names = [m.removeprefix("deepar, ").replace(PEER, "GluonTS's training") for m in SHORT]
    return {
        title: pd.DataFrame(
            [[dataset, *(text(dataset, model) for model in SHORT)] for dataset in DATASETS],
            columns=[title, *names],
        )
        for title, text in texts.items()
    }


def scoreboard(results: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """One row a model: scores ± standard error over seeds, coverage and width, cost."""
    here = results[results.dataset == dataset]
    groups = here.groupby(["model", "metric"], sort=False).value
    mean, error = groups.mean().unstack("metric"), groups.sem().unstack("metric")
    scatter = groups.std().unstack("metric").crps / mean.crps
    table = pd.DataFrame({"seeds": here.groupby("model").seed.nunique()})
    for metric in ("mean_wql", "crps"):
        spread = error[metric].map(lambda value: f" ± {plain(value, 1)}")
        table[metric] = mean[metric].map(lambda value: plain(value, 4)) + spread
    table["scatter over seeds"] = scatter.map("{:.1%}".format)
    for level in LEVELS:
        covered = mean[f"coverage_{level}"].map("{:.1%}".format)
        table[f"{level} %: coverage / width"] = (
            covered + " / " + mean[f"width_{level}"].map(lambda value: plain(value, 3))
        )
    table["training s"] = here.groupby("model").wall_s.mean().round().astype(int)
    order = mean.mean_wql.sort_values().index
    text = table.loc[order].reset_index()
    return text.replace({" ± nan": ""}, regex=True).replace({"nan%": "–"})
