r"""Sparse subspace variational inference: a posterior on few weights, trained sparse throughout.

The posterior is a mean-field Gaussian on the active weights and exactly zero elsewhere,

.. math:: q(\theta) = \prod_{i \in \mathcal A} \mathcal N(\theta_i; m_i, \sigma_i^2)
          \prod_{i \notin \mathcal A} \delta_0(\theta_i), \qquad |\mathcal A| \text{ fixed from the
          first step,}

and two things alternate: steps on the ELBO of the active weights (:mod:`tsbnn.inference.elbo`),
and swaps in each parameter, which drop the active weights of the smallest signal-to-noise ratio
:math:`|m_i| / \sigma_i` and take in as many inactive ones of the largest
:math:`|\partial L / \partial m_i|`.

Source: J. Li, Z. Miao, Q. Qiu, R. Zhang, "Training Bayesian Neural Networks with Sparse Subspace
Variational Inference", arXiv 2402.11025; the decay of the swaps as in U. Evci et al.,
arXiv 1911.11134.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import BETA2, adam_step_
from tsbnn.inference.checks import are_texts, is_count, is_positive, require
from tsbnn.inference.method import PosteriorMethod
from tsbnn.inference.optimizer import BayesianOptimizer, Closure
from tsbnn.inference.posteriors import SparseGaussian, normal
from tsbnn.inference.priors import match_names
from tsbnn.inference.sparse.sparsity import LAYOUTS, SparsityReport, active_counts, report_on
from tsbnn.inference.sparse.weights import SparseWeights, restricted

KERNELS = ("dense", "sparse")
MOMENTS = ("momentum", "second_moment", "scale_momentum", "scale_second_moment")


@dataclass(frozen=True, kw_only=True)
class SparseSubspaceVI(PosteriorMethod):
    r"""Mean-field VI on a subspace of few active weights that moves while it is trained.

    State has the length of the active set: means, precisions, their moments and the gradient. A
    dense gradient exists for one parameter at a time.

    Parameters
    ----------
    density
        Share of the weights that is active, over all parameters that are not kept dense.
    layout
        How the active weights are shared out: ``"erdos_renyi"`` (small parameters denser) or
        ``"uniform"``; see :func:`~tsbnn.inference.sparse.sparsity.active_counts`.
    dense_parameters
        Shell-style patterns over parameter names; these parameters keep all their weights.
        One-dimensional parameters (biases, gains) and those without a spread
        (``bayesian_parameters``) always do.
    keep_norm
        Whether the weights that are active at first are scaled up until each matrix has its old
        sum of squares, so that signals of a fresh network keep their size; False leaves them.
    swap_fraction
        Share of a parameter's active weights that the first swap exchanges; falls to 0 by a cosine.
    swap_every
        Steps between two swaps.
    swap_until
        Share of ``total_steps`` after which the active set stays as it is.
    learning_rate, scale_learning_rate
        Adam's step sizes for the means and for :math:`\log \sigma`.
    initial_scale
        σ at the start and of weights newly taken in, in prior standard deviations.
    kernels
        ``"dense"``: layers compute with their dense weight, zeros included. ``"sparse"``: plain
        ``nn.Linear`` layers compute with the active weights alone, forward and backward, and store
        no dense weight from the first step until ``finalize``; other layers stay dense.
    """

    name: ClassVar[str] = "ssvi"
    plans_ahead: ClassVar[bool] = True
    family = "sparse"

    learning_rate: float = 2e-2
    warm_start: float = 0.5
    density: float = 0.1
    layout: str = "erdos_renyi"
    dense_parameters: tuple[str, ...] = ()
    keep_norm: bool = True
    swap_fraction: float = 0.3
    swap_every: int = 10
    swap_until: float = 0.75
    scale_learning_rate: float = 3e-2
    initial_scale: float = 1e-2
    kernels: str = "dense"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scale_learning_rate", "initial_scale"):
            require(is_positive(getattr(self, name)), name, getattr(self, name), "positive")
        for name in ("density", "swap_until"):
            value = getattr(self, name)
            require(is_positive(value) and value <= 1, name, value, "above 0 and at most 1")
        share, steps, keep = self.swap_fraction, self.swap_every, self.keep_norm
        within = share == 0 or (is_positive(share) and share <= 1)
        require(within, "swap_fraction", share, "from 0 to 1")
        require(is_count(steps), "swap_every", steps, "an integer of at least 1")
        require(isinstance(keep, bool), "keep_norm", keep, "True or False")
        require(self.layout in LAYOUTS, "layout", self.layout, f"one of {', '.join(LAYOUTS)}")
        require(self.kernels in KERNELS, "kernels", self.kernels, f"one of {', '.join(KERNELS)}")
        named = self.dense_parameters
        require(are_texts(named), "dense_parameters", named, "a tuple of name patterns")

    @property
    def optimizer_class(self) -> type[SparseSubspaceOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return SparseSubspaceOptimizer


class SparseSubspaceOptimizer(BayesianOptimizer):
    """ELBO steps on the active weights, and swaps of active for inactive ones.

    Persistent state beside the module's weights: nine vectors of active length (index, mean,
    precision, weights drawn, gradient, and two moments each of mean and log-sd).
    """

    method: SparseSubspaceVI
    posterior: SparseGaussian
    flat: SparseWeights

    def __init__(
        self,
        module: nn.Module,
        method: SparseSubspaceVI,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        places = self.flat.slots
        named = match_names(list(method.dense_parameters), places)
        dense = [
            len(place.shape) < 2 or chosen or fixed
            for place, chosen, fixed in zip(places, named, self._fixed, strict=True)
        ]
        counts = active_counts(places, dense, method.density, method.layout)
        active = sum(c for c, fixed in zip(counts, self._fixed, strict=True) if not fixed)
        self.temperature = method.target_temperature(self.num_observations, active)
        sparse = method.kernels == "sparse"
        self.flat = SparseWeights(module, places, counts, sparse, method.keep_norm)
        self.active_prior = restricted(self.prior, self.flat.positions())
        precision, mean = self._initial_precision(), self.flat.values.clone()
        self._fix_(precision, torch.inf)
        self.posterior = SparseGaussian(self.flat.num_weights, self.flat.index, mean, precision)
        for name in MOMENTS:
            self._vector(name)
        self.phase_ends["swaps"] = int(method.swap_until * cast(int, self.total_steps))

    def _initial_precision(self) -> Tensor:
        scale = torch.full_like(self.flat.values, self.method.initial_scale)
        self.active_prior.multiply_by_scale_(scale)
        return scale.pow_(-2)

    def _step(self, closure: Closure) -> Tensor:
        if not self.flat.folded:
            self._settle()
        self.flat.want(self._swap_sizes())
        if self.warming:
            loss = self._evaluate(closure)
            self._move_mean()
        else:
            loss = self._elbo_step(closure)
        if any(found is not None for found in self.flat.found):
            self._swap()
        return loss

    def _elbo_step(self, closure: Closure) -> Tensor:
        mean, precision = self.posterior.locations, self.posterior.precision
        scale = precision.rsqrt()
        noise = normal((self.flat.num_active,), mean, self.generator)
        torch.mul(scale, noise, out=self.flat.values).add_(mean)
        loss = self._evaluate(closure)
        # d/d(log sigma) of the three terms of the objective, per observation.
        scale_gradient = noise.mul_(self.flat.gradient).mul_(scale)
        scale_gradient.sub_(1.0 / self.likelihood_weight)
        variance = scale.square_()
        share = 1.0 / self.num_observations
        self.active_prior.add_precision_(scale_gradient, share, times=variance)
        self._move_mean()
        change = variance.zero_()
        rate = self.learning_rate() * self.method.scale_learning_rate / self.method.learning_rate
        step = self.steps - self.phase_ends["warm_start"]
        self._adam(change, scale_gradient, "scale_", step, rate)
        precision.mul_(change.mul_(-2.0).exp_())
        return loss

    def _move_mean(self) -> None:
        mean, gradient = self.posterior.locations, self.flat.gradient
        self.active_prior.add_gradient_(gradient, mean, 1.0 / self.num_observations)
        self._adam(mean, gradient, "", self.steps, self.learning_rate())

    def _adam(self, vector: Tensor, gradient: Tensor, prefix: str, step: int, rate: float) -> None:
        adam_step_(
            vector,
            gradient,
            self._vectors[f"{prefix}momentum"],
            self._vectors[f"{prefix}second_moment"],
            step=step,
            learning_rate=rate,
        )

    def _swap_sizes(self) -> list[int]:
        """Return how many weights of each parameter this step exchanges; zeros on most steps."""
        method, end = self.method, self.phase_ends["swaps"]
        if self.steps == 0 or self.steps % method.swap_every or self.steps >= end:
            return [0] * len(self.flat.slots)
        share = method.swap_fraction * 0.5 * (1.0 + math.cos(math.pi * self.steps / end))
        return [
            min(round(share * count), slot.size - count)
            for slot, count in zip(self.flat.slots, self.flat.counts, strict=True)
        ]

    def _swap(self) -> None:
        """Drop the weights of the smallest |mean|/sd; take in the found inactive ones at zero.

        The new ones' second moment starts at their squared gradient, which keeps Adam's first
        steps on them as small as on the others.
        """
        flat, posterior = self.flat, self.posterior
        correction = 1.0 - BETA2 ** (self.steps + 1)
        new = torch.zeros_like(posterior.index, dtype=torch.bool)
        state = [posterior.index, posterior.locations, posterior.precision, new]
        state += [self._vectors[name] for name in MOMENTS]
        for i, (slot, found) in enumerate(zip(flat.slots, flat.found, strict=True)):
            if found is None:
                continue
            positions, gradients = found
            parts = [flat.views(vector)[i] for vector in state]
            index, mean, precision, fresh, momentum, second, scale_momentum, scale_second = parts
            ratio = mean.abs() * precision.sqrt()
            losers = ratio.topk(len(positions), largest=False).indices
            index[losers] = (positions + slot.offset).to(index.dtype)
            fresh[losers] = True
            mean[losers] = momentum[losers] = scale_momentum[losers] = 0.0
            second[losers] = gradients.square() * correction
            scale_second[losers] = scale_second.mean()
            order = index.argsort()
            for part in parts:
                part.copy_(part[order])
        self._settle()
        posterior.precision[new] = self._initial_precision()[new]

    def _evaluate(self, closure: Closure) -> Tensor:
        with self.flat.receiving():
            return super()._evaluate(closure)

    def _rest(self) -> None:
        self.flat.values.copy_(self.posterior.locations)
        if self.flat.folded:
            self.flat.place()

    def _settle(self) -> None:
        """Put the posterior mean into the module, zeros elsewhere, whatever stood there."""
        self.flat.index = self.posterior.index
        self.active_prior = restricted(self.prior, self.flat.positions())
        self.flat.values.copy_(self.posterior.locations)
        self.flat.settle()

    def _adopt(self) -> None:
        """Take the module's weights at the active places as the new mean."""
        self._follow()
        self.posterior.locations.copy_(self.flat.values)
        self._settle()

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Restore what :meth:`state_dict` returned, the active set with it."""
        super().load_state_dict(state_dict)
        self._settle()

    def finalize(
        self,
        closures: Iterable[Closure] | None = None,
        observations_per_closure: float | None = None,
    ) -> None:
        """Leave the module at the posterior mean, every layer with an ordinary dense weight."""
        super().finalize(closures, observations_per_closure)
        self._settle()
        self.flat.unfold()

    def sparsity_report(self, closure: Closure | None = None) -> SparsityReport:
        """Report active weights, bytes of training state, and operations of an evaluation.

        ``closure``, as for :meth:`step`, is called once at the posterior mean to count operations.
        """
        if closure is not None and self.flat.synchronise():
            self._adopt()
        elif closure is not None and not self.flat.folded:
            self._settle()
        return report_on(self.flat, [*self.posterior.buffers(), *self._vectors.values()], closure)
