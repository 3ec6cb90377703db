r"""Cyclical stochastic-gradient MCMC: a chain that visits several modes.

The run is cut into cycles of C steps. In step k of a cycle the learning rate is

.. math:: \eta_k = \frac{\eta}{2} \Big( \cos \frac{\pi k}{C} + 1 \Big), \qquad k = 0, \dots, C-1 .

In its first part (exploration) a cycle is gradient descent with momentum and no noise: the large
steps leave the mode of the cycle before and find another. In the rest (sampling) it is SGHMC with
the falling step, and its states are the posterior's. All cycles count alike: the weights of
different modes are those with which the descents found them, not their posterior masses.

Source: R. Zhang, C. Li, J. Zhang, C. Chen, A. G. Wilson, "Cyclical Stochastic Gradient MCMC for
Bayesian Deep Learning", arXiv 1902.03932, algorithm 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tsbnn.inference.chains.base import SGMCMC
from tsbnn.inference.chains.sghmc import MomentumChainOptimizer, check_friction
from tsbnn.inference.checks import is_count, is_share, require


@dataclass(frozen=True, kw_only=True)
class CyclicalSGMCMC(SGMCMC):
    r"""Cyclical SGHMC (Zhang et al., 2020); needs ``total_steps``.

    Parameters
    ----------
    cycles
        Number of cycles in the steps after the warm start.
    exploration
        Share of a cycle that is descent without noise, from 0 to below 1.
    friction
        As for :class:`~tsbnn.inference.SGHMC`; 1 is cyclical SGLD.
    learning_rate
        :math:`\eta` at the start of a cycle. The default is for networks with a sharp likelihood;
        raise it to leave modes of gentler targets.
    burn_in
        Share of the steps after the warm start whose cycles are not used; the exploration makes
        one unnecessary.
    burn_in_steps
        Has no use here, since ``total_steps`` is always known: only its default is taken.
    """

    name: ClassVar[str] = "cyclical"
    plans_ahead: ClassVar[bool] = True

    learning_rate: float = 1e-3
    burn_in: float = 0.0
    cycles: int = 4
    exploration: float = 0.8
    friction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(is_count(self.cycles), "cycles", self.cycles, "an integer of at least 1")
        share = self.exploration
        require(is_share(share), "exploration", share, "from 0 to below 1")
        check_friction(self.friction)
        steps, unused = self.burn_in_steps, SGMCMC.burn_in_steps
        require(
            steps == unused, "burn_in_steps", steps, f"left at {unused} under cyclical: use burn_in"
        )

    @property
    def optimizer_class(self) -> type[CyclicalOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return CyclicalOptimizer


class CyclicalOptimizer(MomentumChainOptimizer):
    """Descents and chains in turn."""

    method: CyclicalSGMCMC

    def learning_rate(self) -> float:
        """Return the step size now: the group's ``lr`` times schedule and cycle."""
        share = self._place_in_cycle / self._cycle_length
        return super().learning_rate() * 0.5 * (1.0 + math.cos(math.pi * share))

    @property
    def exploring(self) -> bool:
        """Whether the next step is a descent without noise."""
        return self._place_in_cycle < self._explored

    @property
    def _cycle_length(self) -> int:
        return self.phase_ends["first_cycle"] - self.phase_ends["warm_start"]

    @property
    def _place_in_cycle(self) -> int:
        return self.chain_steps % self._cycle_length

    @property
    def _explored(self) -> int:
        return int(self.method.exploration * self._cycle_length)

    def _plan(self) -> None:
        super()._plan()
        warm, total = self.phase_ends["warm_start"], self.total_steps or 0
        self.phase_ends["first_cycle"] = warm + max(1, -(-(total - warm) // self.method.cycles))

    def _count_states(self, total_steps: int) -> int:
        def before(step: int) -> int:
            cycles, rest = divmod(step - self.phase_ends["warm_start"], self._cycle_length)
            return cycles * (self._cycle_length - self._explored) + max(0, rest - self._explored)

        return before(total_steps) - before(self.phase_ends["burn_in"])

    def _sampling(self) -> bool:
        return super()._sampling() and not self.exploring

    def _move(self, position: Tensor, gradient: Tensor) -> None:
        friction = self.method.friction
        noise_sd = 0.0 if self.exploring else math.sqrt(2.0 * friction * self.noise_level)
        self._glide(position, gradient, friction, noise_sd=noise_sd)
