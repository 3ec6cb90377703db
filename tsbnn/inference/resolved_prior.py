r"""The exact prior terms of inference, for the flat weights of one module.

Independent Gaussians add

.. math:: \nabla \log p(\theta) = -\frac{\theta - m_0}{s_0^2}, \qquad
          -\nabla^2 \log p(\theta) = \frac{1}{s_0^2} .

One number stands for a whole parameter, so a prior costs no weight-sized memory (except
:class:`~tsbnn.inference.CentredPrior`: one vector of means and one of precisions).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tsbnn.inference.flat import Slot


class ResolvedPrior:
    """Prior means and precisions of every weight of one module, one number a parameter if possible.

    Parameters
    ----------
    moments
        Mean and standard deviation for each parameter: floats or vectors (``slot.size``).
    places
        The parameters.
    like
        A tensor of the weights' dtype and device.
    """

    def __init__(
        self,
        moments: list[tuple[float | Tensor, float | Tensor]],
        places: list[Slot],
        like: Tensor,
    ) -> None:
        self.sizes = [slot.size for slot in places]
        # Each a 0-dim tensor or a vector (slot.size): both broadcast to the parameter.
        self.means = [torch.as_tensor(mean).to(like) for mean, _ in moments]
        self.precisions = [torch.as_tensor(scale).to(like).pow(-2) for _, scale in moments]
        self._centred = [bool(mean.any()) for mean in self.means]

    def to(self, like: Tensor) -> None:
        """Follow the weights to the dtype and device of ``like``."""
        self.means = [mean.to(like) for mean in self.means]
        self.precisions = [precision.to(like) for precision in self.precisions]

    def add_gradient_(self, gradient: Tensor, weights: Tensor, factor: float) -> None:
        r"""Add ``factor`` times :math:`-\nabla \log p = (\theta - m_0)/s_0^2` to ``gradient``.

        All vectors are ``num_weights`` long.
        """
        self.add_precision_(gradient, factor, times=weights)
        parts = zip(
            torch.split(gradient, self.sizes),
            self.means,
            self.precisions,
            self._centred,
            strict=True,
        )
        for part, mean, precision, centred in parts:
            if centred:
                part.addcmul_(mean, precision, value=-factor)

    def add_precision_(self, vector: Tensor, factor: float, times: Tensor | None = None) -> None:
        """Add ``factor * precision * times`` to ``vector``; ``times`` is one where not given."""
        parts = torch.split(vector, self.sizes)
        if times is None:
            for part, precision in zip(parts, self.precisions, strict=True):
                part.add_(precision, alpha=factor)
            return
        for part, precision, weight in zip(
            parts, self.precisions, torch.split(times, self.sizes), strict=True
        ):
            part.addcmul_(weight, precision, value=factor)

    def add_mean_(self, vector: Tensor, factor: float) -> None:
        """Add ``factor`` times the prior means to ``vector`` (``num_weights``) in place."""
        for part, mean in zip(torch.split(vector, self.sizes), self.means, strict=True):
            part.add_(mean, alpha=factor)

    def multiply_by_scale_(self, vector: Tensor) -> None:
        """Multiply ``vector`` (``num_weights``) by the prior standard deviations in place."""
        for part, precision in zip(torch.split(vector, self.sizes), self.precisions, strict=True):
            part.mul_(precision.rsqrt())

    def expected_log_density(self, mean: Tensor, variance: Tensor) -> Tensor:
        r"""Return :math:`\mathbb E \log p(\theta)` in nats under given moments, 0-dim.

        Parameters
        ----------
        mean, variance
            Moments of the weights, ``num_weights``.
        """
        total = mean.new_zeros(())
        for part, spread, centre, precision in zip(
            torch.split(mean, self.sizes),
            torch.split(variance, self.sizes),
            self.means,
            self.precisions,
            strict=True,
        ):
            squares = ((part - centre).square() + spread) * precision
            constant = precision.log().sum() * (part.numel() / precision.numel())
            total = total - 0.5 * (squares.sum() - constant)
        return total - 0.5 * mean.numel() * math.log(2 * math.pi)
