"""Gaussians whose covariance is diagonal plus low rank: correlations at a linear price."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import VariationalFamily, normal


class LowRankGaussian(VariationalFamily):
    r"""Gaussian :math:`\mathcal N(m, \operatorname{diag}(d^2) + U U^\top)`.

    Everything costs :math:`O(D r^2)` through the Woodbury identity: with
    :math:`\tilde U = \operatorname{diag}(1/d)\, U` and :math:`M = I_r + \tilde U^\top \tilde U`,

    .. math:: \Sigma^{-1} = \operatorname{diag}(1/d)
              \left( I - \tilde U M^{-1} \tilde U^\top \right) \operatorname{diag}(1/d), \qquad
              \log |\Sigma| = 2 \sum_i \log d_i + \log |M| .

    Parameters
    ----------
    mean
        Means m, ``num_weights``.
    scale
        Standard deviations d of the diagonal part, ``num_weights``. Zero, with a row of zeros in
        the factor, makes a weight deterministic.
    factor
        U, ``num_weights x rank``, in the weights' units.
    """

    family = "low_rank"
    locations: Tensor
    scale: Tensor
    factor: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, factor: Tensor) -> None:
        super().__init__()
        if mean.ndim != 1 or scale.shape != mean.shape or factor.shape[:-1] != mean.shape:
            raise ValueError(
                "mean and scale must be vectors of one length and factor have a row for each of "
                f"their entries, not {tuple(mean.shape)}, {tuple(scale.shape)} and "
                f"{tuple(factor.shape)}"
            )
        self.register_buffer("locations", mean)
        self.register_buffer("scale", scale)
        # Stored column by column: reading one is then as fast as reading a vector.
        self.register_buffer("factor", factor.T.contiguous().T)

    @property
    def mean(self) -> Tensor:
        """Posterior means, ``num_weights``."""
        return self.locations

    @property
    def variance(self) -> Tensor:
        """Marginal variances, ``num_weights``."""
        return self.scale.square() + self.factor.square().sum(-1)

    @property
    def rank(self) -> int:
        """Number of columns of the factor."""
        return self.factor.shape[-1]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` weight vectors: ``n x num_weights``."""
        draws = normal((n, self.num_weights), self.mean, generator).mul_(self.scale)
        latent = normal((n, self.rank), self.mean, generator)
        return draws.addmm_(latent, self.factor.T).add_(self.mean)

    def relative_factor(self) -> Tensor:
        r"""Return :math:`\tilde U`, ``num_weights x rank``; rows of 0 where there is no spread."""
        return self.factor * reciprocal(self.scale).unsqueeze(-1)

    def capacitance(self) -> Tensor:
        """Return M, ``rank x rank``."""
        relative = self.relative_factor()
        return relative.T @ relative + torch.eye(
            self.rank, dtype=relative.dtype, device=relative.device
        )

    def score(self, weights: Tensor) -> Tensor:
        r"""Return :math:`-\Sigma^{-1} (\theta - m)`; 0 for weights without a spread."""
        inverse = reciprocal(self.scale)
        relative = self.factor * inverse.unsqueeze(-1)
        whitened = (self.mean - weights) * inverse
        inner = torch.linalg.solve(self.capacitance(), (whitened @ relative).unsqueeze(-1))
        score: Tensor = (whitened - inner.squeeze(-1) @ relative.T) * inverse
        return score

    def log_prob(self, weights: Tensor) -> Tensor:
        """Log density in nats over the weights that have a spread: ``batch_shape``."""
        squares = ((weights - self.mean) * -self.score(weights)).sum(-1)
        log_density: Tensor = -self.entropy() - 0.5 * (squares - (self.scale > 0).sum())
        return log_density

    def entropy(self) -> Tensor:
        """Differential entropy in nats of the weights that have a spread, 0-dim."""
        free = self.scale > 0
        log_volume = 2 * self.scale[free].log().sum() + torch.logdet(self.capacitance())
        entropy: Tensor = 0.5 * (log_volume + free.sum() * math.log(2 * math.pi * math.e))
        return entropy

    def weighted_norm(self, vectors: Tensor) -> Tensor:
        r"""Return :math:`\sum_i d_i^2 v_i^2 + \| U^\top v \|^2`."""
        return (vectors * self.scale).square().sum(-1) + (vectors @ self.factor).square().sum(-1)

    def fisher(self) -> dict[str, Tensor]:
        r"""Return :math:`\tfrac12 + \tfrac12 \|\tilde U_i\|^2` for u, and 2 for the factor."""
        squares = self.relative_factor().square().sum(-1)
        return {"log_precision": 0.5 + 0.5 * squares, "factor": squares.new_tensor(2.0)}

    def coordinates(self) -> dict[str, Tensor]:
        """Return zeros: ``log_precision`` like the scale, ``factor`` like the factor."""
        return {
            "log_precision": torch.zeros_like(self.scale),
            "factor": torch.zeros_like(self.factor),
        }

    def moved(self, coordinates: Mapping[str, Tensor]) -> Self:
        r"""Return the Gaussian with :math:`d e^{-u/2}` and :math:`\tilde U + A`.

        So u, the change of a log precision, stretches a weight's whole row, and the factor keeps
        its proportion to the diagonal. The means stay.
        """
        scale = self.scale * (-0.5 * coordinates["log_precision"]).exp()
        relative = self.relative_factor() + coordinates["factor"]
        return type(self)(self.mean, scale, relative * scale.unsqueeze(-1))

    def divergence(self, frozen: Self) -> dict[str, Tensor]:
        r"""Bound the divergence of weights and latent factors z together, for equal means.

        With :math:`\theta = m + d \circ (\varepsilon + \tilde U z)`,
        :math:`e^{u_i} = d_{t,i}^2 / d_i^2` and :math:`A = \tilde U - \tilde U_t`,

        .. math:: \mathrm{KL}(q_t(\theta, z) \,\|\, q(\theta, z)) = \tfrac12 \sum_i \left[
                  e^{u_i} - 1 - u_i + \| A_i - (e^{u_i/2} - 1) \tilde U_{t,i} \|^2 \right]

        is at least the divergence of the weights alone, and at most the sum of
        :math:`\tfrac12 (e^{u_i} - 1 - u_i) + (e^{u_i/2} - 1)^2 \| \tilde U_{t,i} \|^2` for u and
        :math:`\| A_i \|^2` for the factor, which is returned.
        """
        free = self.scale > 0
        stretch = torch.where(free, frozen.scale * reciprocal(self.scale), 1.0)
        before = frozen.relative_factor()
        moves = (self.relative_factor() - before).square().sum(-1)
        volume = 0.5 * (stretch.square() - 1.0) - stretch.log()
        return {
            "log_precision": volume + (stretch - 1.0).square() * before.square().sum(-1),
            "factor": moves,
        }

    def sizes(self) -> dict[str, int]:
        """Return the number of weights and the rank."""
        return {"num_weights": self.num_weights, "rank": self.rank}

    @classmethod
    def blank(cls, num_weights: int, rank: int = 1) -> LowRankGaussian:
        """Build a standard normal of the given size."""
        return cls(
            torch.zeros(num_weights), torch.ones(num_weights), torch.zeros(num_weights, rank)
        )


def reciprocal(scale: Tensor) -> Tensor:
    """Return 1/d, and 0 where d is 0."""
    return torch.where(scale > 0, scale, torch.inf).reciprocal()
