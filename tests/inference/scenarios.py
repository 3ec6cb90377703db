"""Posteriors with known answers, shared by the tests and the benchmark of inference methods."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.inference.gaussian_targets import (
    Loss,
    Target,
    correlated_gaussian,
    gaussian,
    linear_regression,
    low_rank_gaussian,
    without_noise,
)
from tests.inference.other_targets import (
    LogisticTarget,
    TwoModes,
    logistic_regression,
    two_modes,
)
from tsbnn.inference import BayesianOptimizer, InferenceMethod
from tsbnn.inference.flat import slots
from tsbnn.inference.posteriors import MeanFieldGaussian, Posterior

__all__ = [
    "LogisticTarget",
    "Target",
    "TwoModes",
    "Weights",
    "correlated_gaussian",
    "covariance",
    "covariance_error",
    "gather",
    "gaussian",
    "infer",
    "linear_regression",
    "logistic_regression",
    "low_rank_gaussian",
    "mean_errors",
    "sd_ratios",
    "two_modes",
    "without_noise",
]


class Weights(nn.Module):
    """A bare weight vector, started at zero."""

    def __init__(self, num_weights: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_weights, dtype=dtype))


def gather(module: nn.Module) -> Tensor:
    """Copy the trainable weights of ``module`` into a new vector (``num_weights``)."""
    return torch.cat([slot.parameter.detach().reshape(-1) for slot in slots(module)])


def closure_of(optimizer: BayesianOptimizer, module: Weights, loss: Loss) -> Callable[[], Tensor]:
    """Make what an optimizer's step calls of the loss of one minibatch."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(module.weights)
        value.backward()
        return value

    return closure


def infer(
    target: Target,
    method: InferenceMethod,
    num_steps: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    start: Tensor | None = None,
) -> BayesianOptimizer:
    """Run a method in a plain training loop on fresh weights (or from ``start``, ``D``).

    A method with a last pass gets further minibatches for it.
    """
    module = Weights(len(target.mean), dtype)
    if start is not None:
        module.weights.data.copy_(start)
    optimizer = method.optimizer(
        module,
        num_observations=target.num_observations,
        total_steps=num_steps,
        generator=torch.Generator().manual_seed(1000 + seed),
    )
    for loss in target.losses(num_steps):
        optimizer.step(closure_of(optimizer, module, loss))
    closures = [closure_of(optimizer, module, loss) for loss in target.losses(method.last_pass)]
    optimizer.finalize(closures or None, target.batch_size if closures else None)
    return optimizer


def sd_ratios(optimizer: BayesianOptimizer, target: Target) -> Tensor:
    """Posterior sds over those of the best mean-field approximation, ``D``."""
    return optimizer.posterior.variance.sqrt().double() / target.mean_field_sd


def mean_errors(optimizer: BayesianOptimizer, target: Target) -> Tensor:
    """Distance of the posterior means from the truth in mean-field sds, ``D``."""
    distance = optimizer.posterior.mean.double() - target.mean_field_mean
    return distance.abs() / target.mean_field_sd


def covariance(posterior: Posterior, draws: int = 100_000) -> Tensor:
    """Covariance of a posterior, ``D x D``: as it says, of all its atoms, or of many draws."""
    known = getattr(posterior, "covariance", None)
    if known is not None:
        return known.double()
    if isinstance(posterior, MeanFieldGaussian):
        return torch.diag(posterior.variance.double())
    count = draws if posterior.num_atoms is None else posterior.num_atoms
    generator = torch.Generator().manual_seed(0)
    return torch.cov(posterior.sample(count, generator).double().T)


def covariance_error(posterior: Posterior, target: Target) -> float:
    """Operator norm of the covariance's error, over that of the true covariance."""
    error = covariance(posterior) - target.covariance
    size = torch.linalg.matrix_norm(target.covariance, 2)
    return float(torch.linalg.matrix_norm(error, 2) / size)
