r"""Stochastic-gradient Hamiltonian Monte Carlo: Langevin dynamics with momentum.

With the mean negative log posterior u, a friction α in (0, 1], and :math:`h = \sqrt{\alpha\eta}`,

.. math:: r \leftarrow (1 - \alpha)\, r - h\, \nabla u(\theta)
          + \sqrt{2\alpha\, T/N}\; \xi, \qquad \theta \leftarrow \theta + h\, r,

where :math:`\xi \sim \mathcal N(0, I)`. The velocity r has variance about T/N whatever η is, so
schedules may change η at any time. η means what it means for SGLD: a constant gradient moves the
weights by η times the gradient a step; at :math:`\alpha = 1` the two methods are the same. (In the
notation of the paper's equation 15: :math:`v = h r`, learning rate :math:`\alpha\eta`, momentum
decay α.)

On a quadratic u of curvature k with exact gradients the chain's variance is exactly

.. math:: \frac{T}{Nk} \cdot \frac{1}{1 - \alpha\eta k / (2 (2 - \alpha))},

so friction 0.1 leaves about a twentieth of SGLD's discretisation bias at the same η, and is
stable up to :math:`\eta k = 2 (2 - \alpha)/\alpha`. Minibatch noise inflates both alike.

Source: T. Chen, E. Fox, C. Guestrin, "Stochastic Gradient Hamiltonian Monte Carlo",
arXiv 1402.4102.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.chains.base import SGMCMC, ChainOptimizer
from tsbnn.inference.checks import is_positive, require


def check_friction(friction: object) -> None:
    """Refuse a friction outside (0, 1]."""
    fits = is_positive(friction) and friction <= 1
    require(fits, "friction", friction, "above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class SGHMC(SGMCMC):
    r"""Stochastic-gradient Hamiltonian Monte Carlo (Chen, Fox and Guestrin, 2014).

    Parameters
    ----------
    friction
        :math:`\alpha`: the share of the velocity that a step forgets.
    noise_estimate
        Take the minibatch gradients' own variance :math:`\hat V` (measured for each weight, over
        about the last 100 steps) off the injected noise, as the paper's :math:`\hat B`: its
        variance becomes :math:`\alpha (2T/N - \eta \hat V)`, not below 0. Minibatch noise then
        no longer inflates the marginal variances to first order. Its correlations between
        weights are not measured, and movements of the true gradient count as noise, which is
        slight where :math:`\eta k \ll 1`.
    """

    name: ClassVar[str] = "sghmc"

    friction: float = 0.1
    noise_estimate: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_friction(self.friction)
        require(
            isinstance(self.noise_estimate, bool),
            "noise_estimate",
            self.noise_estimate,
            "True or False",
        )

    @property
    def optimizer_class(self) -> type[SGHMCOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return SGHMCOptimizer


class MomentumChainOptimizer(ChainOptimizer):
    """A chain with a velocity: one weight-sized vector more."""

    def __init__(
        self,
        module: nn.Module,
        method: SGMCMC,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        self._vector("velocity")

    def _glide(
        self,
        position: Tensor,
        gradient: Tensor,
        friction: float,
        *,
        noise_sd: float | Tensor,
    ) -> None:
        """Take one step; ``noise_sd`` is that of the velocity's noise (a vector is overwritten)."""
        velocity, step = self._vectors["velocity"], math.sqrt(friction * self.learning_rate())
        velocity.mul_(1.0 - friction).add_(gradient, alpha=-step)
        if isinstance(noise_sd, Tensor):
            velocity.addcmul_(self._noise_(self.flat.values), noise_sd)
        elif noise_sd > 0:
            velocity.add_(self._noise_(self.flat.values), alpha=noise_sd)
        position.add_(velocity, alpha=step)

    def _restart(self, position: Tensor) -> None:
        super()._restart(position)
        self._vectors["velocity"].zero_()


class SGHMCOptimizer(MomentumChainOptimizer):
    """A velocity with friction, gradient and noise."""

    method: SGHMC
    # Weight of the newest gradient in the measurement of its variance.
    VARIANCE_RATE = 0.01

    def _move(self, position: Tensor, gradient: Tensor) -> None:
        friction = self.method.friction
        noise_sd: float | Tensor = math.sqrt(2.0 * friction * self.noise_level)
        if self.method.noise_estimate:
            variance = self._gradient_variance(gradient).mul_(-friction * self.learning_rate())
            noise_sd = variance.add_(2.0 * friction * self.noise_level).clamp_(min=0.0).sqrt_()
        self._glide(position, gradient, friction, noise_sd=noise_sd)

    def _gradient_variance(self, gradient: Tensor) -> Tensor:
        """Return the variance of the gradients before this one, and take this one in."""
        # They were Adam's in the warm start.
        first, second = self._vectors["momentum"], self._vectors["second_moment"]
        if self.chain_steps == 0:
            first.zero_()
            second.zero_()
        weight = 1.0 - (1.0 - self.VARIANCE_RATE) ** max(1, self.chain_steps)
        variance = (second / weight).addcmul_(first, first, value=-1.0 / weight**2)
        first.lerp_(gradient, self.VARIANCE_RATE)
        second.mul_(1.0 - self.VARIANCE_RATE)
        second.addcmul_(gradient, gradient, value=self.VARIANCE_RATE)
        return variance.clamp_(min=0.0)
