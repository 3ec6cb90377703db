"""The probe: some steps that measure the curvature before precisions follow it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsbnn.inference.checks import is_count, is_not_negative, is_positive, require
from tsbnn.inference.method import PosteriorMethod
from tsbnn.inference.optimizer import BayesianOptimizer


def probe_length(probe_steps: int, warm_start: int, total_steps: int | None) -> int:
    """Return how many steps the probe takes: at most a tenth of those after the warm start."""
    if total_steps is None:
        return probe_steps
    return max(1, min(probe_steps, (total_steps - warm_start) // 10))


METRICS = ("adam", "variance")


@dataclass(frozen=True, kw_only=True)
class ProbingMethod(PosteriorMethod):
    r"""Settings of methods that take curvatures from pairs of draws, and first from a probe.

    Parameters
    ----------
    metric
        Metric of the mean's step, which does not move the fixed point: ``"adam"``, the gradient's
        second moment, or ``"variance"``, the posterior variance.
    natural_rate
        Step size with ``metric="variance"``: dimensionless, 1 jumps to the optimum of a noise-free
        quadratic. Follows the schedule of ``learning_rate``.
    antithetic
        Evaluate at :math:`m \pm \sigma\varepsilon` on the same minibatch: two gradient evaluations
        a step, and the minibatch noise of the gradient cancels in the curvature.
    averaging
        :math:`\gamma`: how fast the precision becomes an average over ever more steps; 0 for
        never.
    probe_steps
        Steps that measure the curvature after the warm start; at most a tenth of those that are
        left.
    probe_scale
        Spread of the draws meanwhile, in prior standard deviations.
    """

    warm_start: float = 0.5
    metric: str = "adam"
    natural_rate: float = 0.05
    antithetic: bool = True
    averaging: float = 0.5
    probe_steps: int = 50
    probe_scale: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.metric in METRICS, "metric", self.metric, f"one of {', '.join(METRICS)}")
        require(is_positive(self.natural_rate), "natural_rate", self.natural_rate, "positive")
        require(isinstance(self.antithetic, bool), "antithetic", self.antithetic, "True or False")
        growth, steps, scale = self.averaging, self.probe_steps, self.probe_scale
        require(is_not_negative(growth), "averaging", growth, "0 or more, and finite")
        require(is_count(steps), "probe_steps", steps, "an integer of at least 1")
        require(is_positive(scale), "probe_scale", scale, "positive")

    @property
    def evaluations_per_step(self) -> int:
        """Two for antithetic pairs, else one; for each component of a mixture."""
        return (2 if self.antithetic else 1) * self.evaluations_per_warm_step


class ProbingOptimizer(BayesianOptimizer):
    """An optimizer whose precisions start from a measurement of the curvature.

    After the warm start, draws have a small fixed spread until ``phase_ends["probe"]``.
    """

    @property
    def _precision(self) -> Tensor:
        """The precisions that are measured, ``num_weights``."""
        raise NotImplementedError

    def _plan_probe(self, probe_steps: int, probe_scale: float) -> None:
        """Set when the probe ends, and its spread in prior standard deviations."""
        warm_start = self.phase_ends["warm_start"]
        length = probe_length(probe_steps, warm_start, self.total_steps)
        self.phase_ends["probe"] = warm_start + length
        self._probe_scale = probe_scale

    @property
    def ready(self) -> bool:
        """Whether warm start and probe are over."""
        return not self.probing

    @property
    def probing(self) -> bool:
        """Whether the curvature is not yet known, and draws have the probe's fixed spread."""
        return self.steps < self.phase_ends["probe"]

    @property
    def phase(self) -> str:
        """Warm start, probe or posterior."""
        return super().phase if self.warming or not self.probing else "probe"

    def _probe_precision(self) -> Tensor:
        """Return the precisions of the probe's draws, ``num_weights``."""
        spread = self._write_probe_spread(torch.empty_like(self.flat.values))
        return spread.pow_(-2)

    def _write_probe_spread(self, out: Tensor) -> Tensor:
        """Write the standard deviations of the probe's draws into ``out`` (``num_weights``)."""
        self.prior.multiply_by_scale_(out.fill_(self._probe_scale))
        return self._fix_(out, 0.0)

    def _measure_curvature(self, curvature: Tensor) -> None:
        r"""Take one more curvature into the root mean square that the precision starts from.

        .. math:: \lambda_k = \frac{1}{T s_0^2} + \Big( \tfrac1k \sum_{j \le k} \hat h_j^2
                  \Big)^{1/2} \; \ge \; \frac{1}{T s_0^2} + |\mathbb E \hat h|

        Parameters
        ----------
        curvature
            :math:`\hat h` of the likelihood, ``num_weights``; overwritten.
        """
        k, precision = self.steps - self.phase_ends["warm_start"], self._precision
        inverse_temperature = 1.0 / self.temperature
        if k == 0:
            precision.copy_(curvature.abs_())
        else:
            self.prior.add_precision_(precision, -inverse_temperature)
            precision.square_().mul_(k).addcmul_(curvature, curvature).div_(k + 1).sqrt_()
        self.prior.add_precision_(precision, inverse_temperature)
        self._fix_(precision, torch.inf)
