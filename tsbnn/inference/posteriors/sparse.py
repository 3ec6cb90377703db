"""Independent Gaussians on a few active weights, all others exactly zero; stored for those few."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import Posterior, normal


class SparseGaussian(Posterior):
    r"""A mean-field Gaussian on a subspace: :math:`\theta_i = 0` wherever i is not active.

    .. math:: q(\theta) = \prod_{i \in \mathcal A} \mathcal N(\theta_i; m_i, 1/\lambda_i)
              \prod_{i \notin \mathcal A} \delta_0(\theta_i)

    Moments and draws are dense vectors (``num_weights``), made when asked for; what is kept has
    the length of the active set.

    Parameters
    ----------
    num_weights
        Number of weights, active or not.
    index
        Positions of the active weights, ``num_active``; integers, each once.
    mean, precision
        Means and precisions of the active weights, ``num_active``. An infinite precision makes a
        weight deterministic: it has variance 0 and is left out of densities.

    Raises
    ------
    ValueError
        If the three vectors differ in length or an index does not fit.
    """

    family = "sparse"
    index: Tensor
    locations: Tensor
    precision: Tensor

    def __init__(self, num_weights: int, index: Tensor, mean: Tensor, precision: Tensor) -> None:
        super().__init__()
        if mean.ndim != 1 or not mean.shape == precision.shape == index.shape:
            raise ValueError(
                "index, mean and precision must be vectors of one length, not "
                f"{tuple(index.shape)}, {tuple(mean.shape)} and {tuple(precision.shape)}"
            )
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < num_weights:
            raise ValueError(
                f"indices must lie from 0 to {num_weights - 1}, not from {int(index.min())} to "
                f"{int(index.max())}"
            )
        self._num_weights = num_weights
        self.register_buffer("index", index)
        self.register_buffer("locations", mean)
        self.register_buffer("precision", precision)

    @property
    def num_weights(self) -> int:
        """Number of weights, active or not."""
        return self._num_weights

    @property
    def num_active(self) -> int:
        """Number of active weights."""
        return self.index.numel()

    @property
    def active(self) -> Tensor:
        """Which weights are active: booleans, ``num_weights``."""
        return self.dense(torch.ones_like(self.index, dtype=torch.bool))

    @property
    def mean(self) -> Tensor:
        """Posterior means, ``num_weights``: a new vector each time."""
        return self.dense(self.locations)

    @property
    def variance(self) -> Tensor:
        """Marginal variances, ``num_weights``: a new vector each time; 0 where not active."""
        return self.dense(self.precision.reciprocal())

    def dense(self, values: Tensor) -> Tensor:
        """Spread values of the active weights (``... x num_active``) over all (zero elsewhere)."""
        spread = values.new_zeros((*values.shape[:-1], self.num_weights))
        return spread.scatter_(-1, self.index.expand(values.shape), values)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` weight vectors: ``n x num_weights``."""
        noise = normal((n, self.num_active), self.locations, generator)
        return self.dense(noise.mul_(self.precision.rsqrt()).add_(self.locations))

    def log_prob(self, weights: Tensor) -> Tensor:
        """Log density in nats over the active weights that have a spread: ``batch_shape``.

        The density is that on the subspace; what ``weights`` holds elsewhere is not looked at.
        """
        free = torch.isfinite(self.precision)
        precision, index = self.precision[free], self.index[free].long()
        squares = (weights[..., index] - self.locations[free]).square() * precision
        return -0.5 * (squares - precision.log() + math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy in nats of the active weights that have a spread, 0-dim."""
        precision = self.precision[torch.isfinite(self.precision)]
        return 0.5 * (math.log(2 * math.pi * math.e) - precision.log()).sum()

    def sizes(self) -> dict[str, int]:
        """Return the arguments of :meth:`blank` that give a posterior of these shapes."""
        return {"num_weights": self.num_weights, "num_active": self.num_active}

    @classmethod
    def blank(cls, num_weights: int, num_active: int = 0) -> SparseGaussian:
        """Build standard normals on the first ``num_active`` weights."""
        index = torch.arange(num_active, dtype=index_dtype(num_weights))
        return cls(num_weights, index, torch.zeros(num_active), torch.ones(num_active))


def index_dtype(num_weights: int) -> torch.dtype:
    """Return the smaller of the two integer types that can count ``num_weights``."""
    return torch.int32 if num_weights < 2**31 else torch.int64
