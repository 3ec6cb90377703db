"""Posteriors with known answers, shared by the tests and the benchmark of inference methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsbnn.inference import BayesianOptimizer, InferenceMethod
from tsbnn.inference.flat import slots


class Weights(nn.Module):
    """A bare weight vector, started at zero."""

    def __init__(self, num_weights: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_weights, dtype=dtype))


def gather(module: nn.Module) -> Tensor:
    """Copy the trainable weights of ``module`` into a new vector (``num_weights``)."""
    return torch.cat([slot.parameter.detach().reshape(-1) for slot in slots(module)])


@dataclass
class Target:
    """A Gaussian posterior, and minibatch losses (nats per observation) that lead to it.

    ``precision`` (``D x D``) and ``mean`` (``D``) are exact for the prior Normal(0, 1) and the
    given temperature.
    """

    num_observations: int
    precision: Tensor
    mean: Tensor
    losses: Callable[[int], Iterator[Callable[[Tensor], Tensor]]]

    @property
    def mean_field_sd(self) -> Tensor:
        """Standard deviations of the best mean-field approximation, ``D``."""
        return torch.diagonal(self.precision).rsqrt()


def linear_regression(
    num_weights: int,
    num_observations: int,
    seed: int,
    *,
    batch_size: int = 32,
    temperature: float = 1.0,
) -> Target:
    """Conjugate regression with noise sd 1 and feature scales from 0.1 to 3.2, in random order."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(-1.0, 0.5, num_weights)
    scales = scales[torch.randperm(num_weights, generator=generator)]
    features = torch.randn(num_observations, num_weights, generator=generator) * scales
    truth = torch.randn(num_weights, generator=generator)
    labels = features @ truth + torch.randn(num_observations, generator=generator)
    x, y = features.double(), labels.double()
    precision = (x.T @ x + torch.eye(num_weights, dtype=torch.double)) / temperature
    mean = torch.linalg.solve(precision * temperature, x.T @ y)

    def losses(num_batches: int) -> Iterator[Callable[[Tensor], Tensor]]:
        for _ in range(num_batches):
            rows = torch.randint(num_observations, (batch_size,), generator=generator)
            batch, target = features[rows], labels[rows]

            def loss(weights: Tensor, batch: Tensor = batch, target: Tensor = target) -> Tensor:
                residual = target - batch.to(weights) @ weights
                return 0.5 * residual.square().mean()

            yield loss

    return Target(num_observations, precision, mean, losses)


def correlated_gaussian(
    num_weights: int, condition: float, seed: int, *, temperature: float = 1.0
) -> Target:
    """A Gaussian likelihood with eigenvalues from 10 to 10 x condition in a random basis."""
    generator = torch.Generator().manual_seed(seed)
    size = (num_weights, num_weights)
    basis, _ = torch.linalg.qr(torch.randn(size, generator=generator, dtype=torch.double))
    eigenvalues = torch.logspace(1.0, 1.0 + torch.tensor(condition).log10().item(), num_weights)
    likelihood = (basis * eigenvalues.double()) @ basis.T
    centre = torch.randn(num_weights, generator=generator, dtype=torch.double)
    precision = (likelihood + torch.eye(num_weights, dtype=torch.double)) / temperature
    mean = torch.linalg.solve(precision * temperature, likelihood @ centre)
    num_observations = 1000

    def loss(weights: Tensor) -> Tensor:
        offset = weights - centre.to(weights)
        return 0.5 * offset @ (likelihood.to(weights) @ offset) / num_observations

    def losses(num_batches: int) -> Iterator[Callable[[Tensor], Tensor]]:
        for _ in range(num_batches):
            yield loss

    return Target(num_observations, precision, mean, losses)


def infer(
    target: Target,
    method: InferenceMethod,
    num_steps: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> BayesianOptimizer:
    """Run a method in a plain training loop on fresh weights."""
    module = Weights(len(target.mean), dtype)
    optimizer = method.optimizer(
        module,
        num_observations=target.num_observations,
        total_steps=num_steps,
        generator=torch.Generator().manual_seed(1000 + seed),
    )
    for loss in target.losses(num_steps):

        def closure(loss: Callable[[Tensor], Tensor] = loss) -> Tensor:
            optimizer.zero_grad()
            value = loss(module.weights)
            value.backward()
            return value

        optimizer.step(closure)
    optimizer.finalize()
    return optimizer


def sd_ratios(optimizer: BayesianOptimizer, target: Target) -> Tensor:
    """Posterior sds over those of the best mean-field approximation, ``D``."""
    return optimizer.posterior.variance.sqrt().double() / target.mean_field_sd


def mean_errors(optimizer: BayesianOptimizer, target: Target) -> Tensor:
    """Distance of the posterior means from the truth in mean-field sds, ``D``."""
    return (optimizer.posterior.mean.double() - target.mean).abs() / target.mean_field_sd
