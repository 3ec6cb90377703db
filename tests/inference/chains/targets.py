"""Many independent chains at once, for tests of moments: each a block of one module's weights.

The methods act on every weight by itself, so R blocks of D weights, whose losses are added, are R
independent chains of the D-dimensional target.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.inference.scenarios import Weights
from tsbnn.inference import IsotropicPrior
from tsbnn.inference.chains.base import SGMCMC, ChainOptimizer

STANDARD = IsotropicPrior(1.0)
# Loss of the blocks (chains x D), with a source of minibatches: one number a chain.
Losses = Callable[[Tensor, torch.Generator], Tensor]


def run_chains(
    method: SGMCMC,
    losses: Losses,
    shape: tuple[int, int],
    num_observations: int,
    steps: int,
    *,
    start: Tensor | None = None,
    seed: int = 0,
) -> ChainOptimizer:
    """Run ``shape[0]`` chains of ``shape[1]`` weights from ``start`` (or 0)."""
    module = Weights(shape[0] * shape[1])
    if start is not None:
        module.weights.data.view(shape).copy_(start)
    optimizer = method.optimizer(
        module,
        num_observations=num_observations,
        total_steps=steps,
        generator=torch.Generator().manual_seed(1000 + seed),
    )
    minibatches = torch.Generator().manual_seed(seed)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = losses(module.weights.view(shape), minibatches).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    optimizer.finalize()
    return optimizer


def kept_states(optimizer: ChainOptimizer, num_weights: int) -> Tensor:
    """Kept states of all chains together: ``states x num_weights``."""
    return optimizer.posterior.kept.reshape(-1, num_weights).double()


def gaussian(precision: Tensor, num_observations: int) -> Losses:
    """Losses whose posterior under :data:`STANDARD` is Normal(0, precision^-1), without noise."""
    likelihood = precision - torch.eye(len(precision)).to(precision)
    likelihood = likelihood.float() / num_observations

    def losses(weights: Tensor, _: torch.Generator) -> Tensor:
        return 0.5 * ((weights @ likelihood) * weights).sum(1)

    return losses


def correlated_precision(num_weights: int, condition: float, smallest: float = 10.0) -> Tensor:
    """Precision with eigenvalues from ``smallest`` to ``condition`` times that."""
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(num_weights, num_weights, generator=generator).double())
    return (basis * torch.logspace(0, 1, num_weights, base=condition).double() * smallest) @ basis.T


def covariance_error(states: Tensor, precision: Tensor) -> float:
    """Operator norm of the covariance's error over that of the true covariance."""
    truth = torch.linalg.inv(precision)
    error = states.T @ states / len(states) - truth
    return float(torch.linalg.matrix_norm(error, 2) / torch.linalg.matrix_norm(truth, 2))


class Regression:
    """Conjugate regression on standardised features; every chain draws its own minibatches."""

    def __init__(self, num_weights: int, num_observations: int, batch_size: int = 32) -> None:
        generator = torch.Generator().manual_seed(1)
        self.num_observations, self.batch_size = num_observations, batch_size
        self.features = torch.randn(num_observations, num_weights, generator=generator)
        truth = torch.randn(num_weights, generator=generator)
        noise = torch.randn(num_observations, generator=generator)
        self.labels = self.features @ truth + noise
        x, y = self.features.double(), self.labels.double()
        precision = x.T @ x + torch.eye(num_weights).double()
        self.mean = torch.linalg.solve(precision, x.T @ y).float()
        self.variance = torch.linalg.inv(precision).diagonal().float()

    def __call__(self, weights: Tensor, generator: torch.Generator) -> Tensor:
        shape = (len(weights), self.batch_size)
        rows = torch.randint(self.num_observations, shape, generator=generator)
        fitted = torch.einsum("rbd,rd->rb", self.features[rows], weights)
        return 0.5 * (self.labels[rows] - fitted).square().mean(1)

    def variance_excess(self, optimizer: ChainOptimizer) -> float:
        """Mean squared distance of kept states to the posterior mean, over the variance, less 1."""
        states = kept_states(optimizer, len(self.mean))
        return float(((states - self.mean).square().mean(0) / self.variance).mean()) - 1.0
