r"""Stochastic-gradient Langevin dynamics, plain and in RMSprop's metric.

Gradient descent on the mean negative log posterior u with noise added to every step,

.. math:: \theta \leftarrow \theta - \eta G \nabla u(\theta)
          + \sqrt{2 \eta G\, T/N}\; \xi, \qquad \xi \sim \mathcal N(0, I),

with :math:`G = I`, or with a diagonal preconditioner G. See :mod:`tsbnn.inference.chains.base` for
the units of η, burn-in and the states that are kept. On a quadratic u of curvature k with exact
gradients the chain's variance is exactly

.. math:: \frac{T}{Nk} \cdot \frac{1}{1 - \eta k/2} .

Sources: M. Welling, Y. W. Teh, "Bayesian Learning via Stochastic Gradient Langevin Dynamics",
ICML 2011; C. Li, C. Chen, D. Carlson, L. Carin, "Preconditioned Stochastic Gradient Langevin
Dynamics for Deep Neural Networks", arXiv 1512.07666.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tsbnn.inference.chains.base import SGMCMC, ChainOptimizer
from tsbnn.inference.checks import is_positive, is_share, require


@dataclass(frozen=True, kw_only=True)
class SGLD(SGMCMC):
    """Stochastic-gradient Langevin dynamics (Welling and Teh, 2011).

    The settings are those of :class:`~tsbnn.inference.chains.SGMCMC`.
    """

    name: ClassVar[str] = "sgld"

    @property
    def optimizer_class(self) -> type[SGLDOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return SGLDOptimizer


class SGLDOptimizer(ChainOptimizer):
    """A gradient step and a normal draw."""

    def _move(self, position: Tensor, gradient: Tensor) -> None:
        rate = self.learning_rate()
        position.add_(gradient, alpha=-rate)
        size = math.sqrt(2.0 * rate * self.noise_level)
        position.add_(self._noise_(self.flat.values), alpha=size)


@dataclass(frozen=True, kw_only=True)
class PSGLD(SGMCMC):
    r"""SGLD in RMSprop's metric (Li et al., 2016), for weights of very different curvature.

    .. math:: v \leftarrow \beta v + (1 - \beta) (\nabla u)^2, \qquad
              G = \operatorname{diag} \frac{1}{\delta + \sqrt{v}}

    with v from the steps before, so that G and the gradient it multiplies are not correlated
    through their minibatch. v starts at 1 (a chain from a mode has no gradients yet, and must not
    take that for flatness), and the newest of t gradients has the weight :math:`4/(t + 7)`, or
    :math:`1 - \beta` where that is more. η is on RMSprop's scale here: a gradient of its usual
    size moves a weight by η.

    A metric that depends on the position needs the correction :math:`\Gamma = (T/N)\, \nabla \cdot
    G` in its drift, which is left out, as in the paper's own experiments: the chain then stays too
    long where G is small. That bias does not vanish with the step. By default the metric
    therefore adapts in the burn-in only, as an average over about its last quarter; from then on
    it is a constant and no Γ is missing.

    Parameters
    ----------
    smoothing
        :math:`\beta`, from 0 to below 1; only with ``adapts_while_sampling``.
    regularisation
        :math:`\delta`, in units of the gradient: bounds G where gradients vanish.
    adapts_while_sampling
        Go on adapting after the burn-in, as published; that is biased as said above.
    """

    name: ClassVar[str] = "psgld"

    learning_rate: float = 1e-4
    smoothing: float = 0.99
    regularisation: float = 1e-5
    adapts_while_sampling: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        beta, delta, adapts = self.smoothing, self.regularisation, self.adapts_while_sampling
        require(is_share(beta), "smoothing", beta, "from 0 to below 1")
        require(is_positive(delta), "regularisation", delta, "positive")
        require(isinstance(adapts, bool), "adapts_while_sampling", adapts, "True or False")

    @property
    def optimizer_class(self) -> type[PSGLDOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return PSGLDOptimizer


class PSGLDOptimizer(ChainOptimizer):
    """SGLD with the running second moment of the gradient as its metric."""

    method: PSGLD

    def _move(self, position: Tensor, gradient: Tensor) -> None:
        method, rate = self.method, self.learning_rate()
        square = self._vectors["second_moment"]
        if self.chain_steps == 0:
            square.fill_(1.0)
        divisor = torch.sqrt(square, out=self.flat.values).add_(method.regularisation)
        weight = 4.0 / (self.chain_steps + 8)
        if method.adapts_while_sampling:
            weight = max(weight, 1.0 - method.smoothing)
        elif self._sampling():
            weight = 0.0
        if weight > 0:
            square.mul_(1.0 - weight).addcmul_(gradient, gradient, value=weight)
        position.addcdiv_(gradient, divisor, value=-rate)
        size = math.sqrt(2.0 * rate * self.noise_level)
        position.addcdiv_(self._noise_(gradient), divisor.sqrt_(), value=size)
