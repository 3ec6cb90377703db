"""Settings that choose the family of a variational method: one Gaussian, low rank, or a mixture."""

from __future__ import annotations

from dataclasses import dataclass

from tsbnn.inference.checks import is_count, require
from tsbnn.inference.method import PosteriorMethod

FAMILIES = ("mean_field", "low_rank", "mixture")
COMPONENT_WEIGHTS = ("elbo", "equal")


@dataclass(frozen=True, kw_only=True)
class VariationalMethod(PosteriorMethod):
    r"""Settings of methods that fit any of the families.

    Parameters
    ----------
    family
        - ``"mean_field"``: independent Gaussians, :class:`~tsbnn.inference.MeanFieldGaussian`;
        - ``"low_rank"``: covariance :math:`\operatorname{diag}(d^2) + U U^\top` with ``rank``
          columns, :class:`~tsbnn.inference.LowRankGaussian`;
        - ``"mixture"``: ``num_components`` mean-field Gaussians,
          :class:`~tsbnn.inference.MixtureGaussian`. The first starts at the module's weights, the
          others at new initialisations; each takes the evaluations of a method of its own.
    rank
        Columns of the low-rank factor.
    num_components
        Components of the mixture.
    component_weights
        Weights of the components: ``"elbo"``, proportional to the exponential of each one's ELBO,
        or ``"equal"``. ELBOs of networks differ by many nats, so the first leaves all the weight
        with the best component, as Bayes' rule does; the second is an ensemble of posteriors.
    """

    family: str = "mean_field"
    rank: int = 5
    num_components: int = 3
    component_weights: str = "elbo"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.family in FAMILIES, "family", self.family, f"one of {', '.join(FAMILIES)}")
        for name in ("rank", "num_components"):
            value = getattr(self, name)
            require(is_count(value), name, value, "an integer of at least 1")
        require(
            self.component_weights in COMPONENT_WEIGHTS,
            "component_weights",
            self.component_weights,
            f"one of {', '.join(COMPONENT_WEIGHTS)}",
        )

    @property
    def evaluations_per_warm_step(self) -> int:
        """How often a step of the warm start calls its closure: once for each component."""
        return self.num_components if self.family == "mixture" else 1
