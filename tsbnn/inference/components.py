r"""The components of a mixture posterior: where they start, and what weights their ELBOs give them.

With components' entropies :math:`H_k` and responsibilities :math:`r_k`, the ELBO of a mixture is

.. math:: \sum_k \pi_k \left\{ L_k - \log \pi_k \right\}, \qquad
          L_k = \mathbb E_{q_k} \left[ -\tfrac NT \mathrm{loss} + \tfrac1T \log p + \log r_k \right]
                + H_k ,

and its best weights are :math:`\pi_k \propto e^{L_k}`. Prior and entropy are exact; loss and
overlap are running means over the draws of training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.initialise import fresh_weights
from tsbnn.inference.posteriors import MixtureGaussian
from tsbnn.inference.resolved_prior import ResolvedPrior


def starting_means(
    module: nn.Module,
    weights: Tensor,
    prior: ResolvedPrior,
    generator: torch.Generator | None,
    num_components: int,
) -> Tensor:
    r"""Return where components start: ``num_components x num_weights``.

    The first at the module's present weights, the others at new initialisations, every second of
    them the reflection :math:`2 m_0 - \theta` of the one before at the prior's mean: as likely an
    initialisation, and as far apart as two can be.
    """
    starts = [weights.clone()]
    while len(starts) < num_components:
        fresh = fresh_weights(module, prior, generator)
        reflected = fresh.neg()
        prior.add_mean_(reflected, 2.0)
        starts += [fresh, reflected]
    return torch.stack(starts[:num_components])


def average_evidence_(
    evidence: Tensor, losses: Tensor, log_responsibilities: Tensor, weight: float, step: int
) -> None:
    r"""Take one more draw of each component into the running means of its sampled terms.

    Losses enter as differences from their mean over components, all on one minibatch, so most of
    the minibatch's noise cancels. The k-th step has weight 2/(k+1): later ones count more.

    Parameters
    ----------
    evidence
        Running means of :math:`-\tfrac NT \mathrm{loss} + \log r_k` up to a common constant,
        ``num_components``; changed in place.
    losses, log_responsibilities
        At this step's draws, ``num_components``.
    weight
        N/T.
    step
        Steps taken before.
    """
    sampled = (losses.mean() - losses) * weight + log_responsibilities
    evidence.lerp_(sampled.to(evidence), 2.0 / (step + 2.0))


def component_log_weights(
    posterior: MixtureGaussian, prior: ResolvedPrior, evidence: Tensor, temperature: float
) -> Tensor:
    r"""Return the best :math:`\log \pi`, ``num_components``."""
    exact = []
    for k in range(posterior.num_components):
        component = posterior.component(k)
        density = prior.expected_log_density(component.mean, component.variance)
        exact.append(density / temperature + component.entropy())
    return (torch.stack(exact) + evidence).log_softmax(0)


class ComponentSteps(AdamMeanOptimizer):
    """What optimizers of mixtures add to those of one Gaussian, which they work on by turns.

    A subclass of this and of such an optimizer runs the inherited steps for each component: they
    reach mean, precision and state through ``_mean``, ``_precision`` and ``_kept``. Between steps
    the module holds the mean of the heaviest component.
    """

    posterior: MixtureGaussian

    def _build_components(
        self, module: nn.Module, count: int, precision: Tensor, state: Iterable[str]
    ) -> None:
        """Create the posterior, and vectors of state ``num_components x num_weights``."""
        means = starting_means(module, self.flat.values, self.prior, self.generator, count)
        log_weights = means.new_full((count,), -math.log(count))
        self.posterior = MixtureGaussian(means, precision.repeat(count, 1), log_weights)
        for name in state:
            self._vectors[name] = torch.zeros_like(means)
        self._vectors["evidence"] = means.new_zeros(count)
        # The component that the inherited steps work on, and log r_k at its draws of this step.
        self._current = 0
        self._log_responsibilities: list[Tensor] = []

    @property
    def _mean(self) -> Tensor:
        return self.posterior.means[self._current]

    @property
    def _precision(self) -> Tensor:
        return self.posterior.precisions[self._current]

    def _kept(self, name: str) -> Tensor:
        return self._vectors[name][self._current]

    @property
    def resting_weights(self) -> Tensor:
        """Mean of the heaviest component, ``num_weights``."""
        return self.posterior.means[self.posterior.heaviest]

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's moments of the heaviest component."""
        self._current = self.posterior.heaviest
        return self._kept("momentum"), self._kept("second_moment")

    def _adjust_(self, draw: Tensor, gradient: Tensor) -> None:
        r"""Add the overlap's part to the gradient: the target times :math:`r_k` is what to fit."""
        overlap, slope = self.posterior.overlap(self._current, draw)
        self._log_responsibilities.append(overlap)
        gradient.sub_(slope, alpha=1.0 / self.likelihood_weight)

    def _weigh(self, losses: Tensor, log_responsibilities: Tensor, step: int) -> None:
        """Set the components' weights from the losses and overlaps of their draws."""
        evidence = self._vectors["evidence"]
        average_evidence_(evidence, losses, log_responsibilities, self.likelihood_weight, step)
        self.posterior.log_weights.copy_(
            component_log_weights(self.posterior, self.prior, evidence, self.temperature)
        )

    def _adopt(self) -> None:
        """Take weights that somebody put into the module as the heaviest component's mean."""
        self._follow()
        self.resting_weights.copy_(self.flat.values)
