"""Mixtures of mean-field Gaussians: several modes, each with its own spread and weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import VariationalFamily, normal
from tsbnn.inference.posteriors.mean_field import MeanFieldGaussian


class MixtureGaussian(VariationalFamily):
    r"""Mixture :math:`q = \sum_k \pi_k\, \mathcal N(m_k, \operatorname{diag}(1/\lambda_k))`.

    Its score is that of the components by responsibility,

    .. math:: \nabla \log q(\theta) = -\sum_k r_k(\theta)\, \lambda_k (\theta - m_k), \qquad
              r_k(\theta) = \pi_k q_k(\theta) / q(\theta),

    which hardly depends on :math:`\pi` where the components lie apart.

    Parameters
    ----------
    means, precisions
        :math:`m` and :math:`\lambda`, ``num_components x num_weights``. Infinite precisions make a
        weight deterministic within its component; densities leave such weights out.
    log_weights
        :math:`\log \pi`, ``num_components``.
    """

    family = "mixture"
    means: Tensor
    precisions: Tensor
    log_weights: Tensor

    def __init__(self, means: Tensor, precisions: Tensor, log_weights: Tensor) -> None:
        super().__init__()
        if means.ndim != 2 or means.shape != precisions.shape or len(log_weights) != len(means):
            raise ValueError(
                "means and precisions must be matrices of one shape with a row for each of the "
                f"weights, not {tuple(means.shape)}, {tuple(precisions.shape)} and "
                f"{tuple(log_weights.shape)}"
            )
        self.register_buffer("means", means)
        self.register_buffer("precisions", precisions)
        self.register_buffer("log_weights", log_weights)

    @property
    def num_components(self) -> int:
        """Number of Gaussians."""
        return len(self.means)

    @property
    def component_weights(self) -> Tensor:
        r""":math:`\pi`, ``num_components``."""
        return self.log_weights.exp()

    @property
    def heaviest(self) -> int:
        """Index of the component with the largest weight."""
        return int(self.log_weights.argmax())

    @property
    def mean(self) -> Tensor:
        """Mean of the whole mixture, ``num_weights``; between the modes, where there are two."""
        return self.component_weights @ self.means

    @property
    def variance(self) -> Tensor:
        """Marginal variances within and between components, ``num_weights``."""
        spread = self.precisions.reciprocal() + (self.means - self.mean).square()
        return self.component_weights @ spread

    def component(self, index: int) -> MeanFieldGaussian:
        """Return one Gaussian, sharing its tensors."""
        return MeanFieldGaussian(self.means[index], self.precisions[index])

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        r"""Draw ``n`` weight vectors: ``n x num_weights``.

        The components' numbers of draws are stratified: :math:`n \pi_k` rounded up or down.
        """
        device = None if generator is None else generator.device
        offset = torch.rand((), generator=generator, device=device).to(self.means)
        positions = (torch.arange(n, device=self.means.device) + offset) / n
        ends = self.component_weights.cumsum(0)
        chosen = torch.searchsorted(ends / ends[-1], positions).clamp_(max=self.num_components - 1)
        order = torch.randperm(n, generator=generator, device=device).to(chosen.device)
        chosen = chosen[order]
        noise = normal((n, self.num_weights), self.means, generator)
        return noise.mul_(self.precisions[chosen].rsqrt()).add_(self.means[chosen])

    def log_densities(self, weights: Tensor) -> Tensor:
        r"""Return :math:`\log \pi_k q_k(\theta)` at ``batch_shape x num_weights``.

        Shape ``batch_shape x num_components``.
        """
        free = torch.isfinite(self.precisions).all(0)
        precisions = self.precisions[:, free]
        squares = (weights[..., None, free] - self.means[:, free]).square() * precisions
        densities = -0.5 * (squares - precisions.log() + math.log(2 * math.pi)).sum(-1)
        return densities + self.log_weights

    def log_prob(self, weights: Tensor) -> Tensor:
        """Log density in nats over the weights that have a spread: ``batch_shape``."""
        return self.log_densities(weights).logsumexp(-1)

    def score(self, weights: Tensor) -> Tensor:
        """Return the components' scores, weighted by their responsibilities."""
        precisions = torch.where(torch.isfinite(self.precisions), self.precisions, 0.0)
        scores = (self.means - weights[..., None, :]) * precisions
        return (self.log_densities(weights).softmax(-1).unsqueeze(-1) * scores).sum(-2)

    def overlap(self, index: int, weights: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return :math:`\log r_k(\theta)` and its gradient for one component.

        :math:`\log q = \log \pi_k q_k - \log r_k`, so :math:`p\, r_k` is what component k has to
        fit: where others already are, it sees less of the target.

        Parameters
        ----------
        index
            k.
        weights
            One vector, ``num_weights``.

        Returns
        -------
        log_responsibility, gradient
            0-dim, and ``num_weights``.
        """
        log_responsibility = self.log_densities(weights).log_softmax(-1)[index]
        return log_responsibility, self.component(index).score(weights) - self.score(weights)

    def weighted_norm(self, vectors: Tensor) -> Tensor:
        """Return the vectors' squares weighted by the variances within components."""
        within = self.component_weights @ self.precisions.reciprocal()
        return (vectors.square() * within).sum(-1)

    def fisher(self) -> dict[str, Tensor]:
        """Return what one Gaussian has, for shares of 1."""
        return self.component(0).fisher()

    def coordinates(self) -> dict[str, Tensor]:
        """Return zeros, ``num_weights x num_components`` each."""
        return {name: torch.zeros_like(self.means.T) for name in self.fisher()}

    def moved(self, coordinates: Mapping[str, Tensor]) -> Self:
        r"""Return the mixture with :math:`m_k + \sigma_k a_k` and :math:`\lambda_k e^{u_k}`."""
        return type(self)(
            self.means + self.precisions.rsqrt() * coordinates["mean"].T,
            self.precisions * coordinates["log_precision"].T.exp(),
            self.log_weights,
        )

    def divergence(self, frozen: Self) -> dict[str, Tensor]:
        r"""Split :math:`\sum_k \pi_k \mathrm{KL}(q_{t,k} \,\|\, q_k)`.

        The divergence of weights and component labels together: at least that of the weights
        alone, and equal to it where the components do not overlap.
        """
        parts = [
            self.component(k).divergence(frozen.component(k)) for k in range(self.num_components)
        ]
        shares = frozen.component_weights
        return {name: torch.stack([part[name] for part in parts], 1) @ shares for name in parts[0]}

    def sizes(self) -> dict[str, int]:
        """Return the number of weights and of components."""
        return {"num_weights": self.num_weights, "num_components": self.num_components}

    @classmethod
    def blank(cls, num_weights: int, num_components: int = 1) -> MixtureGaussian:
        """Build equal standard normals of the given size."""
        shape = (num_components, num_weights)
        uniform = torch.full((num_components,), -math.log(num_components))
        return cls(torch.zeros(shape), torch.ones(shape), uniform)
