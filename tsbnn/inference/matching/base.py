"""What batch-and-match and Gaussian score matching share: draws, their scores, a full Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.checks import is_count, is_positive, require
from tsbnn.inference.method import PosteriorMethod
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import FullGaussian, normal

MAX_WEIGHTS = 2_000


@dataclass(frozen=True, kw_only=True)
class ScoreMatchingMethod(PosteriorMethod):
    """Settings of methods that fit a full Gaussian to scores at its own draws.

    Meant for at most 2,000 Bayesian weights and for exact gradients: under minibatch noise both
    methods are biased, since the noise enters the covariance squared.

    Parameters
    ----------
    learning_rate
        Strength of an update; 1 is the papers'. See each method.
    warm_start_learning_rate
        Adam's step size for the mean in the warm start, and for weights without a spread; follows
        the schedule of ``learning_rate``.
    num_draws
        Draws, and so gradient evaluations, a step; all on the same minibatch.
    initial_scale
        Standard deviations at the start, in prior standard deviations.
    """

    family = "full"

    learning_rate: float = 1.0
    schedule: str = "constant"
    warm_start_learning_rate: float = 5e-3
    warm_start: float = 0.5
    num_draws: int = 8
    initial_scale: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("warm_start_learning_rate", "initial_scale"):
            require(is_positive(getattr(self, name)), name, getattr(self, name), "positive")
        require(is_count(self.num_draws), "num_draws", self.num_draws, "an integer of at least 1")

    @property
    def evaluations_per_step(self) -> int:
        """One for each draw."""
        return self.num_draws


class ScoreMatchingOptimizer(AdamMeanOptimizer):
    """Draws a batch of weights, asks for the scores there, and updates a full Gaussian.

    The linear algebra is done in float64. Persistent state: the Cholesky factor, and Adam's two
    moments.
    """

    method: ScoreMatchingMethod
    posterior: FullGaussian

    def __init__(
        self,
        module: nn.Module,
        method: ScoreMatchingMethod,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        values = self.flat.values
        scale = torch.full_like(values, method.initial_scale)
        self.prior.multiply_by_scale_(scale)
        index = torch.nonzero(self._fix_(scale, 0.0)).squeeze(1)
        if len(index) > MAX_WEIGHTS:
            raise ValueError(
                f"{type(method).__name__} keeps a full covariance, for at most {MAX_WEIGHTS} "
                f"Bayesian weights, not {len(index)}. Choose some with bayesian_parameters, or use "
                "'score' or 'elbo' (mean-field or low-rank)."
            )
        self.posterior = FullGaussian(values.clone(), torch.diag(scale[index]), index)

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's moments during the warm start: later the mean does not move by them."""
        return super().gradient_moments() if self.warming else None

    def _step(self, closure: Closure) -> Tensor:
        factor = self.learning_rate() / self.method.learning_rate
        adam_rate = factor * self.method.warm_start_learning_rate
        if self.warming:
            return self._warm_step(closure, adam_rate)
        posterior, weights = self.posterior, self.flat.values
        index, scale_tril = posterior.index, posterior.scale_tril.double()
        mean = posterior.mean[index].double()
        noise = normal((self.method.num_draws, len(index)), scale_tril, self.generator)
        draws = (mean + noise @ scale_tril.T).to(weights)
        scores = torch.empty_like(draws)
        total, losses = torch.zeros_like(weights), []

        def place(k: int, out: Tensor) -> None:
            out.copy_(posterior.mean)
            out[index] = draws[k]

        for k, (loss, gradient) in enumerate(self._evaluate_each(closure, len(draws), place)):
            place(k, weights)
            self.prior.add_gradient_(gradient, weights, 1.0 / self.num_observations)
            torch.mul(gradient[index], -self.likelihood_weight, out=scores[k])
            losses.append(loss)
            total.add_(gradient)
        mean, scale_tril = self._update(mean, scale_tril, draws.double(), scores.double())
        if len(index) < len(weights):
            torch.div(total, len(draws), out=self.flat.gradient)
            self._move_mean(adam_rate)
        posterior.mean[index] = mean.to(weights)
        posterior.scale_tril.copy_(scale_tril)
        return torch.stack(losses).mean()

    def _update(
        self, mean: Tensor, scale_tril: Tensor, draws: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the next mean (``num_free``) and Cholesky factor (``num_free x num_free``).

        ``draws`` and ``scores`` are ``num_draws x num_free``; all are float64.
        """
        raise NotImplementedError


def cholesky_of_product(factor: Tensor) -> Tensor:
    r"""Return the Cholesky factor of :math:`F F^\top` without forming the product.

    Parameters
    ----------
    factor
        :math:`F`, ``size x columns`` with at least as many columns as rows.
    """
    upper: Tensor = torch.linalg.qr(factor.T, mode="r").R
    # QR leaves the signs of the rows free; a Cholesky factor has a positive diagonal.
    signs = torch.where(upper.diagonal() < 0, -1.0, 1.0).to(upper)
    return (upper * signs.unsqueeze(1)).T
