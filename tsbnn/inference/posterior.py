"""Approximate posteriors over the flat weights of a module: moments, draws, densities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tsbnn.inference.flat import weights_at


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw standard normals of ``like``'s dtype and device from a generator of any device.

    A CPU generator gives the same numbers wherever the weights lie.
    """
    if generator is not None and generator.device.type != like.device.type:
        drawn = torch.randn(shape, dtype=like.dtype, device=generator.device, generator=generator)
        return drawn.to(like.device)
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)


class Posterior(nn.Module):
    """A distribution over the flat weights of a module.

    The weights stand in the order of ``module.parameters()``, frozen parameters left out, tied
    ones once. All state is buffers, so ``state_dict()``, ``load_state_dict()`` and ``to()`` of
    :class:`torch.nn.Module` do what one expects.
    """

    family = ""

    @property
    def mean(self) -> Tensor:
        """Posterior means, ``num_weights``."""
        raise NotImplementedError

    @property
    def variance(self) -> Tensor:
        """Marginal posterior variances, ``num_weights``; 0 where a weight is not Bayesian."""
        raise NotImplementedError

    @property
    def num_weights(self) -> int:
        """Number of weights."""
        return self.mean.numel()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` weight vectors: ``n x num_weights``."""
        raise NotImplementedError

    def log_prob(self, weights: Tensor) -> Tensor:
        """Log density in nats of weight vectors ``batch_shape x num_weights``: ``batch_shape``."""
        raise NotImplementedError

    @contextmanager
    def drawn(
        self, module: nn.Module, generator: torch.Generator | None = None
    ) -> Iterator[nn.Module]:
        """Run ``module`` at one posterior draw, then give it its own weights back."""
        with weights_at(module, self.sample(1, generator)[0]) as placed:
            yield placed

    def to_config(self) -> dict[str, Any]:
        """Describe the posterior in JSON terms, its tensors apart; see `posterior_from_config`."""
        return {"family": self.family, "num_weights": self.num_weights}

    @classmethod
    def blank(cls, num_weights: int) -> Posterior:
        """Build a posterior of this family and size, for ``load_state_dict`` to fill."""
        raise NotImplementedError


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


FAMILIES: dict[str, type[Posterior]] = {cls.family: cls for cls in (MeanFieldGaussian, PointMass)}


def posterior_from_config(config: Mapping[str, Any]) -> Posterior:
    """Build the empty posterior that :meth:`Posterior.to_config` described.

    Raises
    ------
    ValueError
        For an unknown family.
    """
    family = config.get("family")
    if family not in FAMILIES:
        raise ValueError(f"unknown posterior family {family!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[family].blank(int(config["num_weights"]))
