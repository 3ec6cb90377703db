r"""Black-box alpha-divergence minimisation with a mean-field Gaussian, reparametrised.

The data are split into M sites of n observations each (M = N/n). The energy

.. math:: \mathcal L_\alpha(q) = -\frac1\alpha \sum_{m=1}^M \log \mathbb E_q \left[
          e^{\alpha\, \ell_m(\theta)} \right], \qquad \ell_m(\theta) = \tfrac1T \log p(D_m | \theta)
          + \tfrac1M \left( \tfrac1T \log p_0(\theta) - \log q(\theta) \right),

is the negative ELBO for :math:`\alpha \to 0` and Rényi's bound for one site (M = 1). With draws
:math:`\theta_k = m + \sigma \varepsilon_k` and normalised weights

.. math:: w_k \propto e^{\alpha\, \ell_m(\theta_k)}, \qquad
          \hat g = - M \sum_k w_k\, \nabla_\theta \ell_m(\theta_k)\,
          \frac{\partial \theta_k}{\partial (m, \log \sigma)} ,

where q inside :math:`\ell_m` is held fixed. The energy's total derivative has one term more, from
q's own parameters, but since :math:`\mathbb E_q[e^{\alpha\ell} \nabla_\phi \log q] = \alpha\,
\mathbb E_q[e^{\alpha\ell}\, \nabla_\theta \ell \cdot \partial\theta/\partial\phi]` it only
multiplies the whole by :math:`1 - \alpha/M`: the direction is the same, the noise is less, and the
case :math:`\alpha = M = 1`, where the energy is constant, becomes the limit of the divergence's own
gradient, that of :math:`\mathrm{KL}(p \,\|\, q)`. The prior's and the entropy's part under uniform
weights is replaced by its exact expectation, so :math:`\alpha = 0` is the ELBO's usual estimator.

Sources: J. M. Hernández-Lobato et al., arXiv 1511.03243; Y. Li, R. E. Turner, arXiv 1602.02311;
Y. Li, Y. Gal, arXiv 1703.02914; for gradients with q held fixed G. Tucker et al., arXiv 1810.04152.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.adam import adam_step_
from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.checks import is_count, is_not_negative, is_positive, require
from tsbnn.inference.method import PosteriorMethod
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import MeanFieldGaussian, normal_


@dataclass(frozen=True, kw_only=True)
class AlphaDivergence(PosteriorMethod):
    r"""Mean-field VI by black-box :math:`\alpha`-divergence.

    Parameters
    ----------
    alpha
        0 is the ELBO; towards 1, draws that explain their site better count more, and q covers more
        of the posterior: with one site, 1 is :math:`\mathrm{KL}(p \,\|\, q)`.
    observations_per_site
        n, at most N. For a model that fits, the squared gradients of the sites take the share
        :math:`\alpha n / B` of the curvature away (B observed values in a minibatch), so the
        standard deviations grow by :math:`(1 - \alpha n / B)^{-1/2}`: choose n = B to make the
        minibatch the site, as the energy wants it, and n below :math:`B / \alpha` always. The
        default suits minibatches of 32 or more. None is one site of all N (Rényi VI), for exact
        gradients and few weights only: with many, one of the draws takes all the weight (see
        ``effective_draws`` of the optimizer).
    num_draws
        Draws K, and so gradient evaluations, a step, all on the same minibatch. The weights are
        normalised over them: with few draws the fixed point lies between the ELBO's and that of
        :math:`\alpha`.
    antithetic
        Whether the draws come in pairs :math:`m \pm \sigma\varepsilon` (``num_draws`` even).
    learning_rate, scale_learning_rate
        Adam's step sizes for the means and for :math:`\log \sigma`.
    initial_scale
        σ at the start, in prior standard deviations.
    """

    name: ClassVar[str] = "alpha"
    family = "mean_field"

    warm_start: float = 0.5
    alpha: float = 0.5
    observations_per_site: float | None = 32.0
    num_draws: int = 4
    antithetic: bool = True
    scale_learning_rate: float = 3e-2
    initial_scale: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        alpha, size, draws = self.alpha, self.observations_per_site, self.num_draws
        require(is_not_negative(alpha), "alpha", alpha, "0 or more, and finite")
        require(
            size is None or is_positive(size), "observations_per_site", size, "positive or None"
        )
        require(isinstance(self.antithetic, bool), "antithetic", self.antithetic, "True or False")
        require(is_count(draws), "num_draws", draws, "an integer of at least 1")
        require(
            not self.antithetic or draws % 2 == 0, "num_draws", draws, "even for antithetic pairs"
        )
        for name in ("scale_learning_rate", "initial_scale"):
            require(is_positive(getattr(self, name)), name, getattr(self, name), "positive")

    @property
    def evaluations_per_step(self) -> int:
        """One for each draw."""
        return self.num_draws

    @property
    def optimizer_class(self) -> type[AlphaOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return AlphaOptimizer


class AlphaOptimizer(AdamMeanOptimizer):
    """Adam on means and log standard deviations along weighted draws."""

    method: AlphaDivergence
    posterior: MeanFieldGaussian

    def __init__(
        self,
        module: nn.Module,
        method: AlphaDivergence,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        size = method.observations_per_site
        self._site_size = float(num_observations if size is None else min(size, num_observations))
        values, log_scale = self.flat.values, self._vector("log_scale")
        log_scale.fill_(method.initial_scale)
        self.prior.multiply_by_scale_(log_scale)
        self._fix_(log_scale.log_(), -torch.inf)
        self.posterior = MeanFieldGaussian(values.clone(), log_scale.mul(-2.0).exp_())
        self._vector("scale_momentum")
        self._vector("scale_second_moment")
        self._vectors["effective_draws"] = values.new_full((), float(method.num_draws))

    @property
    def effective_draws(self) -> Tensor:
        r""":math:`1 / \sum_k w_k^2` of the last step, 0-dim.

        From 1, where one draw decides alone, to K, where the weights are uniform as in the ELBO.
        """
        return self._vectors["effective_draws"]

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        """How many draws the weights leave: 1 to ``num_draws``."""
        return {} if self.warming else {"effective_draws": self.effective_draws}

    def _step(self, closure: Closure) -> Tensor:
        if self.warming:
            return self._warm_step(closure, self.learning_rate())
        mean, precision, gradient = self._mean, self.posterior.precision, self.flat.gradient
        log_scale, scratch = self._vectors["log_scale"], self.flat.values
        # The prior along sigma: slope a (times sigma) and curvature r of -log p_0 in the noise.
        slope, curvature = torch.zeros_like(mean), torch.zeros_like(mean)
        self.prior.add_gradient_(slope, mean, 1.0)
        slope.mul_(torch.rsqrt(precision, out=scratch))
        self.prior.add_precision_(curvature, 1.0, times=scratch.square_())
        loss, gradients, excess = self._weighted_draws(closure, slope, curvature)
        share, inverse_n = 1.0 / self.likelihood_weight, 1.0 / self.num_observations
        # Mean: weighted gradient + [prior(mean) + excess eps (r - T) / sigma] / N.
        torch.sub(curvature, self.temperature, out=gradient)
        gradient.mul_(torch.sqrt(precision, out=scratch)).mul_(excess[0]).mul_(inverse_n)
        self._fix_(gradient, 0.0).add_(gradients[0])
        self.prior.add_gradient_(gradient, mean, inverse_n)
        # Log sigma: sigma weighted(g eps) + [a excess eps + (r - T) (1 + excess eps^2)] / N.
        scale_gradient = gradients[1].mul_(scratch.reciprocal_())
        scale_gradient.addcmul_(slope, excess[0], value=inverse_n)
        excess[1].add_(1.0)
        scale_gradient.addcmul_(curvature, excess[1], value=inverse_n)
        scale_gradient.add_(excess[1], alpha=-share)
        self._move_mean(self.learning_rate())
        adam_step_(
            log_scale,
            scale_gradient,
            self._vectors["scale_momentum"],
            self._vectors["scale_second_moment"],
            step=self.steps - self.phase_ends["warm_start"],
            learning_rate=self.learning_rate()
            * (self.method.scale_learning_rate / self.method.learning_rate),
        )
        torch.mul(log_scale, -2.0, out=self.posterior.precision).exp_()
        return loss

    def _weighted_draws(
        self, closure: Closure, slope: Tensor, curvature: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        r"""Evaluate at all draws.

        Returns
        -------
        loss, gradients, excess
            The mean loss; the weighted means of :math:`g` and :math:`g\varepsilon`; the weighted
            minus the plain means of :math:`\varepsilon` and :math:`\varepsilon^2`. Vectors are
            ``num_weights``.
        """
        method, mean = self.method, self.posterior.mean
        weighted = [torch.zeros_like(mean) for _ in range(4)]
        plain = [torch.zeros_like(mean) for _ in range(2)]
        losses, log_weights = [], []
        kept = method.num_draws if self.evaluates_together else 1
        noises, scratch = mean.new_empty(kept, len(mean)), self.flat.values

        def place(k: int, out: Tensor) -> None:
            noise = noises[k % kept]
            if method.antithetic and k % 2 == 1:
                torch.neg(noises[(k - 1) % kept], out=noise)
            else:
                self._fix_(normal_(noise, self.generator), 0.0)
            # Until the closure fills it, the gradient's buffer is free.
            scale = torch.rsqrt(self.posterior.precision, out=self.flat.gradient)
            torch.addcmul(mean, noise, scale, out=out)

        for k, (loss, gradient) in enumerate(self._evaluate_each(closure, method.num_draws, place)):
            noise = noises[k % kept]
            losses.append(loss)
            log_weights.append(self._log_weight(loss, noise, slope, curvature))
            # Running means under weights normalised so far: no draw is kept.
            so_far = torch.logsumexp(torch.stack(log_weights), 0)
            fraction, share = (log_weights[-1] - so_far).exp(), 1.0 / (k + 1)
            weighted[0].lerp_(gradient, fraction)
            weighted[1].lerp_(gradient.mul_(noise), fraction)
            weighted[2].lerp_(noise, fraction)
            plain[0].lerp_(noise, share)
            squares = torch.square(noise, out=scratch)
            weighted[3].lerp_(squares, fraction)
            plain[1].lerp_(squares, share)
        together = torch.stack(log_weights)
        effective = (2 * together.logsumexp(0) - (2 * together).logsumexp(0)).exp()
        self._vectors["effective_draws"].copy_(effective)
        excess = (weighted[2].sub_(plain[0]), weighted[3].sub_(plain[1]))
        return torch.stack(losses).mean(), (weighted[0], weighted[1]), excess

    def _log_weight(self, loss: Tensor, noise: Tensor, slope: Tensor, curvature: Tensor) -> Tensor:
        r"""Return :math:`\alpha \ell_m` up to a constant, 0-dim; overwrites the weights."""
        per_site = self._site_size / self.num_observations
        bent = torch.mul(noise, curvature, out=self.flat.values)
        prior = noise.dot(slope) + 0.5 * noise.dot(bent)
        site = -self._site_size * loss.to(noise.dtype) - per_site * prior
        return self.method.alpha * (site / self.temperature + 0.5 * per_site * noise.dot(noise))
