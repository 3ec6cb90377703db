"""What makes score VI better: one lever at a time, on validation windows.

`python -m benchmarks.studies [STUDIES] [--datasets ...] [--jobs N]` writes results/studies.csv: our
DeepAR with 5,000 gradient evaluations, two seeds, trained on what lies before the validation range
of a dataset and scored on validation windows. Every trial changes what its name says and nothing
else. m4_hourly comes last: eight of its 414 series hold half of its CRPS, so its rows are noisy.

Rows of studies that were run while networks read the age of a series by default (see `inputs`) are
in results/studies_with_age.csv.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from gluonts.torch.distributions import NormalOutput

from benchmarks.cells import Cell, run_cells
from benchmarks.clipped import ClippedScoreVI
from benchmarks.forecasting.models import FIVE_EQUAL, WITHOUT_CLIPPING, WITHOUT_DROPOUT
from benchmarks.output import markdown
from benchmarks.protocol import validate
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest
from tsbnn.forecasting.catalogue import features
from tsbnn.inference import FanInPrior, InferenceMethod

DATASETS = ("etth1", "vic_electricity", "nyc_taxi", "exchange_rate", "m4_hourly")
#: Bundled sets, for the levers that matter where observations are few.
SMALL = ("seattle_weather", "co2", "us_macro", "elnino")
SEEDS = (0, 1)
GRADIENT_EVALUATIONS = 5_000
SHOWN = ("mean_wql", "coverage_95", "width_95")


@dataclass(frozen=True)
class Trial:
    """An inference and what is not default about it, about the network, and about the budget."""

    inference: str | InferenceMethod
    settings: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    gradient_evaluations: int = GRADIENT_EVALUATIONS

    @property
    def plain(self) -> str:
        """Name of the inference that the trial changes."""
        return self.inference if isinstance(self.inference, str) else self.inference.name


def score(**settings: Any) -> Trial:
    return Trial("score", settings)


STUDIES: dict[str, dict[str, Trial]] = {
    "methods": {name: Trial(name) for name in ("score", "map", "elbo", "elbo_natural", "ensemble")},
    "budget": {
        f"{name} 2,000 evaluations": Trial(name, gradient_evaluations=2_000)
        for name in ("score", "map", "elbo")
    },
    "temperature": {
        **{f"score T={t:g}": score(temperature=t) for t in (0.3, 0.1, 0.01)},
        "score T=auto": score(temperature="auto"),
    },
    # T = 24 counts a window of 24 steps as one observation.
    "windows": {"score T=24": score(temperature=24.0)},
    "learning rate": {
        f"{name} lr={rate:g}": Trial(name, {"learning_rate": rate})
        for rate in (1e-2, 2e-3)
        for name in ("score", "map", "elbo")
    },
    "warm start": {
        **{f"score warm_start={w:g}": score(warm_start=w) for w in (0.8, 0.9, 0.25, 0.0)},
        **{
            f"{name} warm_start={w:g}": Trial(name, {"warm_start": w})
            for name in ("elbo", "elbo_natural")
            for w in (0.8, 0.0)
        },
        # By 0.8 of the way the cosine has taken nine tenths of the rate of log sigma.
        "elbo warm_start=0.8, fast scales": Trial(
            "elbo", {"warm_start": 0.8, "scale_learning_rate": 0.3}
        ),
    },
    "network": {
        "map 80 units": Trial("map", network={"hidden_size": 80}),
        "map context of 3 horizons": Trial("map", network={"context_length": 3}),
        "score context of 3 horizons": Trial("score", network={"context_length": 3}),
        "map scaling std": Trial("map", network={"scaling": "std"}),
        "map batch 128": Trial("map", network={"batch_size": 128}),
        "map 20 units": Trial("map", network={"hidden_size": 20}),
        "score 20 units": Trial("score", network={"hidden_size": 20}),
        "score 10 units, one layer": Trial("score", network={"hidden_size": 10, "num_layers": 1}),
    },
    "probe": {"score pooled probe": score(probe_estimate="pooled")},
    "strength": {
        f"score noise_margin={margin:g}": score(noise_margin=margin) for margin in (3.0, 30.0)
    },
    "prior": {f"score gain={gain:g}": score(prior=FanInPrior(gain=gain)) for gain in (2.0, 0.5)},
    "layers": {
        "score last layer": score(bayesian_parameters=("param_proj*",)),
        "score upper half": score(bayesian_parameters=("param_proj*", "*_l1")),
    },
    # MAP and ensembles have GluonTS's clipping at 10 and DeepAR's dropout; posteriors have neither.
    "clipping": {
        "score clipped at 10": Trial(ClippedScoreVI()),
        "map without clipping": Trial("map", network=WITHOUT_CLIPPING),
        "map without dropout": Trial("map", network=WITHOUT_DROPOUT),
        "map without either": Trial("map", network=WITHOUT_CLIPPING | WITHOUT_DROPOUT),
        "ensemble without dropout": Trial("ensemble", network=WITHOUT_DROPOUT),
        "ensemble without either": Trial("ensemble", network=WITHOUT_CLIPPING | WITHOUT_DROPOUT),
    },
    "averaging": {"score averaging_share=0.25": score(averaging_share=0.25)},
    "mixture": {
        "score mixture": score(family="mixture"),
        "score mixture of 5, equal": score(**FIVE_EQUAL),
        "score mixture of 5, equal, warm_start=0.8": score(**FIVE_EQUAL, warm_start=0.8),
        "elbo mixture of 5, equal": Trial("elbo", FIVE_EQUAL),
    },
    "low rank": {"score low rank": score(family="low_rank")},
    "head": {"score normal head": Trial("score", network={"distr_output": NormalOutput()})},
    "draws": {
        "score single draws": score(antithetic=False),
        "score pairs at every second step": score(curvature_every=2),
        "score curvature averaged over all steps": score(averaging=1.0),
    },
}
TRIALS = {name: trial for study in STUDIES.values() for name, trial in study.items()}


def evaluate(cell: Cell) -> Backtest:
    """Train a trial and score its forecasts of validation windows."""
    data = load(cell.dataset)
    trial, arguments = TRIALS[cell.model], dict(TRIALS[cell.model].network)
    if "context_length" in arguments:
        arguments["context_length"] *= data.prediction_length
    network = DeepAREstimator(
        prediction_length=data.prediction_length, **features(data.dataset), **arguments
    )
    estimator = BayesianEstimator(
        network,
        trial.inference,
        inference_kwargs=trial.settings,
        gradient_evaluations=trial.gradient_evaluations,
    )
    return validate(cell, estimator)


def table(rows: pd.DataFrame, study: str) -> pd.DataFrame:
    """One line a trial after those of the inferences that it changes; for each dataset mean_wQL
    over the seeds, what it is relative to the unchanged one under the same seeds, and coverage.
    """
    trials = STUDIES[study]
    plain = list(dict.fromkeys(trial.plain for trial in trials.values()))
    names = [*plain, *(name for name in trials if name not in plain)]
    values = rows[rows.metric.isin(SHOWN)].pivot_table(
        index=["dataset", "model", "seed"], columns="metric", values="value"
    )
    found = []
    for name in names:
        line = {"trial": name}
        for dataset in (*DATASETS, *SMALL):
            if (dataset, name) not in values.index:
                continue
            own = values.loc[dataset, name]
            line[f"{dataset}: mean_wQL"] = f"{own.mean_wql.mean():.4f}"
            if name not in plain:
                base = values.loc[dataset, trials[name].plain].mean_wql
                ratios = (own.mean_wql / base).dropna()
                line[f"{dataset}: mean_wQL"] += f" ({ratios.mean() - 1:+.1%})"
            line[f"{dataset}: seeds"] = str(len(own))
            line[f"{dataset}: 95 %"] = f"{own.coverage_95.mean():.1%} / {own.width_95.mean():.4g}"
        found.append(line)
    return pd.DataFrame(found).fillna("–")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", help="by default all")
    parser.add_argument("--datasets", nargs="*", default=DATASETS, help=f"also {', '.join(SMALL)}")
    parser.add_argument("--trials", nargs="*", help="only these of the studies")
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    if unknown := set(chosen.studies) - set(STUDIES):
        parser.error(f"no such study: {', '.join(unknown)}; there are {', '.join(STUDIES)}")
    cells = [
        Cell(dataset, trial, seed)
        for seed in SEEDS
        for study in chosen.studies or STUDIES
        for trial in STUDIES[study]
        if trial in (chosen.trials or [trial])
        for dataset in chosen.datasets
    ]
    done = run_cells(evaluate, cells, "studies", jobs=chosen.jobs)
    for study in chosen.studies or STUDIES:
        print(f"\n## {study}\n\n{markdown(table(done, study))}")


if __name__ == "__main__":
    main()
