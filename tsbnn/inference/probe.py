"""The probe: some steps that measure the curvature before precisions follow it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.checks import is_count, is_not_negative, is_positive, require
from tsbnn.inference.method import PosteriorMethod


def probe_length(probe_steps: int, warm_start: int, total_steps: int | None) -> int:
    """Return how many steps the probe takes: at most a tenth of those after the warm start."""
    if total_steps is None:
        return probe_steps
    return max(1, min(probe_steps, (total_steps - warm_start) // 10))


METRICS = ("adam", "variance")
ESTIMATES = ("rms", "pooled")


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
    curvature_every
        Every which step after the probe measures the curvature, by a pair, and moves the
        precision. The others take a single draw and move the mean alone: more minibatches for the
        mean at the same cost, fewer measurements for the spread. Without pairs, every step.
    averaging
        :math:`\gamma`: how fast the precision becomes an average over ever more measurements; 0
        for never.
    probe_steps
        Steps that measure the curvature after the warm start; at most a tenth of those that are
        left.
    probe_scale
        Spread of the draws meanwhile, in prior standard deviations.
    probe_estimate
        Where the precisions start, of curvatures that are far noisier than they are large:
        ``"rms"``, the root mean square of each weight's own, which is mostly noise and so errs on
        the small side of σ; or ``"pooled"``, the mean over each parameter tensor, shared out among
        its weights as Adam's second moment. The first comes down for as long as a short training
        lasts. The second is right on average over a tensor and rough for single weights; where
        observations are few it is nearer to the best ELBO.
    """

    warm_start: float = 0.5
    metric: str = "adam"
    natural_rate: float = 0.05
    antithetic: bool = True
    curvature_every: int = 1
    averaging: float = 0.5
    probe_steps: int = 50
    probe_scale: float = 1e-2
    probe_estimate: str = "rms"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.metric in METRICS, "metric", self.metric, f"one of {', '.join(METRICS)}")
        require(is_positive(self.natural_rate), "natural_rate", self.natural_rate, "positive")
        require(isinstance(self.antithetic, bool), "antithetic", self.antithetic, "True or False")
        every = self.curvature_every
        require(is_count(every), "curvature_every", every, "an integer of at least 1")
        growth, steps, scale = self.averaging, self.probe_steps, self.probe_scale
        require(is_not_negative(growth), "averaging", growth, "0 or more, and finite")
        require(is_count(steps), "probe_steps", steps, "an integer of at least 1")
        require(is_positive(scale), "probe_scale", scale, "positive")
        estimate = self.probe_estimate
        known = f"one of {', '.join(ESTIMATES)}"
        require(estimate in ESTIMATES, "probe_estimate", estimate, known)

    @property
    def evaluations_per_step(self) -> int:
        """Two for antithetic pairs, else one; for each component of a mixture."""
        return (2 if self.antithetic else 1) * self.evaluations_per_warm_step

    @property
    def measuring_every(self) -> int:
        """Every which step measures the curvature: ``curvature_every``, or 1 without pairs."""
        return self.curvature_every if self.antithetic else 1

    @property
    def probes_in_pairs(self) -> bool:
        """Whether the probe takes pairs."""
        return self.antithetic

    def evaluations(self, steps: int) -> int:
        """Count those of the mean alone, and a second one for every pair."""
        warm = self.warm_start_steps(steps)
        probe = min(steps - warm, probe_length(self.probe_steps, warm, steps))
        pairs = probe if self.probes_in_pairs else 0
        if self.antithetic:
            pairs += -(-(steps - warm - probe) // self.curvature_every)
        return (steps + pairs) * self.evaluations_per_warm_step


class ProbingOptimizer(AdamMeanOptimizer):
    """An optimizer whose precisions start from a measurement of the curvature.

    After the warm start, draws have a small fixed spread until ``phase_ends["probe"]``.
    """

    method: ProbingMethod

    @property
    def _precision(self) -> Tensor:
        """The precisions that are measured, ``num_weights``."""
        raise NotImplementedError

    @property
    def _since_probe(self) -> int:
        """Steps taken since the probe ended; negative while it goes on."""
        return self.steps - self.phase_ends["probe"]

    @property
    def measuring(self) -> bool:
        """Whether the next step measures the curvature."""
        return self.probing or self._since_probe % self.method.measuring_every == 0

    @property
    def measurements(self) -> int:
        """How often the precision has moved: the steps since the probe that measured."""
        return -(-self._since_probe // self.method.measuring_every)

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

    def _keep_levels(self, *leading: int) -> None:
        """Create what the pooled estimate keeps: each tensor's mean curvature and its square."""
        if self.method.probe_estimate == "pooled":
            shape = (*leading, 2, len(self.flat.slots))
            self._vectors["levels"] = self.flat.values.new_zeros(shape)

    def _measure_curvature(self, curvature: Tensor) -> None:
        r"""Take one more curvature into the precision that the posterior starts from.

        ``"rms"`` is the root mean square over the k measurements,

        .. math:: \lambda_k = \frac{1}{T s_0^2} + \Big( \tfrac1k \sum_{j \le k} \hat h_j^2
                  \Big)^{1/2} \; \ge \; \frac{1}{T s_0^2} + |\mathbb E \hat h| .

        ``"pooled"`` takes the mean :math:`a_j = \langle \hat h_j \rangle` over a parameter tensor
        first, Hutchinson's estimate of the trace of its block over its size, in which most of the
        noise of single weights cancels. It is shared out as Adam's second moment v, a rough proxy
        for the diagonal of the Fisher information:

        .. math:: \lambda_k = \frac{1}{T s_0^2} + \frac{v}{\langle v \rangle} \Big(
                  \overline a^2 + \tfrac1k \big( \overline{a^2} - \overline a^2 \big)
                  \Big)^{1/2} .

        The second term in the root, the square of the mean's standard error, keeps a tensor away
        from 0 whose curvature cannot be told from noise.

        Parameters
        ----------
        curvature
            :math:`\hat h` of the likelihood, ``num_weights``; overwritten.
        """
        k, precision = self.steps - self.phase_ends["warm_start"], self._precision
        inverse_temperature = 1.0 / self.temperature
        if self.method.probe_estimate == "pooled":
            self._share_out(curvature, k)
        elif k == 0:
            precision.copy_(curvature.abs_())
        else:
            self.prior.add_precision_(precision, -inverse_temperature)
            precision.square_().mul_(k).addcmul_(curvature, curvature).div_(k + 1).sqrt_()
        self.prior.add_precision_(precision, inverse_temperature)
        self._fix_(precision, torch.inf)

    def _share_out(self, curvature: Tensor, k: int) -> None:
        """Write the pooled estimate's part of the likelihood, of k + 1 curvatures."""
        views = self.flat.views(curvature)
        # Weights without a spread have no curvature.
        means = torch.stack([view.sum() / max(1, len(view)) for view in views]).nan_to_num_()
        mean, square = self._kept("levels").lerp_(
            torch.stack([means, means.square()]), 1.0 / (k + 1)
        )
        levels = mean.square().mul_(k).add_(square).div_(k + 1).sqrt_()
        self._precision.copy_(self._kept("second_moment"))
        for view, level in zip(self.flat.views(self._precision), levels, strict=True):
            total = view.sum()
            # A tensor without gradients so far has no profile.
            view.mul_(len(view)).div_(total).mul_(level)
            view.copy_(torch.where(total > 0, view, level))
