r"""What all stochastic-gradient MCMC methods share: the chain, its burn-in, the states it keeps.

A chain walks over weight vectors so that, after a while, the time it spends at a place is in
proportion to the target :math:`\pi_T`. With the negative log target per observation,

.. math:: u(\theta) = \mathrm{loss}(\theta) - \tfrac1N \log p(\theta),
          \qquad \pi_T \propto \exp(-N u / T),

all methods here discretise the same Langevin dynamics, and their ``learning_rate`` η means the
same in all: **a constant gradient of u moves the weights by η times the gradient a step**, as in
gradient descent, and the injected noise has the size that belongs to it,

.. math:: \mathrm d\theta = -\nabla u \, \mathrm dt + \sqrt{2T/N}\, \mathrm dW,
          \qquad \mathrm dt = \eta .

Welling and Teh's step size is :math:`\epsilon = 2\eta T/N` in these units. For a curvature k of u
(of order one for standardised inputs, whatever N is) and minibatch gradients of variance V,

- the chain is stable for :math:`\eta k < 2` (with friction below 1 for larger η),
- it forgets where it was after about :math:`1/(\eta k)` steps, and
- it spreads too far, to a variance of about :math:`T/(Nk) \cdot (1 + \eta N V/2T)`. The excess
  is first-order in the step: half the step, half the excess. With a well-specified likelihood
  :math:`V \approx k/B` for B observations a batch, so the excess is small where
  :math:`\eta \ll 2BT/(Nk)`.

So the smallest curvature asks for :math:`1/(\eta k_{\min})` steps and the largest for a small η:
badly scaled inputs cost steps. For a network no budget lets the chain forget its start; it then
explores the neighbourhood that the warm start has found.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.checks import is_count, is_positive, is_share, require
from tsbnn.inference.method import PosteriorMethod, decay
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import SampleSet, normal_


@dataclass(frozen=True, kw_only=True)
class SGMCMC(PosteriorMethod):
    r"""Settings that all chains share.

    Parameters
    ----------
    learning_rate
        η above: the move of the weights for a unit gradient of the loss per observation.
        The default is for networks with a sharp likelihood: with a noise scale of 0.5 % of the
        series the loss has curvatures above 10,000, and 1e-3 is unstable. Targets of curvature
        about 1 want 1e-3 to 1.
    schedule
        Factor of η over the whole run. ``"constant"`` unless there is a reason: with a decaying
        step the late states are near-copies of each other, yet count as much as the early ones.
    warm_start
        Share of ``total_steps`` that first goes to Adam, from ``warm_start_learning_rate`` down to
        0 along a cosine: the chain starts at a mode.
    warm_start_learning_rate
        Adam's step size there (Adam's steps have another scale than η).
    burn_in
        Share of the steps after the warm start whose states are not used, from 0 to below 1.
    burn_in_steps
        Their number where ``total_steps`` is not known.
    num_samples
        How many states are kept at most. Memory: ``num_samples`` weight vectors. They are spread
        evenly over the chain; where ``total_steps`` is not known every state is kept at first,
        and every second one is dropped whenever the memory is full. Mean and variance
        of the posterior are streamed over all states after the burn-in.

    Notes
    -----
    Parameters that ``bayesian_parameters`` leaves out follow the same dynamics without noise.
    Their variance is 0 and every draw of the posterior has their present value.

    Weights that the user puts into the module are the chain's new position: kept states are
    dropped.
    """

    family = "samples"

    learning_rate: float = 1e-5
    schedule: str = "constant"
    warm_start: float = 0.5
    warm_start_learning_rate: float = 5e-3
    burn_in: float = 0.3
    burn_in_steps: int = 1000
    num_samples: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        rate, share, steps = self.warm_start_learning_rate, self.burn_in, self.burn_in_steps
        require(is_positive(rate), "warm_start_learning_rate", rate, "positive")
        require(is_share(share), "burn_in", share, "from 0 to below 1")
        require(steps == 0 or is_count(steps), "burn_in_steps", steps, "an integer of at least 0")
        count = self.num_samples
        require(is_count(count), "num_samples", count, "an integer of at least 1")


class ChainOptimizer(AdamMeanOptimizer):
    """A chain that leaves a :class:`SampleSet`.

    Persistent state beside weights and gradient: the position, the gradient's two moments (Adam's
    in the warm start), the streamed mean and variance, and ``num_samples`` kept vectors.

    Methods implement :meth:`_move` and, where not all steps after the burn-in sample,
    :meth:`_plan`, :meth:`_sampling` and :meth:`_count_states`.
    """

    method: SGMCMC
    posterior: SampleSet

    def __init__(
        self,
        module: nn.Module,
        method: SGMCMC,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        self._plan()
        spacing = 1
        if self.total_steps is not None:
            spacing = max(1, -(-self._count_states(self.total_steps) // method.num_samples))
        self._vector("position").copy_(self.flat.values)
        self.posterior = SampleSet.empty(self.flat.values.clone(), method.num_samples, spacing)

    @property
    def ready(self) -> bool:
        """Whether a state was kept."""
        return self.posterior.count > 0

    @property
    def noise_level(self) -> float:
        """T/N, the temperature on the scale of the mean loss."""
        return self.temperature / self.num_observations

    def _plan(self) -> None:
        """Set the ends of the phases."""
        warm, steps = self.phase_ends["warm_start"], self.method.burn_in_steps
        if self.total_steps is not None:
            steps = int(self.method.burn_in * (self.total_steps - warm))
        self.phase_ends["burn_in"] = warm + steps

    def _count_states(self, total_steps: int) -> int:
        """How many states of a run of ``total_steps`` are the posterior's."""
        return total_steps - self.phase_ends["burn_in"]

    def _sampling(self) -> bool:
        """Whether the state after this step is the posterior's."""
        return self.steps >= self.phase_ends["burn_in"]

    def _move(self, position: Tensor, gradient: Tensor) -> None:
        """Move ``position`` in place; ``gradient`` is that of u there.

        Gradient and weights may be overwritten: nothing of the size of the weights is allocated.
        """
        raise NotImplementedError

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's two moments during the warm start; a chain keeps none."""
        return super().gradient_moments() if self.warming else None

    def _step(self, closure: Closure) -> Tensor:
        position, weights = self._vectors["position"], self.flat.values
        if self.warming:
            loss = self._warm_step(closure, self._warm_rate())
            position.copy_(self.posterior.mean)
            return loss
        weights.copy_(position)
        loss = self._evaluate(closure)
        gradient = self.flat.gradient
        self.prior.add_gradient_(gradient, position, 1.0 / self.num_observations)
        self._move(position, gradient)
        if self._sampling():
            self.posterior.record_(position, scratch=weights)
            self._hold_fixed(position)
        elif self.posterior.num_states == 0:
            self.posterior.mean.copy_(position)
        return loss

    def _warm_rate(self) -> float:
        """Adam's step size now: a cosine over the warm start, times what was done to ``lr``."""
        method = self.method
        factor = float(self.param_groups[0]["lr"]) / method.learning_rate
        factor *= decay("cosine", self.steps, self.phase_ends["warm_start"])
        return method.warm_start_learning_rate * factor

    @property
    def chain_steps(self) -> int:
        """Number of steps since the end of the warm start."""
        return self.steps - self.phase_ends["warm_start"]

    def _noise_(self, out: Tensor) -> Tensor:
        """Draw standard normals into ``out`` (``num_weights``); 0 for deterministic parameters."""
        return self._fix_(normal_(out, self.generator), 0.0)

    def _hold_fixed(self, position: Tensor) -> None:
        """Keep deterministic parameters without spread, at their present value."""
        views = (
            self.flat.views(v) for v in (self.posterior.mean, self.posterior.squares, position)
        )
        for mean, squares, present, is_fixed in zip(*views, self._fixed, strict=True):
            if is_fixed:
                mean.copy_(present)
                squares.zero_()

    def _adopt(self) -> None:
        """Start the chain anew at weights that somebody put into the module."""
        self._follow()
        values = self.flat.values
        if not torch.equal(values, self.posterior.mean):
            self._restart(values)

    def _restart(self, position: Tensor) -> None:
        """Go on from ``position``, and drop what was kept."""
        self._vectors["position"].copy_(position)
        self.posterior.forget_(position)
