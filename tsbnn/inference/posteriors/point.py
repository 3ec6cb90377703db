"""A point mass: what deterministic methods leave."""

from __future__ import annotations

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import Posterior


class PointMass(Posterior):
    """All belief on one weight vector: what a deterministic method leaves.

    Parameters
    ----------
    mean
        The weights, ``num_weights``.
    """

    family = "point"
    locations: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("locations", mean)

    @property
    def mean(self) -> Tensor:
        """The weights, ``num_weights``."""
        return self.locations

    @property
    def variance(self) -> Tensor:
        """Zeros, ``num_weights``."""
        return torch.zeros_like(self.mean)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Repeat the weights ``n`` times: ``n x num_weights``."""
        return self.mean.repeat(n, 1)

    @property
    def num_atoms(self) -> int:
        """One."""
        return 1

    def log_prob(self, weights: Tensor) -> Tensor:
        """Refuse: a point mass has no density.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("a point mass has no density; use a posterior method for log_prob")

    @classmethod
    def blank(cls, num_weights: int) -> PointMass:
        """Build a point mass at zero."""
        return cls(torch.zeros(num_weights))
