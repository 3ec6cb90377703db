r"""Batch and match: a full Gaussian by a closed-form proximal step on a score-based divergence.

Given draws :math:`z_b` from :math:`q_t = \mathcal N(\mu_t, \Sigma_t)` and the target's scores
:math:`g_b` there, the next Gaussian is

.. math:: q_{t+1} = \arg\min_q\; \frac1B \sum_b \| \nabla \log q(z_b) - g_b \|^2_{\mathrm{Cov}(q)}
          + \frac{2}{\lambda_t} \mathrm{KL}(q_t \,\|\, q) .

With means :math:`\bar z, \bar g` and covariances :math:`C, \Gamma` (divided by B) of the batch,

.. math:: U = \lambda_t \Gamma + \tfrac{\lambda_t}{1+\lambda_t} \bar g \bar g^\top, \qquad
          V = \Sigma_t + \lambda_t C
              + \tfrac{\lambda_t}{1+\lambda_t} (\mu_t - \bar z)(\mu_t - \bar z)^\top ,

the covariance solves the quadratic matrix equation :math:`\Sigma U \Sigma + \Sigma = V`, and
:math:`\mu_{t+1} = \frac{1}{1+\lambda_t} \mu_t + \frac{\lambda_t}{1+\lambda_t} (\Sigma_{t+1} \bar g
+ \bar z)`. With :math:`V = L L^\top` and the eigenvalues :math:`e_i` and eigenvectors Q of
:math:`L^\top U L` the solution is :math:`L Q \operatorname{diag}(2 / (1 + \sqrt{1 + 4 e_i}))
Q^\top L^\top`.

The weighting by the covariance *inside* the argmin makes the step exact on Gaussian targets, but
under minibatch noise the score's variance enters U: the covariance is then too small.

Source: D. Cai et al., arXiv 2402.14758.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tsbnn.inference.checks import require
from tsbnn.inference.matching.base import (
    ScoreMatchingMethod,
    ScoreMatchingOptimizer,
    cholesky_of_product,
)


@dataclass(frozen=True, kw_only=True)
class BatchAndMatch(ScoreMatchingMethod):
    r"""Batch and match (BaM): a full-covariance Gaussian, at most 2,000 Bayesian weights.

    Parameters
    ----------
    learning_rate
        :math:`\lambda_t` in units of ``num_draws`` times the number of Bayesian weights. The
        larger, the more a batch counts against all that came before.
    decaying
        Whether :math:`\lambda_t` falls as :math:`1/t` from the end of the warm start, which
        averages the noise of the draws away; else it is constant (times the schedule), which
        converges exponentially on Gaussian targets.
    """

    name: ClassVar[str] = "bam"

    decaying: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(isinstance(self.decaying, bool), "decaying", self.decaying, "True or False")

    @property
    def optimizer_class(self) -> type[BatchAndMatchOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return BatchAndMatchOptimizer


class BatchAndMatchOptimizer(ScoreMatchingOptimizer):
    """One matrix square root, a Cholesky and a QR decomposition a step."""

    method: BatchAndMatch

    def _update(
        self, mean: Tensor, scale_tril: Tensor, draws: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        strength = self.learning_rate() * draws.numel()
        if self.method.decaying:
            strength /= 1 + self.steps - self.phase_ends["warm_start"]
        return batch_and_match(mean, scale_tril, draws, scores, strength)


def batch_and_match(
    mean: Tensor, scale_tril: Tensor, draws: Tensor, scores: Tensor, strength: float
) -> tuple[Tensor, Tensor]:
    r"""Return the next mean and Cholesky factor; see the module.

    Parameters
    ----------
    mean, scale_tril
        :math:`\mu_t` (``size``) and the Cholesky factor of :math:`\Sigma_t` (``size x size``).
    draws, scores
        :math:`z_b` and :math:`g_b`, ``batch x size``.
    strength
        :math:`\lambda_t`, 0 or more.
    """
    share = strength / (1.0 + strength)
    root = (strength / len(draws)) ** 0.5
    mean_draw, mean_score = draws.mean(0), scores.mean(0)
    # U = A A^T and V = B B^T, by their factors.
    left = torch.cat([root * (scores - mean_score), share**0.5 * mean_score.unsqueeze(0)]).T
    offset = share**0.5 * (mean - mean_draw).unsqueeze(0)
    right = torch.cat([scale_tril.T, root * (draws - mean_draw), offset]).T
    factor = cholesky_of_product(right)
    inner = factor.T @ left
    eigenvalues, basis = torch.linalg.eigh(inner @ inner.T)
    roots = (1.0 + 4.0 * eigenvalues.clamp(min=0.0)).sqrt()
    factor = cholesky_of_product(factor @ (basis * (2.0 / (1.0 + roots)).sqrt()))
    matched = factor @ (factor.T @ mean_score) + mean_draw
    return mean + share * (matched - mean), factor
