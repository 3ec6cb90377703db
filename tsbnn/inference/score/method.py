r"""Settings of score-based proximal variational inference, and what they mean.

With :math:`q_t` frozen, the next approximation is

.. math:: q_{t+1} = \arg\min_q\; \mathbb E_{\theta \sim q_t}
          \| \nabla \log q(\theta) - \hat s(\theta) \|^2_W
          + \tfrac1\alpha \mathrm{KL}(q_t \,\|\, q), \qquad W = \mathrm{Cov}(q_t),

where :math:`\hat s = \frac1T [-N \nabla \mathrm{loss} + \nabla \log p]` is the noisy but unbiased
minibatch score at weights drawn from the *frozen* :math:`q_t`. No gradient flows through a draw,
and minibatch noise adds only a constant to the objective. For independent Gaussians with means m
and precisions :math:`\lambda = 1/\sigma^2`, writing :math:`\hat h` for the estimate of the
target's curvature, :math:`r = \hat h/\lambda` and :math:`c = 1/(4\alpha)`,

.. math:: \lambda \leftarrow \lambda \rho, \qquad
          \rho = \tfrac12 \left[ (r - c) + \sqrt{(r - c)^2 + 4c} \right]
               = \sqrt c \, \exp \operatorname{asinh} \frac{r - c}{2 \sqrt c} \; > 0 .

The fixed point is the best mean-field Gaussian, :math:`\lambda_i = \mathbb E_q[H_{ii}]`. The mean
moves down the smoothed gradient in any frozen metric (which cannot move the fixed point).

Source: M. Kim, "Large-scale Score-based Variational Posterior Inference for Bayesian Deep Neural
Networks", arXiv 2602.05873.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tsbnn.inference.averaging import AveragingMethod
from tsbnn.inference.checks import is_count, is_positive, require
from tsbnn.inference.probe import ProbingMethod
from tsbnn.inference.score.low_rank import LowRankScoreOptimizer
from tsbnn.inference.score.mean_field import ProximalScoreOptimizer
from tsbnn.inference.score.mixture import MixtureScoreOptimizer
from tsbnn.inference.variational import VariationalMethod


@dataclass(frozen=True, kw_only=True)
class ProximalScoreVI(ProbingMethod, VariationalMethod, AveragingMethod):
    r"""Score-based proximal variational inference.

    Two things make it work without tuning:

    - **Antithetic pairs**: the loss is evaluated at :math:`m \pm \sigma\varepsilon` on the same
      minibatch. The curvature comes from the gradients' difference, in which the minibatch noise
      of the gradient itself cancels, and the mean moves along their average.
    - **The proximal strength follows the noise.** Each parameter tensor has its own
      :math:`c = \max(\kappa\, v, \; c_0 + \gamma\, t)`, with v the running mean of
      :math:`(r-1)^2` over its weights and t the measurements so far. The first term keeps a step
      small against the noise found (in a steady state
      :math:`\operatorname{Var}(\log\lambda) \approx v / 2(1+c)`), the second turns the iteration
      into an average over its later half.

    After the warm start, ``probe_steps`` steps draw at a small fixed spread to measure the
    curvature; precisions start at its root mean square (or as ``probe_estimate`` says), which
    errs on the small side of σ.

    Parameters
    ----------
    metric
        Metric of the mean's step: ``"adam"``, the gradient's second moment, or ``"variance"``,
        the posterior variance once it is known (a natural-gradient step).
    natural_rate
        Step size with ``metric="variance"``, :math:`1/(1 + 2 c_m)` of the mean's own proximal
        strength; follows the schedule of ``learning_rate``.
    antithetic
        Pairs (two gradient evaluations a step), or single draws (one, much noisier).
    curvature_every
        Every which step after the probe takes a pair and moves the precisions. The others take a
        single draw and move the mean alone: more minibatches for the mean at the same cost, fewer
        measurements for the spread. Without pairs, every step.
    noise_margin, initial_strength, averaging
        :math:`\kappa`, :math:`c_0` and :math:`\gamma` above; dimensionless. ``averaging=0`` with a
        large ``initial_strength`` is one fixed proximal strength.
    probe_steps
        Steps that measure the curvature; at most a tenth of those after the warm start.
    probe_scale
        Spread of the draws meanwhile, in prior standard deviations.
    probe_estimate
        ``"rms"`` or ``"pooled"``, where the precisions start: the root mean square of each weight's
        curvatures, or their mean over each tensor, shared out as Adam's second moment.
    trust_region
        Largest move of a mean in one step, in posterior standard deviations, or None. At least 1:
        smaller ones keep the mean from arriving.
    inner_steps
        Gradient steps on the family for each set of frozen draws, at least 2, without a call of
        the network; see :func:`~tsbnn.inference.score.proximal.proximal_step`. None takes the
        closed form of independent Gaussians and of each component of a mixture, and 2 steps for
        ``family="low_rank"``.
    """

    name: ClassVar[str] = "score"

    noise_margin: float = 10.0
    initial_strength: float = 20.0
    trust_region: float | None = None
    inner_steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise_margin", "initial_strength"):
            require(is_positive(getattr(self, name)), name, getattr(self, name), "positive")
        limit = self.trust_region
        require(
            limit is None or (is_positive(limit) and limit >= 1),
            "trust_region",
            limit,
            "None or at least 1",
        )
        inner = self.inner_steps
        require(
            inner is None or (is_count(inner) and inner >= 2),
            "inner_steps",
            inner,
            "None or an integer of at least 2",
        )
        if self.family == "low_rank":
            require(self.antithetic, "antithetic", False, "True with family='low_rank'")
            require(self.metric == "adam", "metric", self.metric, "'adam' with family='low_rank'")

    @property
    def optimizer_class(self) -> type[ProximalScoreOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds: that of the family."""
        return OPTIMIZERS[self.family]


OPTIMIZERS: dict[str, type[ProximalScoreOptimizer]] = {
    "mean_field": ProximalScoreOptimizer,
    "low_rank": LowRankScoreOptimizer,
    "mixture": MixtureScoreOptimizer,
}
