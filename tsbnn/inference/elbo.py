r"""Mean-field variational inference by the evidence lower bound: the reparametrised baseline.

Minimises, per observation,

.. math:: \mathbb E_{\varepsilon}\, \mathrm{loss}(m + \sigma \varepsilon)
          + \tfrac1N\, \mathbb E_q[-\log p(\theta)] - \tfrac TN\, \mathrm H(q),
          \qquad q = \mathcal N(m, \operatorname{diag} \sigma^2),

over m and :math:`\log \sigma` with Adam, each with its own learning rate. The prior's and the
entropy's parts are exact; only the likelihood's gradient is sampled.

Sources: C. Blundell et al., arXiv 1505.05424; for the sticking-the-landing estimator G. Roeder,
Y. Wu, D. Duvenaud, arXiv 1703.09194.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import adam_step_
from tsbnn.inference.method import PosteriorMethod, is_positive, require
from tsbnn.inference.optimizer import BayesianOptimizer, Closure
from tsbnn.inference.posteriors import MeanFieldGaussian, normal


@dataclass(frozen=True, kw_only=True)
class ELBOVI(PosteriorMethod):
    r"""Mean-field VI by stochastic gradients of the ELBO (Bayes by backprop).

    Parameters
    ----------
    learning_rate, scale_learning_rate
        Adam's step sizes for the means and for :math:`\log \sigma`.
    initial_scale
        σ at the start, in prior standard deviations.
    antithetic
        Evaluate at :math:`m \pm \sigma\varepsilon` and average: two gradient evaluations a step,
        less noise in each.
    sticking_the_landing
        Sample the entropy's gradient along the path instead of using its exact value: the noise
        of both then cancels where q is the exact posterior (helps only if minibatch noise is
        small).
    """

    name: ClassVar[str] = "elbo"
    family = "mean_field"

    warm_start: float = 0.5
    scale_learning_rate: float = 3e-2
    initial_scale: float = 1e-2
    antithetic: bool = False
    sticking_the_landing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scale_learning_rate", "initial_scale"):
            require(is_positive(getattr(self, name)), name, getattr(self, name), "positive")
        for name in ("antithetic", "sticking_the_landing"):
            value = getattr(self, name)
            require(isinstance(value, bool), name, value, "True or False")

    @property
    def evaluations_per_step(self) -> int:
        """Two for antithetic pairs, else one."""
        return 2 if self.antithetic else 1

    @property
    def optimizer_class(self) -> type[ELBOOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return ELBOOptimizer


class ELBOOptimizer(BayesianOptimizer):
    """Adam on means and log standard deviations; the posterior stores precisions."""

    method: ELBOVI
    posterior: MeanFieldGaussian

    def __init__(
        self,
        module: nn.Module,
        method: ELBOVI,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        values = self.flat.values
        log_scale = self._vector("log_scale")
        log_scale.fill_(method.initial_scale)
        self.prior.multiply_by_scale_(log_scale)
        log_scale.log_()
        for view, fixed in zip(self.flat.views(log_scale), self.deterministic(), strict=True):
            if fixed:
                view.fill_(-torch.inf)
        self.posterior = MeanFieldGaussian(values.clone(), log_scale.mul(-2.0).exp_())
        for name in ("momentum", "second_moment", "scale_momentum", "scale_second_moment"):
            self._vector(name)

    def _step(self, closure: Closure) -> Tensor:
        mean, log_scale = self.posterior.mean, self._vectors["log_scale"]
        gradient, weights = self.flat.gradient, self.flat.values
        if self.warming:
            loss = self._evaluate(closure)
            self.prior.add_gradient_(gradient, mean, 1.0 / self.num_observations)
            self._move(mean, gradient, "", self.steps, self.learning_rate())
            return loss
        scale = log_scale.exp()
        noise = normal((self.flat.num_weights,), mean, self.generator)
        torch.mul(scale, noise, out=weights).add_(mean)
        loss = self._evaluate(closure)
        scale_gradient = gradient * noise
        if self.method.antithetic:
            first = gradient.clone()
            weights.neg_().add_(mean, alpha=2.0)
            loss = 0.5 * (loss + self._evaluate(closure))
            scale_gradient.addcmul_(gradient, noise, value=-1.0).mul_(0.5)
            gradient.add_(first).mul_(0.5)
        # d/d(log sigma) of the three terms of the objective, per observation.
        scale_gradient.mul_(scale)
        entropy = 1.0 / self.likelihood_weight
        if self.method.sticking_the_landing:
            scale_gradient.addcmul_(noise, noise, value=-entropy)
            if not self.method.antithetic:
                free = scale > 0
                gradient.sub_(torch.where(free, entropy * noise / scale, 0.0))
        else:
            scale_gradient.sub_(entropy)
        variance = scale.square_()
        self.prior.add_precision_(scale_gradient, 1.0 / self.num_observations, times=variance)
        self.prior.add_gradient_(gradient, mean, 1.0 / self.num_observations)
        self._move(mean, gradient, "", self.steps, self.learning_rate())
        rate = self.learning_rate() * self.method.scale_learning_rate / self.method.learning_rate
        step = self.steps - self.phase_ends["warm_start"]
        self._move(log_scale, scale_gradient, "scale_", step, rate)
        torch.mul(log_scale, -2.0, out=self.posterior.precision).exp_()
        return loss

    def _move(self, vector: Tensor, gradient: Tensor, prefix: str, step: int, rate: float) -> None:
        adam_step_(
            vector,
            gradient,
            self._vectors[f"{prefix}momentum"],
            self._vectors[f"{prefix}second_moment"],
            step=step,
            learning_rate=rate,
            scratch=self.flat.values,
        )
