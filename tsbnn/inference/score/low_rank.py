r"""Proximal score matching with a low-rank-plus-diagonal Gaussian, by inner gradient steps.

Half the difference of the scores at an antithetic pair :math:`m \pm \delta` says how the target
bends along :math:`\delta`; a proximal step moves the covariance so that
:math:`\Sigma^{-1} \delta` comes closer to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsbnn.inference.posteriors import LowRankGaussian, normal, normal_
from tsbnn.inference.score.low_rank_step import low_rank_step_
from tsbnn.inference.score.mean_field import ProximalScoreOptimizer

if TYPE_CHECKING:
    from tsbnn.inference.score.method import ProximalScoreVI


class LowRankScoreOptimizer(ProximalScoreOptimizer):
    r"""Proximal steps on the diagonal and the factor, Adam steps on the mean.

    The factor has a proximal strength of its own, from the noise of its own gradient. Noise in the
    curvature of D weights adds up over the D entries of a column: the more weights and the smaller
    the minibatch, the larger that strength, and the more the family stays mean-field.

    After the probe the factor's columns start in random directions, small beside the diagonal:
    zero would be a saddle point.
    """

    method: ProximalScoreVI
    posterior: LowRankGaussian  # type: ignore[assignment]
    INNER_STEPS = 2
    # Norm of a starting column in units of d.
    INITIAL_NORM = 0.3
    # The factor's directions emerge slowly. So its averaging is slower than the diagonal's, and its
    # margin over the noise smaller, whose measure sums over all weights and is cautious already.
    AVERAGING_FACTOR = 0.05
    MARGIN_FACTOR = 0.3
    # Stands for a noise not yet measured, so that the factor waits for its first measurement.
    UNKNOWN_NOISE = 1e12

    def _build(self, module: nn.Module) -> None:
        values = self.flat.values
        precision = self._probe_precision()
        factor = values.new_zeros(len(values), self.method.rank)
        self.posterior = LowRankGaussian(values.clone(), precision.rsqrt(), factor)
        # Holds precisions while the probe measures them.
        self._vectors["precision"] = precision
        self._vectors["noise"] = values.new_ones(len(self.flat.slots))
        self._keep_levels()
        self._vectors["factor_noise"] = values.new_full((), self.UNKNOWN_NOISE)

    @property
    def _precision(self) -> Tensor:
        return self._vectors["precision"]

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        """Add the factor's share of the variance and its proximal strength."""
        own = super().method_diagnostics()
        if not self.probing:
            share = self.posterior.factor.square().sum(-1).sum() / self.posterior.variance.sum()
            own |= {"factor_share": float(share), "factor_strength": float(self._factor_strength())}
        return own

    def _write_spread(self, out: Tensor) -> Tensor:
        if self.probing:
            return super()._write_spread(out)
        return out.copy_(self.posterior.variance).sqrt_()

    def _draw_(self, offset: Tensor) -> None:
        if self.probing:
            super()._draw_(offset)
            return
        posterior = self.posterior
        normal_(offset, self.generator)
        latent = normal((posterior.rank,), posterior.mean, self.generator)
        offset.mul_(posterior.scale).addmv_(posterior.factor, latent)

    def _measure_curvature(self, curvature: Tensor) -> None:
        super()._measure_curvature(curvature)
        torch.rsqrt(self._precision, out=self.posterior.scale)
        if self.steps + 1 == self.phase_ends["probe"]:
            factor = normal(tuple(self.posterior.factor.shape), curvature, self.generator)
            factor.mul_(self.posterior.scale.sign().unsqueeze(-1))
            factor.mul_(self.INITIAL_NORM / factor.norm(dim=0))
            self.posterior.factor.copy_(factor.mul_(self.posterior.scale.unsqueeze(-1)))

    def _factor_strength(self) -> Tensor:
        method = self.method
        growth = self.AVERAGING_FACTOR * method.averaging
        floor = method.initial_strength + growth * self.measurements
        margin = self.MARGIN_FACTOR * method.noise_margin
        return (self._vectors["factor_noise"] * margin).clamp_(min=floor)

    def _update_shape(self, offset: Tensor, half_difference: Tensor) -> None:
        """Take the proximal step."""
        self.strength = self._strengths()
        scores = self._score_difference_(offset, half_difference)
        excess, found = low_rank_step_(
            self.posterior,
            offset,
            scores,
            self._by_weight(self.strength),
            self._factor_strength(),
            self.method.inner_steps or self.INNER_STEPS,
        )
        self._measure_noise(excess)
        rate = max(self.NOISE_RATE, 1.0 / (self.measurements + 1))
        self._vectors["factor_noise"].lerp_(found / self.method.rank, rate)
