"""What the best approximations of a Gaussian target are, found without any inference method."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.inference.scenarios import Target


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


def alpha_sds(precision: Tensor, alpha: float) -> Tensor:
    r"""Sds of the independent Gaussians of smallest alpha-divergence, for a Gaussian target.

    At the optimum q has the marginal variances of :math:`p^\alpha q^{1-\alpha}`: for alpha 1 they
    are the posterior's, towards 0 the best mean field's.
    """
    own = precision.diagonal()
    for _ in range(1_000):
        tilted = alpha * precision + (1 - alpha) * torch.diag(own)
        own = torch.linalg.inv(tilted).diagonal().reciprocal()
    return own.rsqrt()


def norm(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))


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
