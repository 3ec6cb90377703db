r"""Variational online Newton: natural-gradient steps of a mean-field Gaussian up the ELBO.

With :math:`\hat g` the gradient of the loss at a draw :math:`\theta = m + \sigma\varepsilon`, the
curvature of the likelihood comes from the same gradient, by Stein's identity (also called Price's
theorem), :math:`\mathbb E_q[\nabla^2 \mathrm{loss}] = \mathbb E_q[\nabla \mathrm{loss} \cdot
\varepsilon/\sigma]`: no second derivative is taken. The natural gradient of the ELBO in the
precision :math:`\lambda = 1/\sigma^2` is then :math:`\hat h - \lambda`, with

.. math:: \hat h = \tfrac NT\, \hat g\, \frac{\varepsilon}{\sigma} + \frac{1}{T s_0^2}, \qquad
          r = \hat h / \lambda, \quad u = \rho\,(r - 1), \qquad
          \lambda \leftarrow \lambda + \rho\,(\hat h - \lambda)
          + \frac{\rho^2 (\hat h - \lambda)^2}{2 \lambda}
          = \lambda \left( 1 + u + \tfrac12 u^2 \right) ,

where the quadratic term follows the geodesic to second order and keeps :math:`\lambda` positive
whatever the noise (:math:`1 + u + u^2/2 \ge 1/2`). The mean takes the natural step

.. math:: m \leftarrow m - \eta\, \frac1\lambda \left[ \tfrac NT\, \bar g
          + \frac{m - m_0}{T s_0^2} \right]

along the momentum-averaged gradient. In the papers' notation :math:`\lambda = N (h + \delta)`,
:math:`\rho = 1 - \beta_2` and :math:`\delta = 1/(N s_0^2)`, here one for each weight.

Sources: M. E. Khan et al., arXiv 1806.04854; W. Lin, M. Schmidt, M. E. Khan, arXiv 2002.10060;
Y. Shen et al., arXiv 2402.17641.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.averaging import AveragingMethod, AveragingOptimizer
from tsbnn.inference.checks import is_positive, require
from tsbnn.inference.metric_mean import MetricMeanOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MeanFieldGaussian, normal_
from tsbnn.inference.probe import ProbingMethod


@dataclass(frozen=True, kw_only=True)
class NaturalELBOVI(ProbingMethod, AveragingMethod):
    r"""Mean-field VI by natural gradients of the ELBO (variational online Newton).

    After the warm start, ``probe_steps`` steps draw pairs at a small fixed spread to measure the
    curvature while the mean goes on by Adam; precisions start at its root mean square
    (or as ``probe_estimate`` says).

    Parameters
    ----------
    learning_rate
        Adam's step size for the mean: in the warm start, in the probe, for weights without a
        spread, and throughout with ``metric="adam"``.
    natural_rate
        :math:`\eta` of the mean's natural step; dimensionless, 1 jumps to the optimum of a
        noise-free quadratic. Follows the schedule of ``learning_rate``.
    metric
        Metric of the mean's step: ``"variance"``, the posterior variance (the natural gradient,
        which makes the method what it is), or ``"adam"``, the gradient's second moment.
    curvature_rate, averaging
        :math:`\rho = 1/(1/\rho_0 + \gamma t)` at step t after the probe: ``curvature_rate`` is
        :math:`\rho_0`, ``averaging`` is :math:`\gamma`. With 0 the rate is constant, as in the
        papers; above, the precision becomes an average over ever more steps.
    antithetic
        Evaluate at :math:`m \pm \sigma\varepsilon` on the same minibatch: two gradient evaluations
        a step, and the minibatch noise of the gradient cancels in the curvature. Single draws
        need a ``curvature_rate`` smaller by about the number of minibatches in the data.
    curvature_every
        Every which step after the probe measures the curvature, by a pair, and moves the
        precision; the others take a single draw and move the mean alone.
    probe_steps
        Steps that measure the curvature; at most a tenth of those after the warm start.
    probe_scale
        Spread of the draws meanwhile, in prior standard deviations.
    probe_estimate
        ``"rms"`` or ``"pooled"``, where the precisions start: the root mean square of each weight's
        curvatures, or their mean over each tensor, shared out as Adam's second moment.
    """

    name: ClassVar[str] = "elbo_natural"
    family = "mean_field"

    metric: str = "variance"
    curvature_rate: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        rate = self.curvature_rate
        require(is_positive(rate) and rate < 1, "curvature_rate", rate, "above 0 and below 1")

    @property
    def probes_in_pairs(self) -> bool:
        """Always: a single draw's curvature is too noisy to start from."""
        return True

    @property
    def optimizer_class(self) -> type[NaturalELBOOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return NaturalELBOOptimizer


class NaturalELBOOptimizer(AveragingOptimizer, MetricMeanOptimizer):
    """Natural-gradient steps on mean and precision.

    Persistent state beside weights and gradient: mean, precision, and the gradient's two moments.
    """

    method: NaturalELBOVI
    posterior: MeanFieldGaussian

    def __init__(
        self,
        module: nn.Module,
        method: NaturalELBOVI,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        values = self.flat.values
        self._plan_probe(method.probe_steps, method.probe_scale)
        self.posterior = MeanFieldGaussian(values.clone(), self._probe_precision())
        self._keep_levels()
        self._plan_averaging()
        self._rest()

    @property
    def _precision(self) -> Tensor:
        return self.posterior.precision

    def curvature_rate(self) -> float:
        r"""Return :math:`\rho` now."""
        averaged = self.method.averaging * self.measurements
        return 1.0 / (1.0 / self.method.curvature_rate + averaged)

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        r"""The rate :math:`\rho` of the curvature."""
        return {} if self.probing else {"curvature_rate": self.curvature_rate()}

    def _step(self, closure: Closure) -> Tensor:
        if self.warming:
            return self._warm_step(closure, self.learning_rate())
        probing, mean, gradient = self.probing, self.posterior.mean, self.flat.gradient
        pair = probing or (self.method.antithetic and self.measuring)
        offset = self.flat.values
        # Until the closure fills it, the gradient's buffer is free.
        if probing:
            spread = self._write_probe_spread(gradient)
        else:
            spread = torch.rsqrt(self.posterior.precision, out=gradient)
        torch.addcmul(mean, normal_(offset, self.generator), spread, out=offset)
        loss, half_difference = self._evaluate_draws(closure, pair)
        if not self.measuring:
            self.prior.add_gradient_(gradient, mean, 1.0 / self.num_observations)
            self._move_mean_in_metric()
            return loss
        # The likelihood's part of h is this over the variance, and that of r = h / precision this.
        ratio = offset.mul_(half_difference).mul_(self.likelihood_weight)
        self.prior.add_gradient_(gradient, mean, 1.0 / self.num_observations)
        free = half_difference if pair else torch.empty_like(mean)
        if probing:
            self._measure_curvature(ratio.div_(self._write_probe_spread(free).square_()))
            self._move_mean(self.learning_rate())
            return loss
        variance = torch.reciprocal(self.posterior.precision, out=free)
        self.prior.add_precision_(ratio, 1.0 / self.temperature, times=variance)
        move = ratio.sub_(1.0).mul_(self.curvature_rate())
        self.posterior.precision.mul_(torch.add(move, 2.0, out=free).mul_(move).div_(2.0).add_(1.0))
        self._move_mean_in_metric()
        return loss
