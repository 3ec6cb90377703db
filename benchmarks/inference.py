"""Every inference method on posteriors with known answers: does it reach what it should reach?

`python -m benchmarks.inference` writes results/inference.csv, one row per case and seed. What a
method is held to, and how closely, stands in the table of :mod:`benchmarks.inference_cases`: a
mean-field Gaussian to the best one there is, chains and full Gaussians to the posterior itself.
Finished rows are not run again, except those whose settings have changed. Name methods on the
command line to run only these; `--tune` before them runs the tuning seed and writes nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.chains import run_chains
from benchmarks.inference_cases import CASES, REASONS, Case
from benchmarks.optima import alpha_sds, gap, norm
from benchmarks.output import append, read, shortened, show
from tests.inference.scenarios import (
    Target,
    TwoModes,
    correlated_gaussian,
    covariance,
    infer,
    linear_regression,
    logistic_regression,
    low_rank_gaussian,
    two_modes,
    without_noise,
)
from tsbnn.inference import METHODS, IsotropicPrior, Posterior, method

PRIOR = IsotropicPrior(1.0)
SEEDS, TUNING_SEED = range(5), 100
KEY = ["scenario", "label", "seed"]

# Targets by name. Minibatches of 32, except where the name says otherwise.
SCENARIOS: dict[str, Callable[[int], Target]] = {
    "regression": lambda s: linear_regression(20, 10_000, s),
    "regression, standardised": lambda s: linear_regression(
        10, 10_000, s, batch_size=128, standardised=True
    ),
    "Gaussian D=20 condition 100": lambda s: correlated_gaussian(20, 100, s),
    "Gaussian D=2 condition 10": lambda s: correlated_gaussian(2, 10, s),
    "Gaussian D=5 condition 25": lambda s: correlated_gaussian(5, 25, s),
    "Gaussian diagonal + rank 3": lambda s: low_rank_gaussian(20, 3, s),
    "logistic regression": logistic_regression,
    "logistic regression, batches of 128": lambda s: logistic_regression(s, batch_size=128),
    "logistic regression, no noise": lambda s: without_noise(logistic_regression(s)),
    "two modes": lambda s: two_modes(3, s),
    "two modes, near": lambda s: two_modes(3, s, separation=4.0),
}


@dataclass(frozen=True)
class Found:
    """What a run ended with: moments (``D``), covariance (``D x D``) and draws (``n x D``)."""

    mean: Tensor
    sd: Tensor
    covariance: Tensor
    draws: Tensor
    # Draws of each chain (``n x chains x D``), where there are chains.
    states: Tensor | None = None

    @classmethod
    def of_posterior(cls, posterior: Posterior) -> Found:
        """Take the moments of a posterior; a point has spread 0."""
        count = 50_000 if posterior.num_atoms is None else posterior.num_atoms
        draws = posterior.sample(count, torch.Generator().manual_seed(0)).double()
        sd = posterior.variance.double().sqrt()
        is_point = posterior.num_atoms == 1
        spread = torch.diag(sd) if is_point else covariance(posterior)
        return cls(posterior.mean.double(), sd, spread, draws)

    @classmethod
    def of_chains(cls, states: Tensor) -> Found:
        """Pool the states of all chains."""
        draws = states.flatten(0, 1)
        return cls(draws.mean(0), draws.std(0), torch.cov(draws.T), draws, states)


def moments(found: Found, target: Target, case: Case) -> dict[str, float]:
    """Compare mean, sds and covariance with the reference's; errors of means are in its sds."""
    truth = target.covariance
    if case.against == "mean field":
        mean, sd = target.mean_field_mean, target.mean_field_sd
    elif case.against == "alpha":
        mean, sd = target.mean, alpha_sds(target.precision, case.settings["alpha"])
    else:
        mean, sd = target.mean, truth.diagonal().sqrt()
    figures = {"mean_error": float(((found.mean - mean) / sd).abs().mean())}
    if float(found.sd.max()) == 0:
        return figures
    ratios = found.sd / sd
    return {
        **figures,
        **ranges(ratios),
        "variance_excess": float(ratios.square().mean() - 1),
        "covariance_error": norm(found.covariance - truth) / norm(truth),
    }


def ranges(ratios: Tensor) -> dict[str, float]:
    """Summarise sds over the reference's."""
    return {
        "sd_ratio_min": float(ratios.min()),
        "sd_ratio_median": float(ratios.median()),
        "sd_ratio_max": float(ratios.max()),
        "sd_error_mean": float((ratios - 1).abs().mean()),
        "sd_error_max": float((ratios - 1).abs().max()),
    }


def modes(found: Found, target: TwoModes) -> dict[str, float]:
    """Shares of the modes, and sds within those that were found, over their own.

    A mode is missed with less than 5 % of the draws (of each chain's, where there are chains).
    """
    owners, shares = target.joint(found.draws).argmax(-1), target.found(found.draws)
    each = shares[None]
    if found.states is not None:
        each = torch.stack([target.found(chain) for chain in found.states.unbind(1)])
    own = [found.draws[owners == mode] / target.sds[mode] for mode in range(2)]
    ratios = [draws.std(0) for draws in own if len(draws) > 200]
    return {
        "share_of_first_mode": float(shares[0]),
        "share_error": float(((shares - target.shares) / target.shares).abs().max()),
        "modes_missed": float((each < 0.05).sum(1).double().mean()),
        **(ranges(torch.cat(ratios)) if ratios else {}),
    }


def measure(case: Case, seed: int) -> dict[str, Any]:
    """Run one case on one seed and hold it to its tolerance."""
    target = SCENARIOS[case.scenario](seed)
    inference = method(case.method, prior=PRIOR, **case.settings)
    started = time.perf_counter()
    if case.chains:
        states, optimizer = run_chains(target, inference, case.minibatches, seed, case.chains)
        found = Found.of_chains(states)
    else:
        optimizer = infer(target, inference, case.minibatches, seed)
        found = Found.of_posterior(optimizer.posterior)
    spent = time.perf_counter() - started
    is_mixed = isinstance(target, TwoModes)
    figures = modes(found, target) if is_mixed else moments(found, target, case)
    if case.held == "gap_left":
        figures |= gap(target, case.settings["rank"], figures["covariance_error"])
    if case.held == "excess_error":
        # To first order in the step, where features are standardised and the noise has sd 1.
        expected = case.settings["learning_rate"] * target.num_observations / 2 / target.batch_size
        figures["excess_error"] = abs(figures["variance_excess"] / expected - 1)
    return {
        "scenario": case.scenario,
        "label": case.label,
        "seed": seed,
        "family": optimizer.posterior.family,
        "settings": described(case),
        "against": case.against,
        "chains": case.chains or 1,
        "gradient_evaluations": optimizer.gradient_evaluations,
        **figures,
        "held": case.held,
        "tolerance": case.tolerance,
        "met": figures[case.held] <= case.tolerance,
        "wall_s": spent,
    }


def described(case: Case) -> str:
    """Say in words what is not default."""
    settings = ", ".join(f"{name}={value}" for name, value in case.settings.items())
    return settings or "defaults"


def halving(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare the excess of the variances at a step with that at half of it."""
    excess = rows.groupby("label").variance_excess.mean()
    names = [label.split(",")[0] for label in excess.index if label.endswith("wide step")]
    table = [
        {
            "method": name,
            "excess, wide step": excess[f"{name}, wide step"],
            "excess, half of it": excess[f"{name}, half of it"],
            "ratio": excess[f"{name}, half of it"] / excess[f"{name}, wide step"],
        }
        for name in names
        if f"{name}, half of it" in excess
    ]
    return pd.DataFrame(table)


def report(rows: pd.DataFrame) -> None:
    """Print the summary: over seeds, the worst of what is held, and the ranges of the sds."""
    held = [row[row["held"]] for _, row in rows.iterrows()]
    groups = rows.assign(figure=held).groupby(["scenario", "label"], sort=False)
    summary = groups.agg(
        seeds=("seed", "count"),
        evaluations=("gradient_evaluations", "first"),
        sd_min=("sd_ratio_min", "min"),
        sd_median=("sd_ratio_median", "median"),
        sd_max=("sd_ratio_max", "max"),
        mean_error=("mean_error", "mean"),
        held=("held", "first"),
        worst=("figure", "max"),
        tolerance=("tolerance", "first"),
        met=("met", "sum"),
        wall_s=("wall_s", "mean"),
    )
    show(summary.reset_index(), "Ranges over weights and seeds; met: by how many seeds")
    table = halving(rows)
    if len(table):
        show(table, "Half the step, half the excess of the variances")
    for what, why in REASONS.items():
        print(f"no row: {what}: {why}")


def main() -> None:
    torch.set_num_threads(1)
    asked = [name for name in sys.argv[1:] if name != "--tune"]
    tuning = "--tune" in sys.argv[1:]
    chosen = [case for case in CASES if not asked or case.method in asked]
    for case in chosen:
        if case.method not in METHODS:
            raise SystemExit(f"unknown method {case.method!r}")
    rows = pd.DataFrame(columns=KEY) if tuning else read("inference", KEY)
    if len(rows):
        current = {(case.scenario, case.label): described(case) for case in CASES}
        kept = [current.get((r.scenario, r.label)) == r.settings for r in rows.itertuples()]
        rows = rows[kept]
    known = set(rows[KEY].itertuples(index=False, name=None))
    for case in chosen:
        for seed in (TUNING_SEED,) if tuning else SEEDS:
            if (case.scenario, case.label, seed) in known:
                continue
            row = measure(case, seed)
            if tuning:
                print(shortened(row), flush=True)
            else:
                rows = append(rows, row, "inference")
    if not tuning:
        report(rows)


if __name__ == "__main__":
    main()
