"""Independent Gaussians: the family of mean-field variational inference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import VariationalFamily, normal


class MeanFieldGaussian(VariationalFamily):
    r"""Independent Gaussians :math:`q(\theta) = \prod_i \mathcal N(\theta_i; m_i, 1/\lambda_i)`.

    Parameters
    ----------
    mean
        Means :math:`m`, ``num_weights``.
    precision
        Precisions :math:`\lambda = 1/\sigma^2`, ``num_weights``. Infinity makes a weight
        deterministic: it has variance 0, never moves in draws, and is left out of densities.
    """

    family = "mean_field"
    locations: Tensor
    precision: Tensor

    def __init__(self, mean: Tensor, precision: Tensor) -> None:
        super().__init__()
        if mean.ndim != 1 or mean.shape != precision.shape:
            raise ValueError(
                "mean and precision must be vectors of one length, "
                f"not {tuple(mean.shape)} and {tuple(precision.shape)}"
            )
        self.register_buffer("locations", mean)
        self.register_buffer("precision", precision)

    @property
    def mean(self) -> Tensor:
        """Posterior means, ``num_weights``."""
        return self.locations

    @property
    def variance(self) -> Tensor:
        """Marginal variances, ``num_weights``."""
        return self.precision.reciprocal()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` weight vectors: ``n x num_weights``."""
        noise = normal((n, self.num_weights), self.mean, generator)
        return noise.mul_(self.precision.rsqrt()).add_(self.mean)

    def log_prob(self, weights: Tensor) -> Tensor:
        """Log density in nats over the weights that have a spread: ``batch_shape``."""
        free = torch.isfinite(self.precision)
        precision = self.precision[free]
        squares = (weights[..., free] - self.mean[free]).square() * precision
        return -0.5 * (squares - precision.log() + math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy in nats of the weights that have a spread, 0-dim."""
        precision = self.precision[torch.isfinite(self.precision)]
        return 0.5 * (math.log(2 * math.pi * math.e) - precision.log()).sum()

    def score(self, weights: Tensor) -> Tensor:
        r"""Return :math:`-\lambda (\theta - m)`; 0 for weights without a spread."""
        precision = torch.where(torch.isfinite(self.precision), self.precision, 0.0)
        return (self.mean - weights) * precision

    def weighted_norm(self, vectors: Tensor) -> Tensor:
        r"""Return :math:`\sum_i \sigma_i^2 v_i^2`."""
        return (vectors.square() * self.variance).sum(-1)

    def fisher(self) -> dict[str, Tensor]:
        """Return 1 for moves of the mean in sds, a half for changes of the log precision."""
        return {"mean": self.mean.new_tensor(1.0), "log_precision": self.mean.new_tensor(0.5)}

    def coordinates(self) -> dict[str, Tensor]:
        """Return zeros: no move of means, no change of log precisions, ``num_weights`` each."""
        return {name: torch.zeros_like(self.mean) for name in self.fisher()}

    def moved(self, coordinates: Mapping[str, Tensor]) -> Self:
        r"""Return :math:`\mathcal N(m + \sigma a, 1 / (\lambda e^u))`."""
        return type(self)(
            self.mean + self.precision.rsqrt() * coordinates["mean"],
            self.precision * coordinates["log_precision"].exp(),
        )

    def divergence(self, frozen: Self) -> dict[str, Tensor]:
        r"""Split :math:`\tfrac12 \sum_i (\rho_i - 1 - \log \rho_i + \lambda_i \Delta m_i^2)`."""
        free = torch.isfinite(self.precision)
        precision = torch.where(free, self.precision, 1.0)
        ratio = precision / torch.where(free, frozen.precision, 1.0)
        moves = torch.where(free, (self.mean - frozen.mean).square() * precision, 0.0)
        return {"mean": 0.5 * moves, "log_precision": 0.5 * (ratio - 1.0 - ratio.log())}

    @classmethod
    def blank(cls, num_weights: int) -> MeanFieldGaussian:
        """Build a standard normal of the given size."""
        return cls(torch.zeros(num_weights), torch.ones(num_weights))
