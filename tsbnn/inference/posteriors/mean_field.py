"""Independent Gaussians: the family of mean-field variational inference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import Posterior, normal


class MeanFieldGaussian(Posterior):
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

    @classmethod
    def blank(cls, num_weights: int) -> MeanFieldGaussian:
        """Build a standard normal of the given size."""
        return cls(torch.zeros(num_weights), torch.ones(num_weights))
