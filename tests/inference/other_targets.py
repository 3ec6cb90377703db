"""Posteriors that are not Gaussian: a logistic regression and two modes, with their references."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tests.inference.gaussian_targets import Loss, Target, minibatches

# Moments of the logistic regressions by seed; `python -m benchmarks.logistic_reference` makes it.
LOGISTIC_REFERENCE = Path(__file__).parents[2] / "benchmarks/results/logistic_reference.json"


@dataclass
class LogisticTarget(Target):
    """A logistic regression, its moments by a long full-batch MCMC.

    ``precision`` is the inverse of the posterior's covariance. The best mean-field Gaussian is the
    ELBO's optimum, by one-dimensional quadrature.
    """

    best_mean: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(0))
    best_sd: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(0))

    @property
    def mean_field_mean(self) -> Tensor:
        """Means of the best mean-field Gaussian, ``D``."""
        return self.best_mean

    @property
    def mean_field_sd(self) -> Tensor:
        """Standard deviations of the best mean-field Gaussian, ``D``."""
        return self.best_sd


def logistic_data(seed: int) -> tuple[Tensor, Tensor]:
    """500 labels in {0, 1}, about an eighth of them 1, and 10 correlated features: skewed."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(500, 1, generator=generator)
    features = 0.6 * common + 0.8 * torch.randn(500, 10, generator=generator)
    features[:, 0] = 1.0
    truth = torch.randn(10, generator=generator)
    truth[0] = -4.0
    labels = (torch.rand(500, generator=generator) < (features @ truth).sigmoid()).float()
    return features, labels


def logistic_regression(seed: int, *, batch_size: int = 32) -> LogisticTarget:
    """Bayesian logistic regression, D=10, N=500, in minibatches; seeds of the reference only."""
    reference = json.loads(LOGISTIC_REFERENCE.read_text())
    if str(seed) not in reference:
        raise ValueError(f"seed must be one of {', '.join(reference)}, not {seed}")
    moments = {
        name: torch.tensor(value, dtype=torch.double)
        for name, value in reference[str(seed)].items()
    }
    features, labels = logistic_data(seed)

    def loss(weights: Tensor, batch: Tensor = features, target: Tensor = labels) -> Tensor:
        logits = batch.to(weights) @ weights
        return functional.binary_cross_entropy_with_logits(logits, target.to(weights))

    generator = torch.Generator().manual_seed(seed + 10_000)
    return LogisticTarget(
        num_observations=len(labels),
        precision=torch.linalg.inv(moments["covariance"]),
        mean=moments["mean"],
        losses=minibatches(loss, features, labels, batch_size, generator),
        full=loss,
        batch_size=batch_size,
        data=(features, labels),
        best_mean=moments["mean_field_mean"],
        best_sd=moments["mean_field_sd"],
    )


@dataclass
class TwoModes(Target):
    """A mixture of two Gaussians: ``centres`` and ``sds`` (``2 x D``), ``shares`` (``2``)."""

    centres: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(2, 0))
    sds: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(2, 0))
    shares: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(2))

    def joint(self, weights: Tensor) -> Tensor:
        """Log of share times density of both modes at ``n x D`` weights, in nats: ``n x 2``."""
        sds = self.sds.to(weights)
        z = (weights.unsqueeze(-2) - self.centres.to(weights)) / sds
        normaliser = sds.log().sum(-1) + 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return self.shares.to(weights).log() - normaliser - 0.5 * z.square().sum(-1)

    def found(self, draws: Tensor) -> Tensor:
        """Share of draws (``n x D``) that each mode owns, ``2``."""
        return self.joint(draws).softmax(-1).mean(0)


def two_modes(num_weights: int = 3, seed: int = 0, *, separation: float = 6.0) -> TwoModes:
    """Modes with shares .3 and .7 and sds .2 and .3; ``separation`` in sds of the wider one."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(num_weights, generator=generator, dtype=torch.double)
    direction *= 0.5 * 0.3 * separation / direction.norm()
    centres = torch.stack([direction, -direction])
    sds = torch.tensor([[0.2], [0.3]], dtype=torch.double).expand(2, num_weights).contiguous()
    shares = torch.tensor([0.3, 0.7], dtype=torch.double)
    mean = shares @ centres
    offsets = centres - mean
    covariance = (offsets.T * shares) @ offsets + torch.diag(shares @ sds.square())
    num_observations = 1000

    def loss(weights: Tensor) -> Tensor:
        log_prior = -0.5 * weights.square().sum()
        return (log_prior - target.joint(weights[None]).logsumexp(-1).sum()) / num_observations

    def losses(num_batches: int) -> Iterator[Loss]:
        for _ in range(num_batches):
            yield loss

    precision = torch.linalg.inv(covariance)
    target = TwoModes(
        num_observations, precision, mean, losses, loss, centres=centres, sds=sds, shares=shares
    )
    return target
