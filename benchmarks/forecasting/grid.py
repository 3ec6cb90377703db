"""Which cells there are: the core, what extends it, and the peers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.cells import Cell

DATASETS = ("exchange_rate", "etth1", "m4_hourly", "vic_electricity", "nyc_taxi")
SEEDS = tuple(range(5))
METHODS = ("score", "elbo", "elbo_natural", "map", "mc_dropout", "ensemble")
CORE = tuple(f"{network}, {method}" for method in METHODS for network in ("deepar", "transformer"))
PEERS = ("gluonts_deepar", "gluonts_tft", "gluonts_patch_tst")

EXTENDED_DATASETS, EXTENDED_SEEDS = ("etth1", "m4_hourly"), SEEDS[:3]
#: What has trials of its own; what else is extended has the learning rate of its method.
EXTENDED_TRIED = (
    "patch_transformer, score",
    "patch_transformer, elbo",
    "patch_transformer, map",
    "deepar, alpha 0.5",
    "deepar, swag",
    "deepar, laplace",
    "deepar, sghmc",
    "deepar, cyclical",
    "deepar, ssvi",
)
EXTENDED = (
    *EXTENDED_TRIED,
    "deepar, score low rank",
    "deepar, score mixture",
    "deepar, elbo mixture",
    "deepar, ensemble x5",
)

#: At the default rate of their methods, where the trials chose another one, and GluonTS's at one
#: between.
RATES = (
    *("deepar, score at 5e-3", "deepar, elbo at 5e-3", "deepar, map at 5e-3"),
    *("gluonts_deepar at 1e-3", "gluonts_deepar at 3e-3"),
)

#: MAP as a posterior is trained, without clipping and dropout: what of its distance to score VI is
#: the trainer's. And the ensemble as validation windows prefer it (see docs/studies/clipping.md).
BARE_MAP = "deepar, bare map"
WITHOUT = (BARE_MAP, "deepar, ensemble without dropout")

#: The ELBO with other rates for the logarithm of its spreads than its default, 3e-2, and the one
#: that the trials prefer.
SCALES = ("deepar, elbo scale_learning_rate=0.01", "deepar, elbo scale_learning_rate=0.003")
SCALED_ELBO = SCALES[0]

#: With fewer steps for the spread and more for the mean, at both rates (see docs/studies).
WARM = ("deepar, score warm_start=0.8", "deepar, score warm_start=0.8 at 5e-3")

#: A posterior that is narrower than Bayes' rule says (see docs/studies/temperature.md).
COLD = ("deepar, score T=0.3",)

#: GluonTS's TFT with a likelihood for a head, as Bayes' rule needs it: as GluonTS trains it, with a
#: posterior, and as a point of ours.
WRAPPED = ("gluonts_tft_student_t", "tft, score", "tft, map")

NAIVE = "seasonal_naive"
#: No seed decides what these forecast, but for the paths that are drawn.
FIXED = (NAIVE, "auto_ets")
# A fit with a season of 24 steps takes a minute a window, and there are hundreds of windows.
ARIMA_DATASETS = ("exchange_rate",)


def _cells(datasets: Iterable[str], models: Iterable[str], seeds: Sequence[int]) -> list[Cell]:
    """Seed by seed, so that a run that is stopped has whole tables of fewer seeds."""
    models, datasets = list(models), list(datasets)
    return [Cell(d, model, seed) for seed in seeds for d in datasets for model in models]


GRIDS: dict[str, list[Cell]] = {
    "fixed": [
        *_cells(DATASETS, FIXED, (0,)),
        *_cells(ARIMA_DATASETS, ("auto_arima",), (0,)),
    ],
    "core": _cells(DATASETS, CORE, SEEDS),
    "rates": _cells(DATASETS, RATES, SEEDS),
    "without": _cells(DATASETS, WITHOUT, SEEDS),
    "scales": _cells(DATASETS, (SCALED_ELBO,), SEEDS),
    "warm": _cells(DATASETS, WARM, SEEDS),
    "cold": _cells(DATASETS, COLD, SEEDS),
    "peers": _cells(DATASETS, PEERS, SEEDS),
    "wrapped": _cells(DATASETS, WRAPPED, EXTENDED_SEEDS),
    "extended": _cells(EXTENDED_DATASETS, EXTENDED, EXTENDED_SEEDS),
}
