"""Approximate posteriors over the flat weights of a module, a family a file.

A family is a :class:`Posterior`: its tensors are buffers, it knows its moments, and it draws weight
vectors. All else (log density, score, divergence to a frozen copy) depends on the family.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsbnn.inference.posteriors.base import Posterior, VariationalFamily, normal, normal_
from tsbnn.inference.posteriors.dropout import DropoutPosterior
from tsbnn.inference.posteriors.full import FullGaussian
from tsbnn.inference.posteriors.low_rank import LowRankGaussian
from tsbnn.inference.posteriors.mean_field import MeanFieldGaussian
from tsbnn.inference.posteriors.mixture import MixtureGaussian
from tsbnn.inference.posteriors.point import PointMass
from tsbnn.inference.posteriors.samples import SampleSet
from tsbnn.inference.posteriors.sparse import SparseGaussian

__all__ = [
    "FAMILIES",
    "DropoutPosterior",
    "FullGaussian",
    "LowRankGaussian",
    "MeanFieldGaussian",
    "MixtureGaussian",
    "PointMass",
    "Posterior",
    "SampleSet",
    "SparseGaussian",
    "VariationalFamily",
    "normal",
    "normal_",
    "posterior_from_config",
]

FAMILIES: dict[str, type[Posterior]] = {
    cls.family: cls
    for cls in (
        MeanFieldGaussian,
        LowRankGaussian,
        MixtureGaussian,
        PointMass,
        SampleSet,
        SparseGaussian,
        DropoutPosterior,
        FullGaussian,
    )
}


def posterior_from_config(config: Mapping[str, Any]) -> Posterior:
    """Build the empty posterior that :meth:`Posterior.to_config` described.

    Raises
    ------
    ValueError
        For an unknown family, or sizes that are not its own.
    """
    sizes = dict(config)
    family = sizes.pop("family", None)
    if family not in FAMILIES:
        raise ValueError(f"unknown posterior family {family!r}; known: {', '.join(FAMILIES)}")
    try:
        return FAMILIES[family].blank(**{name: int(size) for name, size in sizes.items()})
    except TypeError as error:
        raise ValueError(f"family {family!r} cannot be built from {sizes}: {error}") from error
