"""Gaussian posteriors with exact moments, and minibatch losses that lead to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]


@dataclass
class Target:
    """A Gaussian posterior, and minibatch losses (nats per observation) that lead to it.

    ``precision`` (``D x D``) and ``mean`` (``D``) are exact for the prior Normal(0, 1) and the
    given temperature; ``full`` is the loss over all observations. ``batch_size`` says how many of
    them the losses of minibatches average over, where there are observations; these are ``data``,
    features and labels, and ``full`` takes some of them instead of all.
    """

    num_observations: int
    precision: Tensor
    mean: Tensor
    losses: Callable[[int], Iterator[Loss]]
    full: Callable[..., Tensor] | None = None
    batch_size: int | None = None
    data: tuple[Tensor, Tensor] | None = None

    @property
    def covariance(self) -> Tensor:
        """Covariance of the posterior itself, ``D x D``."""
        return torch.linalg.inv(self.precision)

    @property
    def mean_field_mean(self) -> Tensor:
        """Means of the best mean-field approximation, ``D``."""
        return self.mean

    @property
    def mean_field_sd(self) -> Tensor:
        """Standard deviations of the best mean-field approximation, ``D``."""
        return torch.diagonal(self.precision).rsqrt()


def without_noise(target: Target) -> Target:
    """Let every minibatch be all observations."""

    def losses(num_batches: int) -> Iterator[Loss]:
        assert target.full is not None
        for _ in range(num_batches):
            yield target.full

    return dataclasses.replace(target, losses=losses)


def linear_regression(
    num_weights: int,
    num_observations: int,
    seed: int,
    *,
    batch_size: int = 32,
    temperature: float = 1.0,
    standardised: bool = False,
) -> Target:
    """Conjugate regression with noise sd 1 and feature scales from 0.1 to 3.2, in random order.

    Standardised features have scale 1.
    """
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(-1.0, 0.5, num_weights)
    scales = scales[torch.randperm(num_weights, generator=generator)]
    if standardised:
        scales = torch.ones(num_weights)
    features = torch.randn(num_observations, num_weights, generator=generator) * scales
    truth = torch.randn(num_weights, generator=generator)
    labels = features @ truth + torch.randn(num_observations, generator=generator)
    x, y = features.double(), labels.double()
    precision = (x.T @ x + torch.eye(num_weights, dtype=torch.double)) / temperature
    mean = torch.linalg.solve(precision * temperature, x.T @ y)

    def loss(weights: Tensor, batch: Tensor = features, target: Tensor = labels) -> Tensor:
        residual = target.to(weights) - batch.to(weights) @ weights
        return 0.5 * residual.square().mean()

    losses = minibatches(loss, features, labels, batch_size, generator)
    data = (features, labels)
    return Target(num_observations, precision, mean, losses, loss, batch_size, data)


def minibatches(
    loss: Callable[..., Tensor],
    features: Tensor,
    labels: Tensor,
    batch_size: int,
    generator: torch.Generator,
) -> Callable[[int], Iterator[Loss]]:
    """Cut minibatches, drawn with replacement, for a loss of weights, features and labels."""

    def losses(num_batches: int) -> Iterator[Loss]:
        for _ in range(num_batches):
            rows = torch.randint(len(labels), (batch_size,), generator=generator)
            batch, target = features[rows], labels[rows]
            yield lambda weights, batch=batch, target=target: loss(weights, batch, target)

    return losses


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
    return gaussian(likelihood, centre, temperature)


def low_rank_gaussian(num_weights: int, rank: int, seed: int) -> Target:
    """A posterior whose covariance is a diagonal plus one of the given rank, exactly.

    Marginal sds lie between 0.1 and 0.5; most of the variance is in the low-rank part.
    """
    generator = torch.Generator().manual_seed(seed)
    scale = 0.1 + 0.1 * torch.rand(num_weights, generator=generator, dtype=torch.double)
    factor = torch.randn(num_weights, rank, generator=generator, dtype=torch.double)
    factor *= 0.3 / factor.norm(dim=1, keepdim=True)
    eye = torch.eye(num_weights, dtype=torch.double)
    covariance = torch.diag(scale.square()) + factor @ factor.T
    # All covariances of this form are below the prior's as long as their largest eigenvalue is.
    covariance *= min(1.0, 0.5 / float(torch.linalg.eigvalsh(covariance)[-1]))
    likelihood = torch.linalg.inv(covariance) - eye
    centre = torch.randn(num_weights, generator=generator, dtype=torch.double)
    return gaussian(likelihood, centre)


def gaussian(likelihood: Tensor, centre: Tensor, temperature: float = 1.0) -> Target:
    """A Gaussian likelihood of precision ``likelihood`` (``D x D``) at ``centre`` (``D``)."""
    eye = torch.eye(len(centre), dtype=torch.double)
    precision = (likelihood + eye) / temperature
    mean = torch.linalg.solve(precision * temperature, likelihood @ centre)
    num_observations = 1000

    def loss(weights: Tensor) -> Tensor:
        offset = weights - centre.to(weights)
        return 0.5 * offset @ (likelihood.to(weights) @ offset) / num_observations

    def losses(num_batches: int) -> Iterator[Loss]:
        for _ in range(num_batches):
            yield loss

    return Target(num_observations, precision, mean, losses, loss)
