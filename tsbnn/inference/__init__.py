"""Posterior inference for the weights of any ``torch.nn.Module``.

An inference method is a small config that builds one torch optimizer; the optimizer's state is
an approximate posterior. See :mod:`tsbnn.inference.method` for the training loop and the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsbnn.inference.alpha import AlphaDivergence
from tsbnn.inference.chains import PSGLD, SGHMC, SGLD, CyclicalSGMCMC
from tsbnn.inference.diagnostics import Diagnostics, LayerDiagnostics, PosteriorWarning
from tsbnn.inference.elbo import ELBOVI
from tsbnn.inference.elbo_natural import NaturalELBOVI
from tsbnn.inference.ensemble import Ensemble
from tsbnn.inference.flat import count_weights, weights_at
from tsbnn.inference.laplace import Laplace
from tsbnn.inference.map import MAP
from tsbnn.inference.matching import BatchAndMatch, GaussianScoreMatching
from tsbnn.inference.mc_dropout import MCDropout
from tsbnn.inference.method import InferenceMethod, PosteriorMethod
from tsbnn.inference.optimizer import BayesianOptimizer
from tsbnn.inference.posteriors import (
    DropoutPosterior,
    FullGaussian,
    LowRankGaussian,
    MeanFieldGaussian,
    MixtureGaussian,
    PointMass,
    Posterior,
    SampleSet,
    SparseGaussian,
    posterior_from_config,
)
from tsbnn.inference.priors import (
    CentredPrior,
    FanInPrior,
    IsotropicPrior,
    PatternPrior,
    Prior,
)
from tsbnn.inference.score import ProximalScoreVI
from tsbnn.inference.sparse import SparseSubspaceVI
from tsbnn.inference.stacked import evaluate_at
from tsbnn.inference.swag import SWAG

__all__ = [
    "ELBOVI",
    "MAP",
    "METHODS",
    "PSGLD",
    "SGHMC",
    "SGLD",
    "SWAG",
    "AlphaDivergence",
    "BatchAndMatch",
    "BayesianOptimizer",
    "CentredPrior",
    "CyclicalSGMCMC",
    "Diagnostics",
    "DropoutPosterior",
    "Ensemble",
    "FanInPrior",
    "FullGaussian",
    "GaussianScoreMatching",
    "InferenceMethod",
    "IsotropicPrior",
    "Laplace",
    "LayerDiagnostics",
    "LowRankGaussian",
    "MCDropout",
    "MeanFieldGaussian",
    "MixtureGaussian",
    "NaturalELBOVI",
    "PatternPrior",
    "PointMass",
    "Posterior",
    "PosteriorMethod",
    "PosteriorWarning",
    "Prior",
    "ProximalScoreVI",
    "SampleSet",
    "SparseGaussian",
    "SparseSubspaceVI",
    "count_weights",
    "evaluate_at",
    "from_dict",
    "method",
    "posterior_from_config",
    "weights_at",
]

METHODS: dict[str, type[InferenceMethod]] = {
    cls.name: cls
    for cls in (
        ProximalScoreVI,
        ELBOVI,
        NaturalELBOVI,
        AlphaDivergence,
        BatchAndMatch,
        GaussianScoreMatching,
        MAP,
        SGLD,
        PSGLD,
        SGHMC,
        CyclicalSGMCMC,
        SparseSubspaceVI,
        MCDropout,
        Ensemble,
        SWAG,
        Laplace,
    )
}


def method(name: str, **settings: Any) -> InferenceMethod:
    """Build an inference method by name, e.g. ``method("score", temperature=0.5)``.

    Raises
    ------
    ValueError
        For an unknown name, an unknown setting, or a value that does not fit.
    """
    if name not in METHODS:
        raise ValueError(f"unknown inference method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name].from_settings(settings)


def from_dict(description: Mapping[str, Any]) -> InferenceMethod:
    """Build the method that :meth:`InferenceMethod.to_dict` described.

    Raises
    ------
    ValueError
        As :func:`method`.
    """
    return method(str(description.get("name")), **description.get("settings", {}))
