"""Weights whose input units are dropped at random: Monte Carlo dropout as a posterior."""

from __future__ import annotations

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import Posterior


class DropoutPosterior(Posterior):
    r"""Weight matrices of which whole columns are missing.

    .. math:: \theta = W \operatorname{diag}(z) / (1-p), \qquad
              z_i \sim \mathrm{Bernoulli}(1-p) \text{ for each input unit of each matrix}.

    The mean is :math:`W` and the variance :math:`W^2 p/(1-p)`. Weights of one unit are dropped
    together, so they are dependent.

    Parameters
    ----------
    weights
        :math:`W` and all other weights, ``num_weights``.
    rate
        :math:`p`, from 0 to below 1, a 0-dim tensor.
    layout
        Where the matrices lie: a row ``offset, outer, units, inner`` for each, integers of shape
        ``num_matrices x 4``. The weights from ``offset`` on, seen as ``outer x units x inner``, are
        dropped along the middle axis.
    """

    family = "dropout"
    locations: Tensor
    rate: Tensor
    layout: Tensor

    def __init__(self, weights: Tensor, rate: Tensor, layout: Tensor) -> None:
        super().__init__()
        if weights.ndim != 1 or layout.ndim != 2 or layout.shape[1] != 4:
            raise ValueError(
                "weights must be a vector and layout of shape num_matrices x 4, "
                f"not {tuple(weights.shape)} and {tuple(layout.shape)}"
            )
        self.register_buffer("locations", weights)
        self.register_buffer("rate", rate)
        self.register_buffer("layout", layout)

    @property
    def mean(self) -> Tensor:
        r""":math:`W`, ``num_weights``."""
        return self.locations

    @property
    def variance(self) -> Tensor:
        """Marginal variances, ``num_weights``; 0 outside the matrices."""
        spread = torch.zeros_like(self.mean)
        odds = self.rate / (1.0 - self.rate)
        for offset, outer, units, inner in self.layout.tolist():
            part = slice(offset, offset + outer * units * inner)
            spread[part] = odds * self.mean[part].square()
        return spread

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` weight vectors, each with masks of its own: ``n x num_weights``."""
        weights = self.mean.repeat(n, 1)
        layout = self.layout.tolist()
        multiply_by_masks_(weights, self.masks(n, generator), layout)
        return weights

    def masks(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw 0 or ``1/(1-p)`` for every unit of every matrix: ``n x num_units``."""
        like = self.mean
        shape = (n, sum(units for _, _, units, _ in self.layout.tolist()))
        device = like.device if generator is None else generator.device
        kept = torch.rand(shape, generator=generator, device=device).to(like.device) >= self.rate
        return kept.to(like.dtype).div_(1.0 - self.rate)

    def log_prob(self, weights: Tensor) -> Tensor:
        """Refuse: masked weights have no density.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            "dropped weights have no density: with probability p they are exactly 0; use a "
            "variational method for log_prob"
        )

    def sizes(self) -> dict[str, int]:
        """Return the number of weights and of matrices."""
        return {"num_weights": self.num_weights, "num_matrices": len(self.layout)}

    @classmethod
    def blank(cls, num_weights: int, num_matrices: int = 0) -> DropoutPosterior:
        """Build weights at zero with empty matrices."""
        layout = torch.zeros(num_matrices, 4, dtype=torch.long)
        return cls(torch.zeros(num_weights), torch.zeros(()), layout)


def multiply_by_masks_(vectors: Tensor, masks: Tensor, layout: list[list[int]]) -> None:
    """Multiply weight-sized vectors by the masks of their units in place.

    Parameters
    ----------
    vectors
        ``n x num_weights``, contiguous.
    masks
        ``n x num_units``.
    layout
        As of :class:`DropoutPosterior`.
    """
    first = 0
    for offset, outer, units, inner in layout:
        part = vectors[:, offset : offset + outer * units * inner]
        blocks = part.view(len(vectors), outer, units, inner)
        blocks.mul_(masks[:, None, first : first + units, None])
        first += units
