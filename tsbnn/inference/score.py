r"""Score-based proximal variational inference with a mean-field Gaussian, in closed form.

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

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import BETA1, adam_step_
from tsbnn.inference.method import PosteriorMethod, is_count, is_positive, require
from tsbnn.inference.optimizer import BayesianOptimizer, Closure
from tsbnn.inference.posteriors import MeanFieldGaussian, normal

METRICS = ("adam", "variance")


@dataclass(frozen=True, kw_only=True)
class ProximalScoreVI(PosteriorMethod):
    r"""Score-based proximal variational inference (mean-field Gaussian).

    Two things make it work without tuning:

    - **Antithetic pairs**: the loss is evaluated at :math:`m \pm \sigma\varepsilon` on the same
      minibatch. The curvature comes from the gradients' difference, in which the minibatch noise
      of the gradient itself cancels, and the mean moves along their average.
    - **The proximal strength follows the noise.** Each parameter tensor has its own
      :math:`c = \max(\kappa\, v, \; c_0 + \gamma\, t)`, with v the running mean of
      :math:`(r-1)^2` over its weights. The first term keeps a step small against the noise found
      (in a steady state :math:`\operatorname{Var}(\log\lambda) \approx v / 2(1+c)`), the second
      turns the iteration into an average over its later half.

    After the warm start, ``probe_steps`` steps draw at a small fixed spread to measure the
    curvature; precisions start at its root mean square, which errs on the small side of σ.

    Parameters
    ----------
    metric
        Metric of the mean's step: ``"adam"``, the gradient's second moment, or ``"variance"``,
        the posterior variance once it is known (a natural-gradient step; ``learning_rate`` is then
        a fraction, about 0.02, and stands for :math:`1/(1 + 2 c_m)` of the mean's own proximal
        strength).
    antithetic
        Pairs (two gradient evaluations a step), or single draws (one, much noisier).
    noise_margin, initial_strength, averaging
        :math:`\kappa`, :math:`c_0` and :math:`\gamma` above; dimensionless. ``averaging=0`` with a
        large ``initial_strength`` is one fixed proximal strength.
    probe_steps
        Steps that measure the curvature; at most a tenth of those after the warm start.
    probe_scale
        Spread of the draws meanwhile, in prior standard deviations.
    trust_region
        Largest move of a mean in one step, in posterior standard deviations, or None. At least 1:
        smaller ones keep the mean from arriving.
    """

    name: ClassVar[str] = "score"
    family = "mean_field"

    warm_start: float = 0.5
    metric: str = "adam"
    antithetic: bool = True
    noise_margin: float = 10.0
    initial_strength: float = 20.0
    averaging: float = 0.5
    probe_steps: int = 50
    probe_scale: float = 1e-2
    trust_region: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.metric in METRICS, "metric", self.metric, f"one of {', '.join(METRICS)}")
        for name in ("noise_margin", "initial_strength", "probe_scale"):
            require(is_positive(getattr(self, name)), name, getattr(self, name), "positive")
        rate = self.averaging
        require(rate == 0 or is_positive(rate), "averaging", rate, "0 or more, and finite")
        require(isinstance(self.antithetic, bool), "antithetic", self.antithetic, "True or False")
        steps = self.probe_steps
        require(is_count(steps), "probe_steps", steps, "an integer of at least 1")
        require(
            self.metric == "adam" or self.bayesian_parameters is None,
            "metric",
            self.metric,
            "'adam' with bayesian_parameters: weights without a spread have no variance to move in",
        )
        limit = self.trust_region
        require(
            limit is None or (is_positive(limit) and limit >= 1),
            "trust_region",
            limit,
            "None or at least 1",
        )

    @property
    def evaluations_per_step(self) -> int:
        """Two for antithetic pairs, else one."""
        return 2 if self.antithetic else 1

    @property
    def optimizer_class(self) -> type[ProximalScoreOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return ProximalScoreOptimizer


class ProximalScoreOptimizer(BayesianOptimizer):
    """Proximal steps in closed form.

    Persistent state beside weights and gradient: mean, precision, and the gradient's two moments,
    four weight-sized vectors; two more live during a step.

    Attributes
    ----------
    strength
        The proximal strengths c of the last step, one for each parameter tensor.
    """

    method: ProximalScoreVI
    posterior: MeanFieldGaussian
    # Weight of the newest step in the running measurement of the curvature's noise.
    NOISE_RATE = 0.02

    def __init__(
        self,
        module: nn.Module,
        method: ProximalScoreVI,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        values = self.flat.values
        warm_start, probe_steps = self.phase_ends["warm_start"], method.probe_steps
        if self.total_steps is not None:
            probe_steps = max(1, min(probe_steps, (self.total_steps - warm_start) // 10))
        self.phase_ends["probe"] = warm_start + probe_steps
        self._fixed = self.deterministic()
        self.posterior = MeanFieldGaussian(values.clone(), torch.ones_like(values))
        self._write_spread(values).pow_(-2)
        self.posterior.precision.copy_(values)
        self._vector("momentum")
        self._vector("second_moment")
        # (r - 1)^2 averaged over each tensor and, exponentially, over steps.
        self._vectors["noise"] = torch.ones(
            len(self._fixed), dtype=values.dtype, device=values.device
        )
        self.strength = torch.full_like(self._vectors["noise"], method.initial_strength)
        self._rest()

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

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        """Proximal strengths c and the curvature's measured noise, the mean of (r - 1)^2."""
        if self.probing:
            return {}
        return {"strength": self._strengths(), "curvature_noise": self._vectors["noise"]}

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's moments where the mean moves by them."""
        moves = self.method.metric == "adam" or self.probing
        return super().gradient_moments() if moves else None

    def _step(self, closure: Closure) -> Tensor:
        if self.warming:
            loss = self._evaluate(closure)
            self._update_mean(scratch=torch.empty_like(self.flat.values))
            return loss
        noise, half_difference, loss = self._draw_and_evaluate(closure)
        spread = self._write_spread(self.flat.values)
        # The likelihood's part of the curvature is h = (N/T) noise * half_difference / spread.
        noise.mul_(half_difference).mul_(self.likelihood_weight)
        if self.probing:
            self._measure_curvature(noise.div_(spread))
        else:
            self._update_precision(noise.mul_(spread), variance=spread.square_())
        self._update_mean(scratch=half_difference)
        return loss

    def _write_spread(self, out: Tensor) -> Tensor:
        """Write the standard deviations of the draws into ``out`` (``num_weights``)."""
        if not self.probing:
            return torch.rsqrt(self.posterior.precision, out=out)
        self.prior.multiply_by_scale_(out.fill_(self.method.probe_scale))
        for view, is_fixed in zip(self.flat.views(out), self._fixed, strict=True):
            if is_fixed:
                view.zero_()
        return out

    def _draw_and_evaluate(self, closure: Closure) -> tuple[Tensor, Tensor, Tensor]:
        """Evaluate at one draw or an antithetic pair.

        Returns
        -------
        noise, half_difference, loss
            The standard normals, and half the difference of the two gradients (without pairs:
            the gradient), ``num_weights``; the mean loss. The mean gradient is left in the flat
            gradient buffer.
        """
        mean, gradient = self.posterior.mean, self.flat.gradient
        noise = normal((self.flat.num_weights,), mean, self.generator)
        weights = self._write_spread(self.flat.values).mul_(noise).add_(mean)
        loss = self._evaluate(closure)
        difference = gradient.clone()
        if self.method.antithetic:
            weights.neg_().add_(mean, alpha=2.0)
            loss = 0.5 * (loss + self._evaluate(closure))
            gradient.add_(difference).mul_(0.5)
            difference.sub_(gradient)
        return noise, difference, loss

    def _measure_curvature(self, curvature: Tensor) -> None:
        r"""Take one more curvature into the root mean square that the precision starts from.

        .. math:: \lambda_k = \frac{1}{T s_0^2} + \Big( \tfrac1k \sum_{j \le k} \hat h_j^2
                  \Big)^{1/2} \; \ge \; \frac{1}{T s_0^2} + |\mathbb E \hat h|
        """
        k, precision = self.steps - self.phase_ends["warm_start"], self.posterior.precision
        inverse_temperature = 1.0 / self.temperature
        if k == 0:
            precision.copy_(curvature.abs_())
        else:
            self.prior.add_precision_(precision, -inverse_temperature)
            precision.square_().mul_(k).addcmul_(curvature, curvature).div_(k + 1).sqrt_()
        self.prior.add_precision_(precision, inverse_temperature)
        for view, is_fixed in zip(self.flat.views(precision), self._fixed, strict=True):
            if is_fixed:
                view.fill_(torch.inf)

    def _strengths(self) -> Tensor:
        """Proximal strengths c of the next step, one for each parameter tensor."""
        method = self.method
        averaged = method.averaging * (self.steps - self.phase_ends["probe"])
        strengths = self._vectors["noise"] * method.noise_margin
        return strengths.clamp_(min=method.initial_strength + averaged)

    def _update_precision(self, ratio: Tensor, variance: Tensor) -> None:
        """Multiply the precisions by rho; ``ratio`` holds the likelihood's part of r."""
        noise = self._vectors["noise"]
        self.prior.add_precision_(ratio, 1.0 / self.temperature, times=variance)
        views = self.flat.views(ratio.sub_(1.0))
        # c depends on earlier steps only: c that reacts to its own r would be biased.
        self.strength = self._strengths()
        norms = torch.stack(torch._foreach_norm(views))
        sizes = norms.new_tensor([slot.size for slot in self.flat.slots])
        noise.lerp_(norms.square_() / sizes, self.NOISE_RATE)
        root = self.strength.sqrt()
        # rho = sqrt(c) exp asinh((r - c) / (2 sqrt c)), stable for any r and c.
        torch._foreach_sub_(views, list((self.strength - 1.0).unbind()))
        torch._foreach_div_(views, list((2.0 * root).unbind()))
        ratio.asinh_().exp_()
        torch._foreach_mul_(views, list(root.unbind()))
        self.posterior.precision.mul_(ratio)

    def _update_mean(self, scratch: Tensor) -> None:
        """Move the mean along the averaged gradient; overwrites ``scratch`` and the weights."""
        mean, gradient = self.posterior.mean, self.flat.gradient
        self.prior.add_gradient_(gradient, mean, 1.0 / self.num_observations)
        before = self.flat.values.copy_(mean)
        momentum, rate = self._vectors["momentum"], self.learning_rate()
        if self.method.metric == "adam" or self.probing:
            adam_step_(
                mean,
                gradient,
                momentum,
                self._vectors["second_moment"],
                step=self.steps,
                learning_rate=rate,
                scratch=scratch,
            )
        else:
            momentum.lerp_(gradient, 1.0 - BETA1)
            rate *= self.likelihood_weight / (1.0 - BETA1 ** (self.steps + 1))
            mean.addcdiv_(momentum, self.posterior.precision, value=-rate)
        if self.method.trust_region is not None and not self.probing:
            limit = torch.rsqrt(self.posterior.precision, out=scratch)
            limit.masked_fill_(limit == 0.0, torch.inf).mul_(self.method.trust_region)
            move = mean.sub_(before)
            torch.minimum(move, limit, out=move)
            torch.maximum(move, limit.neg_(), out=move).add_(before)
