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
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.inference_cases import CASES, REASONS, SCENARIOS, Case
from benchmarks.output import RESULTS, show, write
from tests.inference.scenarios import Target, TwoModes, covariance, infer
from tsbnn.inference import METHODS, BayesianOptimizer, IsotropicPrior, method

PRIOR = IsotropicPrior(1.0)
SEEDS, TUNING_SEED = range(5), 100
KEY = ["scenario", "label", "seed"]


def best_low_rank(target: Target, rank: int) -> Tensor:
    """Covariance ``D x D`` of the ELBO's best diagonal plus low rank, for a Gaussian target."""
    values, vectors = torch.linalg.eigh(target.covariance)
    factor = (vectors[:, -rank:] * values[-rank:].sqrt() * 0.7).contiguous().requires_grad_()
    log_scale = (-0.5 * target.precision.diagonal().log()).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [factor, log_scale],
        max_iter=5_000,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def spread() -> Tensor:
        return torch.diag((2 * log_scale).exp()) + factor @ factor.T

    def divergence() -> Tensor:
        optimizer.zero_grad()
        trace = (target.precision * spread()).sum()
        value = 0.5 * (trace - torch.linalg.slogdet(spread())[1])
        value.backward()
        return value

    optimizer.step(divergence)
    return spread().detach()


def norm(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))


def moments(optimizer: BayesianOptimizer, target: Target, against: str) -> dict[str, float]:
    """Compare mean, sds and covariance with the reference's; errors of means are in its sds."""
    posterior, truth = optimizer.posterior, target.covariance
    if against == "mean field":
        mean, sd = target.mean_field_mean, target.mean_field_sd
    else:
        mean, sd = target.mean, truth.diagonal().sqrt()
    found = {"mean_error": float(((posterior.mean.double() - mean) / sd).abs().mean())}
    if float(posterior.variance.max()) == 0:
        return found
    ratios = posterior.variance.double().sqrt() / sd
    return {
        **found,
        "sd_ratio_min": float(ratios.min()),
        "sd_ratio_median": float(ratios.median()),
        "sd_ratio_max": float(ratios.max()),
        "sd_error_mean": float((ratios - 1).abs().mean()),
        "sd_error_max": float((ratios - 1).abs().max()),
        "variance_excess": float(ratios.square().mean() - 1),
        "covariance_error": norm(covariance(posterior) - truth) / norm(truth),
    }


def gap(target: Target, rank: int, error: float) -> dict[str, float]:
    """Place a covariance error between those of the best mean field (1) and low rank (0)."""
    truth = target.covariance
    mean_field = norm(torch.diag(target.mean_field_sd.square()) - truth) / norm(truth)
    low_rank = norm(best_low_rank(target, rank) - truth) / norm(truth)
    return {
        "best_mean_field_error": mean_field,
        "best_low_rank_error": low_rank,
        "gap_left": (error - low_rank) / (mean_field - low_rank),
    }


def modes(optimizer: BayesianOptimizer, target: TwoModes) -> dict[str, float]:
    """Shares of the modes, and sds within those that were found, over their own."""
    posterior = optimizer.posterior
    count = 50_000 if posterior.num_atoms is None else posterior.num_atoms
    draws = posterior.sample(count, torch.Generator().manual_seed(0)).double()
    owners = target.joint(draws).argmax(-1)
    shares = target.found(draws)
    ratios = torch.cat(
        [
            draws[owners == mode].std(0) / target.sds[mode]
            for mode in range(2)
            if float(shares[mode]) > 0.05 and int((owners == mode).sum()) > 200
        ]
        or [torch.full((1,), torch.nan, dtype=torch.double)]
    )
    return {
        "share_of_first_mode": float(shares[0]),
        "share_error": float(((shares - target.shares) / target.shares).abs().max()),
        "modes_missed": int((shares < 0.05).sum()),
        "sd_ratio_min": float(ratios.min()),
        "sd_ratio_median": float(ratios.median()),
        "sd_ratio_max": float(ratios.max()),
        "sd_error_mean": float((ratios - 1).abs().mean()),
        "sd_error_max": float((ratios - 1).abs().max()),
    }


def measure(case: Case, seed: int) -> dict[str, Any]:
    """Run one case on one seed and hold it to its tolerance."""
    target = SCENARIOS[case.scenario](seed)
    inference = method(case.method, prior=PRIOR, **case.settings)
    started = time.perf_counter()
    optimizer = infer(target, inference, case.minibatches, seed)
    spent = time.perf_counter() - started
    if isinstance(target, TwoModes):
        found = modes(optimizer, target)
    else:
        found = moments(optimizer, target, case.against)
    if case.held == "gap_left":
        found |= gap(target, case.settings["rank"], found["covariance_error"])
    return {
        "scenario": case.scenario,
        "label": case.label,
        "seed": seed,
        "family": optimizer.posterior.family,
        "settings": described(case),
        "against": case.against,
        "gradient_evaluations": optimizer.gradient_evaluations,
        **found,
        "held": case.held,
        "tolerance": case.tolerance,
        "met": found[case.held] <= case.tolerance,
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
    path = RESULTS / "inference.csv"
    rows = pd.read_csv(path) if path.exists() and not tuning else pd.DataFrame(columns=KEY)
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
            short = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
            print(short, flush=True)
            if not tuning:
                frame = pd.DataFrame([row])
                rows = pd.concat([rows, frame], ignore_index=True) if len(rows) else frame
                write(rows, "inference")
    if not tuning:
        report(rows)


if __name__ == "__main__":
    main()
