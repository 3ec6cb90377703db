r"""Variational inference by the evidence lower bound: the reparametrised baseline.

Minimises, per observation,

.. math:: \mathbb E_{\varepsilon}\, \mathrm{loss}(m + \sigma \varepsilon)
          + \tfrac1N\, \mathbb E_q[-\log p(\theta)] - \tfrac TN\, \mathrm H(q),
          \qquad q = \mathcal N(m, \operatorname{diag} \sigma^2),

over m and :math:`\log \sigma` with Adam, each with its own learning rate (and likewise for the
other families). The prior's and the
entropy's parts are exact; only the likelihood's gradient is sampled.

Sources: C. Blundell et al., arXiv 1505.05424; for the sticking-the-landing estimator G. Roeder,
Y. Wu, D. Duvenaud, arXiv 1703.09194.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tsbnn.inference.averaging import AveragingMethod
from tsbnn.inference.checks import is_positive, require
from tsbnn.inference.elbo.low_rank import LowRankELBOOptimizer
from tsbnn.inference.elbo.mean_field import ELBOOptimizer
from tsbnn.inference.elbo.mixture import MixtureELBOOptimizer
from tsbnn.inference.variational import VariationalMethod


@dataclass(frozen=True, kw_only=True)
class ELBOVI(VariationalMethod, AveragingMethod):
    r"""Variational inference by stochastic gradients of the ELBO (Bayes by backprop).

    Parameters
    ----------
    learning_rate, scale_learning_rate
        Adam's step sizes for the means and for :math:`\log \sigma` (and the low-rank factor).
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
        """Two for antithetic pairs, else one; for each component of a mixture."""
        return (2 if self.antithetic else 1) * self.evaluations_per_warm_step

    @property
    def optimizer_class(self) -> type[ELBOOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds: that of the family."""
        return OPTIMIZERS[self.family]


OPTIMIZERS: dict[str, type[ELBOOptimizer]] = {
    "mean_field": ELBOOptimizer,
    "low_rank": LowRankELBOOptimizer,
    "mixture": MixtureELBOOptimizer,
}
