"""A Gaussian with a full covariance: exact for Gaussian targets, and for few weights only."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import Posterior, normal


class FullGaussian(Posterior):
    r"""A Gaussian :math:`q(\theta) = \mathcal N(\theta; m, L L^\top)` over all or some weights.

    Parameters
    ----------
    mean
        Means :math:`m`, ``num_weights``.
    scale_tril
        Cholesky factor :math:`L` of the covariance, lower triangular with a positive diagonal:
        ``num_free x num_free``.
    index
        Places of the weights that have a spread, ``num_free`` distinct integers; by default all.
        The others are deterministic: variance 0, the same in all draws, left out of densities.
    """

    family = "full"
    locations: Tensor
    scale_tril: Tensor
    index: Tensor

    def __init__(self, mean: Tensor, scale_tril: Tensor, index: Tensor | None = None) -> None:
        super().__init__()
        if index is None:
            index = torch.arange(mean.numel(), device=mean.device)
        if mean.ndim != 1 or index.ndim != 1 or scale_tril.shape != (len(index), len(index)):
            raise ValueError(
                "mean and index must be vectors and scale_tril a square matrix as long as index, "
                f"not of shapes {tuple(mean.shape)}, {tuple(index.shape)} and "
                f"{tuple(scale_tril.shape)}"
            )
        self.register_buffer("locations", mean)
        self.register_buffer("scale_tril", scale_tril)
        self.register_buffer("index", index)

    @property
    def mean(self) -> Tensor:
        """Posterior means, ``num_weights``."""
        return self.locations

    @property
    def variance(self) -> Tensor:
        """Marginal variances, ``num_weights``."""
        variance = torch.zeros_like(self.mean)
        variance[self.index] = self.scale_tril.square().sum(1)
        return variance

    @property
    def covariance(self) -> Tensor:
        """Covariance of the weights that have a spread, ``num_free x num_free``."""
        return self.scale_tril @ self.scale_tril.T

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` weight vectors: ``n x num_weights``."""
        noise = normal((n, len(self.index)), self.mean, generator)
        draws = self.mean.repeat(n, 1)
        draws[:, self.index] += noise @ self.scale_tril.T
        return draws

    def log_prob(self, weights: Tensor) -> Tensor:
        """Log density in nats over the weights that have a spread: ``batch_shape``."""
        offset = (weights[..., self.index] - self.mean[self.index]).unsqueeze(-1)
        solved: Tensor = torch.linalg.solve_triangular(self.scale_tril, offset, upper=False)
        standard = solved.squeeze(-1)
        volume = self.scale_tril.diagonal().log().sum()
        constant = 0.5 * len(self.index) * math.log(2 * math.pi)
        return standard.square().sum(-1).mul(-0.5) - volume - constant

    def entropy(self) -> Tensor:
        """Differential entropy in nats of the weights that have a spread, 0-dim."""
        volume = self.scale_tril.diagonal().log().sum()
        return volume + 0.5 * len(self.index) * (1.0 + math.log(2 * math.pi))

    def sizes(self) -> dict[str, int]:
        """Return the number of weights, and of those that have a spread."""
        return {"num_weights": self.num_weights, "num_free": len(self.index)}

    @classmethod
    def blank(cls, num_weights: int, num_free: int | None = None) -> FullGaussian:
        """Build a standard normal over the first ``num_free`` weights (by default all)."""
        free = num_weights if num_free is None else num_free
        return cls(torch.zeros(num_weights), torch.eye(free), torch.arange(free))
