"""What every approximate posterior over flat weights offers: moments, draws, densities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from tsbnn.inference.flat import weights_at


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw standard normals of ``like``'s dtype and device from a generator of any device.

    A CPU generator gives the same numbers wherever the weights lie.
    """
    return normal_(like.new_empty(shape), generator)


def normal_(out: Tensor, generator: torch.Generator | None) -> Tensor:
    """Overwrite ``out`` with standard normals, those that :func:`normal` draws; return it."""
    if generator is not None and generator.device.type != out.device.type:
        drawn = torch.empty(out.shape, dtype=out.dtype, device=generator.device)
        return out.copy_(drawn.normal_(generator=generator))
    return out.normal_(generator=generator)


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

    def entropy(self) -> Tensor | None:
        """Differential entropy in nats of the weights that have a spread, 0-dim.

        None where it has no closed form.
        """
        return None

    @contextmanager
    def drawn(
        self, module: nn.Module, generator: torch.Generator | None = None
    ) -> Iterator[nn.Module]:
        """Run ``module`` at one posterior draw, then give it its own weights back."""
        with weights_at(module, self.sample(1, generator)[0]) as placed:
            yield placed

    @property
    def num_atoms(self) -> int | None:
        """How many distinct weight vectors :meth:`sample` can give; None for a density."""
        return None

    def sizes(self) -> dict[str, int]:
        """Return the arguments of :meth:`blank` that give a posterior of these shapes."""
        return {"num_weights": self.num_weights}

    def to_config(self) -> dict[str, Any]:
        """Describe the posterior in JSON terms, its tensors apart; see `posterior_from_config`."""
        return {"family": self.family, **self.sizes()}

    @classmethod
    def blank(cls, num_weights: int) -> Posterior:
        """Build a posterior of this family and size, for ``load_state_dict`` to fill."""
        raise NotImplementedError


class VariationalFamily(Posterior):
    r"""A family that variational methods can fit: it has a score and a divergence.

    Its shape (all but the means) has dimensionless local coordinates x around any member
    :math:`q_t`, zero there, in which the divergence is isotropic to second order,
    :math:`\mathrm{KL}(q_t \,\|\, q) \approx \tfrac12 \sum_j F_j x_j^2` with the
    :math:`F_j` of :meth:`fisher`. Coordinates are dictionaries of tensors whose first dimension is
    ``num_weights``.
    """

    def fisher(self) -> dict[str, Tensor]:
        """Return F for each coordinate: 0-dim, or ``num_weights``."""
        raise NotImplementedError

    def score(self, weights: Tensor) -> Tensor:
        r"""Return :math:`\nabla_\theta \log q` at ``batch_shape x num_weights``, same shape."""
        raise NotImplementedError

    def weighted_norm(self, vectors: Tensor) -> Tensor:
        r"""Return :math:`v^\top \mathrm{Cov}(q)\, v` for each vector: ``batch_shape``."""
        raise NotImplementedError

    def coordinates(self) -> dict[str, Tensor]:
        """Return the local coordinates of this member: zeros."""
        raise NotImplementedError

    def moved(self, coordinates: Mapping[str, Tensor]) -> Self:
        """Return the member at local coordinates, differentiable with respect to them."""
        raise NotImplementedError

    def divergence(self, frozen: Self) -> dict[str, Tensor]:
        r"""Split :math:`\mathrm{KL}(\mathrm{frozen} \,\|\, \mathrm{self})` over the coordinates.

        Families with latent variables give the divergence of the joint distributions, an upper
        bound whose value and gradient vanish at ``frozen`` as those of the exact one do.

        Returns
        -------
        dict of Tensor
            For each coordinate a tensor ``num_weights``, in nats; all add up to the divergence.
        """
        raise NotImplementedError
