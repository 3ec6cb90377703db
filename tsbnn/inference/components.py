r"""The components of a mixture posterior: where they start, and what weights their ELBOs give them.

With components' entropies :math:`H_k` and responsibilities :math:`r_k`, the ELBO of a mixture is

.. math:: \sum_k \pi_k \left\{ L_k - \log \pi_k \right\}, \qquad
          L_k = \mathbb E_{q_k} \left[ -\tfrac NT \mathrm{loss} + \tfrac1T \log p + \log r_k \right]
                + H_k ,

and its best weights are :math:`\pi_k \propto e^{L_k}`. Prior and entropy are exact; loss and
overlap are running means over the draws of training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsbnn.inference.initialise import fresh_weights
from tsbnn.inference.posteriors import MixtureGaussian
from tsbnn.inference.priors import ResolvedPrior


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
