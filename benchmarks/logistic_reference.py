"""Moments of the scenarios' logistic regressions by long full-batch Hamiltonian Monte Carlo.

`python -m benchmarks.logistic_reference` writes results/logistic_reference.json, which the tests
and the benchmark of inference methods read: for each seed the posterior's mean and covariance, and
the best mean-field Gaussian. Nothing of tsbnn runs here. Everything is double precision.

The chains (64, each 4,000 states after 500 of burn-in, with accept and reject, so without a bias)
must agree: the largest R-hat over weights and squares is below 1.002. The ELBO of a linear model
needs one-dimensional integrals only, one for each observation: Gauss and Hermite's rule gives them
to machine precision, and L-BFGS maximises it.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.output import machine
from tests.inference.other_targets import LOGISTIC_REFERENCE, logistic_data

# The first is the seed on which settings are chosen, the others are those of the table.
SEEDS = (100, 0, 1, 2, 3, 4)
CHAINS, BURN_IN, STATES, LEAPFROG = 64, 500, 4_000, 6


def potential(features: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log posterior and its slope at ``chains x D`` weights; prior Normal(0, 1)."""
    logits = weights @ features.T
    energy = functional.softplus(logits).sum(-1) - logits @ labels + 0.5 * weights.square().sum(-1)
    return energy, (logits.sigmoid() - labels) @ features + weights


def laplace(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mode and curvature there, by Newton's method."""
    mode = torch.zeros(features.shape[1], dtype=torch.double)
    for _ in range(50):
        _, slope = potential(features, labels, mode)
        chance = (features @ mode).sigmoid()
        curvature = (features.T * (chance * (1 - chance))) @ features
        curvature += torch.eye(len(mode), dtype=torch.double)
        mode = mode - torch.linalg.solve(curvature, slope)
    return mode, curvature


def sample(features: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, float]:
    """Draw ``states x chains x D`` and the acceptance rate, with the mode's curvature as mass."""
    generator = torch.Generator().manual_seed(seed)
    mode, curvature = laplace(features, labels)
    size = (CHAINS, len(mode))
    root = torch.linalg.cholesky(curvature)
    covariance = torch.cholesky_inverse(root)

    def normal() -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.double)

    # Starts twice as wide as the posterior: agreement in the end is then worth something.
    weights = mode + 2 * torch.linalg.solve_triangular(root.T, normal().T, upper=True).T
    energy, slope = potential(features, labels, weights)
    states, accepted = [], []
    for state in range(BURN_IN + STATES):
        step = 0.25 * (0.8 + 0.4 * float(torch.rand((), generator=generator)))
        momentum = normal() @ root.T
        place, push = weights, slope
        moving = momentum - 0.5 * step * push
        for leap in range(LEAPFROG):
            place = place + step * moving @ covariance
            new_energy, push = potential(features, labels, place)
            moving = moving - (step if leap < LEAPFROG - 1 else 0.5 * step) * push
        kinetic = [0.5 * ((p @ covariance) * p).sum(-1) for p in (momentum, moving)]
        chance = (energy + kinetic[0] - new_energy - kinetic[1]).exp()
        take = torch.rand(CHAINS, generator=generator, dtype=torch.double) < chance
        weights = torch.where(take[:, None], place, weights)
        slope = torch.where(take[:, None], push, slope)
        energy = torch.where(take, new_energy, energy)
        if state >= BURN_IN:
            states.append(weights)
            accepted.append(float(take.double().mean()))
    return torch.stack(states), float(np.mean(accepted))


def r_hat(values: Tensor) -> float:
    """Split R-hat of ``states x chains x D``, the largest over D (Gelman and Rubin)."""
    half = len(values) // 2
    split = torch.cat([values[:half], values[half : 2 * half]], dim=1)
    within = split.var(0).mean(0)
    between = split.mean(0).var(0)
    return float(((half - 1) / half + between / within).sqrt().max())


def best_mean_field(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Maximise the ELBO over independent Gaussians: means and sds, ``D`` each."""
    nodes, shares = np.polynomial.hermite_e.hermegauss(60)
    z = torch.tensor(nodes)
    shares = torch.tensor(shares / math.sqrt(2 * math.pi))
    mode, curvature = laplace(features, labels)
    mean = mode.requires_grad_()
    log_sd = (-0.5 * curvature.diagonal().log()).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [mean, log_sd],
        max_iter=2_000,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        variance = (2 * log_sd).exp()
        logits = (features @ mean)[:, None] + (features.square() @ variance).sqrt()[:, None] * z
        fit = (functional.softplus(logits) @ shares).sum() - (features @ mean) @ labels
        value = fit + 0.5 * (mean.square().sum() + variance.sum()) - log_sd.sum()
        value.backward()
        return value

    optimizer.step(loss)
    return mean.detach(), log_sd.detach().exp()


def reference(seed: int) -> dict[str, Any]:
    features, labels = (part.double() for part in logistic_data(seed))
    started = time.perf_counter()
    states, accepted = sample(features, labels, seed)
    seconds = time.perf_counter() - started
    disagreement = max(r_hat(states), r_hat((states - states.mean((0, 1))).square()))
    flat = states.flatten(0, 1)
    mode, _ = laplace(features, labels)
    best_mean, best_sd = best_mean_field(features, labels)
    mean, covariance = flat.mean(0), torch.cov(flat.T)
    skewness = ((flat - mean) / flat.std(0)).pow(3).mean(0)
    print(
        f"seed {seed}: {int(labels.sum())} of {len(labels)} labels are 1, accepted {accepted:.2f}, "
        f"R-hat {disagreement:.4f}, {seconds:.0f} s; mode off the mean by "
        f"{float(((mode - mean) / flat.std(0)).abs().max()):.2f} sds at most, skewness up to "
        f"{float(skewness.abs().max()):.2f}, mean-field sds over marginal ones "
        f"{float((best_sd / flat.std(0)).min()):.2f} to "
        f"{float((best_sd / flat.std(0)).max()):.2f}",
        flush=True,
    )
    if disagreement > 1.002:
        raise SystemExit(f"seed {seed}: the chains disagree, R-hat {disagreement:.4f}")
    vectors = {
        "mean": mean,
        "covariance": covariance,
        "mean_field_mean": best_mean,
        "mean_field_sd": best_sd,
    }
    rounded = {
        name: np.vectorize(lambda x: float(f"{x:.6g}"))(vector.numpy()).tolist()
        for name, vector in vectors.items()
    }
    return {**rounded, "r_hat": round(disagreement, 5)}


def main() -> None:
    torch.set_num_threads(1)
    lines = [f'"{seed}": {json.dumps(reference(seed))}' for seed in SEEDS]
    LOGISTIC_REFERENCE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"wrote {LOGISTIC_REFERENCE}\n{machine()}")


if __name__ == "__main__":
    main()
