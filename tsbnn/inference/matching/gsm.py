r"""Gaussian score matching: the nearest Gaussian whose score is the target's at a draw.

For each draw :math:`\theta` from :math:`q_0 = \mathcal N(\mu_0, \Sigma_0)` with the target's score
:math:`g = \nabla \log p(\theta)`, the update is the Gaussian q of smallest
:math:`\mathrm{KL}(q_0 \,\|\, q)` with :math:`\nabla \log q(\theta) = g`. Writing
:math:`\delta_0 = \mu_0 - \theta` and :math:`\delta = \mu - \theta`,

.. math:: \rho (1 + \rho) = g^\top \Sigma_0 g + (\delta_0^\top g)^2, \quad \rho > 0, \qquad
          \mu = \mu_0 + \frac{1}{1+\rho} \left[ I - \frac{\delta_0 g^\top}{1 + \rho
          + \delta_0^\top g} \right] (\Sigma_0 g - \delta_0), \qquad
          \Sigma = \Sigma_0 + \delta_0 \delta_0^\top - \delta \delta^\top .

A step takes the average of these means and covariances over its draws. The source has nothing to
tune, and nothing that averages minibatch noise away: one noisy score is matched exactly. On targets
that are far from a Gaussian (a network's) it can run away; a learning rate of 0.1 or less holds it.

Source: C. Modi et al., arXiv 2307.07849.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tsbnn.inference.checks import require
from tsbnn.inference.matching.base import ScoreMatchingMethod, ScoreMatchingOptimizer


@dataclass(frozen=True, kw_only=True)
class GaussianScoreMatching(ScoreMatchingMethod):
    """Gaussian score matching (GSM): a full-covariance Gaussian, at most 2,000 Bayesian weights.

    Parameters
    ----------
    learning_rate
        Share of the way from the old mean and covariance to the updated ones: at most 1, which is
        the paper's method.
    """

    name: ClassVar[str] = "gsm"

    def __post_init__(self) -> None:
        super().__post_init__()
        rate = self.learning_rate
        require(rate <= 1, "learning_rate", rate, "above 0 and at most 1")

    @property
    def optimizer_class(self) -> type[GaussianScoreMatchingOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return GaussianScoreMatchingOptimizer


class GaussianScoreMatchingOptimizer(ScoreMatchingOptimizer):
    """The average of one closed-form update for each draw."""

    method: GaussianScoreMatching

    def _update(
        self, mean: Tensor, scale_tril: Tensor, draws: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        share = min(1.0, self.learning_rate())
        means, changes = match_scores(mean, scale_tril, draws, scores)
        covariance = scale_tril @ scale_tril.T + share * changes
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if bool(failed):
            # The exact average is positive definite; rounding took it past float64. Stay.
            return mean, scale_tril
        return mean + share * (means.mean(0) - mean), factor


def match_scores(
    mean: Tensor, scale_tril: Tensor, draws: Tensor, scores: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Return the updated mean of each draw, and the average change of the covariance.

    Parameters
    ----------
    mean, scale_tril
        :math:`\mu_0` (``size``) and the Cholesky factor of :math:`\Sigma_0` (``size x size``).
    draws, scores
        :math:`\theta` and g, ``batch x size``.

    Returns
    -------
    means, change
        ``batch x size`` and ``size x size``.
    """
    offset = mean - draws
    towards = (scores @ scale_tril) @ scale_tril.T
    along = (offset * scores).sum(1, keepdim=True)
    squares = (scores * towards).sum(1, keepdim=True) + along.square()
    rho = 0.5 * ((1.0 + 4.0 * squares).sqrt() - 1.0)
    move = towards - offset
    slope = (scores * move).sum(1, keepdim=True) / (1.0 + rho + along)
    means = mean + (move - offset * slope) / (1.0 + rho)
    after = means - draws
    return means, (offset.T @ offset - after.T @ after) / len(draws)
