"""Proximal score matching with one mean-field Gaussian: the engine of the other families too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.averaging import AveragingOptimizer
from tsbnn.inference.metric_mean import MetricMeanOptimizer
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MeanFieldGaussian, normal_
from tsbnn.inference.score.proximal import precision_factors_, proximal_step

if TYPE_CHECKING:
    from tsbnn.inference.score.method import ProximalScoreVI


class ProximalScoreOptimizer(AveragingOptimizer, MetricMeanOptimizer):
    """Proximal steps on the precisions, Adam steps on the mean.

    Persistent state beside weights and gradient: mean, precision, and the gradient's two moments,
    four weight-sized vectors; one more lives during a step with an antithetic pair.

    Attributes
    ----------
    strength
        The proximal strengths c of the last step, one for each parameter tensor.
    trust_region_hits
        Share of the weights whose last move the trust region cut short, 0-dim; None without one.
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
        self._plan_probe(method.probe_steps, method.probe_scale)
        self.trust_region_hits: Tensor | None = None
        self._build(module)
        self._plan_averaging()
        self.strength = torch.full_like(self._kept("noise"), method.initial_strength)
        self._rest()

    def _build(self, module: nn.Module) -> None:
        """Create the posterior and the vectors of state."""
        values = self.flat.values
        self.posterior = MeanFieldGaussian(values.clone(), self._probe_precision())
        # (r - 1)^2 averaged over each tensor and, exponentially, over steps.
        self._vectors["noise"] = values.new_ones(len(self.flat.slots))
        self._keep_levels()

    @property
    def _precision(self) -> Tensor:
        return self.posterior.precision

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        """Proximal strengths c, the curvature's noise (mean of (r - 1)^2), trust-region hits."""
        hits = self.trust_region_hits
        share = {"trust_region_hits": None if hits is None else float(hits)}
        if self.probing:
            return dict(share)
        return {"strength": self._strengths(), "curvature_noise": self._kept("noise"), **share}

    def _step(self, closure: Closure) -> Tensor:
        if self.warming:
            loss = self._evaluate(closure)
            self._update_mean()
            return loss
        offset, half_difference, loss = self._draw_and_evaluate(closure)
        self._update(offset, half_difference)
        return loss

    def _write_spread(self, out: Tensor) -> Tensor:
        """Write the standard deviations of the draws into ``out`` (``num_weights``)."""
        if not self.probing:
            return torch.rsqrt(self._precision, out=out)
        return self._write_probe_spread(out)

    def _draw_(self, offset: Tensor) -> None:
        """Write a draw's offset from the mean into ``offset`` (``num_weights``)."""
        # Until the closure fills it, the gradient's buffer is free.
        normal_(offset, self.generator).mul_(self._write_spread(self.flat.gradient))

    def _draw_and_evaluate(self, closure: Closure) -> tuple[Tensor, Tensor, Tensor]:
        """Evaluate at one draw or an antithetic pair, where the step measures.

        Returns
        -------
        offset, half_difference, loss
            The draw's offset from the mean, in the weights' buffer, and what
            :meth:`_evaluate_draws` returns.
        """
        offset = self.flat.values
        self._draw_(offset)
        offset.add_(self._mean)
        pair = self.method.antithetic and self.measuring
        loss, half_difference = self._evaluate_draws(closure, pair)
        return offset, half_difference, loss

    def _update(self, offset: Tensor, half_difference: Tensor) -> None:
        """Update shape and mean from a pair's gradients; may overwrite both arguments."""
        if self.probing:
            # The likelihood's part of the curvature: (N/T) offset half_difference / spread^2.
            offset.mul_(half_difference).mul_(self.likelihood_weight)
            free = half_difference if self.method.antithetic else torch.empty_like(offset)
            self._measure_curvature(offset.div_(self._write_spread(free).square_()))
        elif self.measuring:
            self._update_shape(offset, half_difference)
        self._update_mean()

    def _strengths(self) -> Tensor:
        """Proximal strengths c of the next step, one for each parameter tensor."""
        method = self.method
        averaged = method.averaging * self.measurements
        strengths = self._kept("noise") * method.noise_margin
        return strengths.clamp_(min=method.initial_strength + averaged)

    def _measure_noise(self, excess: Tensor) -> None:
        """Take the squares of r - 1 (``num_weights``) into the running means of the tensors."""
        norms = torch.stack(torch._foreach_norm(self.flat.views(excess)))
        self._kept("noise").lerp_(norms.square_() / self.flat.sizes, self.NOISE_RATE)

    def _update_shape(self, offset: Tensor, half_difference: Tensor) -> None:
        """Take the proximal step on the precisions."""
        # c depends on earlier steps only: c that reacts to its own r would be biased.
        self.strength = self._strengths()
        if self.method.inner_steps is None:
            ratio = offset.mul_(half_difference).mul_(self.likelihood_weight)
            free = half_difference if self.method.antithetic else None
            self._update_precision(ratio, torch.reciprocal(self._precision, out=free))
            return
        frozen = MeanFieldGaussian(self._mean, self._precision)
        scores = self._score_difference_(offset, half_difference.clone())
        strengths = {"log_precision": self._by_weight(self.strength)}
        draws = (frozen.mean + offset).unsqueeze(0)
        member, gradients = proximal_step(
            frozen, draws, scores.unsqueeze(0), strengths, self.method.inner_steps
        )
        self._measure_noise(gradients["log_precision"].mul_(0.5))
        self._precision.copy_(member.precision)

    def _score_difference_(self, offset: Tensor, half_difference: Tensor) -> Tensor:
        """Half the difference of the target's scores at a pair, the prior's part exact."""
        scores = half_difference.mul_(-self.likelihood_weight)
        self.prior.add_precision_(scores, -1.0 / self.temperature, times=offset)
        return scores

    def _by_weight(self, by_tensor: Tensor) -> Tensor:
        """Repeat one number a parameter tensor for each of its weights."""
        sizes = [slot.size for slot in self.flat.slots]
        parts = zip(by_tensor.unbind(), sizes, strict=True)
        return torch.cat([number.expand(size) for number, size in parts])

    def _update_precision(self, ratio: Tensor, variance: Tensor) -> None:
        """Multiply the precisions by rho; ``ratio`` holds the likelihood's part of r."""
        self.prior.add_precision_(ratio, 1.0 / self.temperature, times=variance)
        ratio.sub_(1.0)
        self._measure_noise(ratio)
        precision_factors_(ratio, self.flat.views(ratio), self.strength)
        self._precision.mul_(ratio)

    def _update_mean(self) -> None:
        """Move the mean along the averaged gradient; overwrites the weights."""
        mean, gradient, before = self._mean, self.flat.gradient, self.flat.values
        trust_region = None if self.probing else self.method.trust_region
        if trust_region is not None:
            before.copy_(mean)
        self.prior.add_gradient_(gradient, mean, 1.0 / self.num_observations)
        self._move_mean_in_metric()
        if trust_region is not None:
            limit = self._write_spread(gradient)
            limit.masked_fill_(limit == 0.0, torch.inf).mul_(trust_region)
            move = mean.sub_(before)
            self.trust_region_hits = (move.abs() > limit).to(move.dtype).mean()
            torch.minimum(move, limit, out=move)
            torch.maximum(move, limit.neg_(), out=move).add_(before)
