r"""Priors over weights: independent Gaussians, with a mean and a scale for each parameter.

A :class:`Prior` is a small serialisable rule. :meth:`Prior.resolve` applies it to the parameters
of a module and gives a :class:`~tsbnn.inference.resolved_prior.ResolvedPrior`, which does the
arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvTransposeNd

from tsbnn.inference.checks import as_python, is_positive, require
from tsbnn.inference.flat import Slot, slots
from tsbnn.inference.posteriors import Posterior
from tsbnn.inference.resolved_prior import ResolvedPrior


class Prior:
    """A rule that gives every parameter of a module its Gaussian prior."""

    name = ""

    def moments(self, slot: Slot) -> tuple[float | Tensor, float | Tensor]:
        """Return the prior mean and standard deviation of one parameter.

        Floats, or vectors (``slot.size``).
        """
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Describe the prior in JSON terms: its name and settings."""
        return {"name": self.name, "settings": dict(vars(self))}

    def resolve(self, places: list[Slot], like: Tensor) -> ResolvedPrior:
        """Apply the rule to parameters; ``like`` gives dtype and device."""
        return ResolvedPrior([self.moments(slot) for slot in places], places, like)


@dataclass(frozen=True)
class IsotropicPrior(Prior):
    r"""Every weight :math:`\mathcal N(0, \mathrm{scale}^2)`."""

    scale: float = 1.0
    name = "isotropic"

    def __post_init__(self) -> None:
        as_python(self)
        require(is_positive(self.scale), "scale", self.scale, "a positive finite number")

    def moments(self, slot: Slot) -> tuple[float, float]:
        """Return mean 0 and the common scale."""
        return 0.0, self.scale


# Batch and instance normalisation, of any number of dimensions, are `_NormBase`.
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)


@dataclass(frozen=True)
class FanInPrior(Prior):
    r"""Scales that keep activations of order one, whatever the layer's width. The default.

    Matrices and convolution kernels :math:`\mathcal N(0, \mathrm{gain}^2/\mathrm{fan\_in})`,
    biases :math:`\mathcal N(0, 1)`, gains of normalisation layers :math:`\mathcal N(1, 1)`,
    embeddings :math:`\mathcal N(0, 1)`.

    References
    ----------
    R. M. Neal, *Bayesian Learning for Neural Networks*, 1996, chapter 2.
    """

    gain: float = 1.0
    name = "fan_in"

    def __post_init__(self) -> None:
        as_python(self)
        require(is_positive(self.gain), "gain", self.gain, "a positive finite number")

    def moments(self, slot: Slot) -> tuple[float, float]:
        """Return the moments by the kind of layer that owns the parameter."""
        if isinstance(slot.owner, _NORMS) and slot.attribute == "weight":
            return 1.0, 1.0
        if isinstance(slot.owner, nn.Embedding | nn.EmbeddingBag) or len(slot.shape) < 2:
            return 0.0, 1.0
        fan_in = slot.shape[1:].numel()
        if isinstance(slot.owner, _ConvTransposeNd):
            # Stored as input x output/groups x kernel, others as output x input/groups x kernel.
            fan_in = slot.shape[0] // slot.owner.groups * slot.shape[2:].numel()
        return 0.0, self.gain / math.sqrt(max(1, fan_in))


@dataclass(frozen=True, eq=False)
class CentredPrior(Prior):
    r"""A prior :math:`\mathcal N(\mathrm{mean}, \mathrm{scale}^2)` for each weight by itself.

    For fine-tuning around known weights, and for sequential learning: yesterday's posterior is
    today's prior.

    Parameters
    ----------
    mean, scale
        Vectors (``num_weights``) in the order of ``module.parameters()``, or floats for all;
        scales are positive (freeze a parameter with ``requires_grad_(False)`` to hold it).
    """

    mean: Tensor | float
    scale: Tensor | float
    name = "centred"

    def __post_init__(self) -> None:
        scale = torch.as_tensor(self.scale)
        if not bool(((scale > 0) & torch.isfinite(scale)).all()):
            raise ValueError("every scale of a CentredPrior must be positive and finite")
        if not bool(torch.isfinite(torch.as_tensor(self.mean)).all()):
            raise ValueError("every mean of a CentredPrior must be finite")

    @classmethod
    def from_posterior(
        cls, posterior: Posterior, module: nn.Module, fallback: Prior
    ) -> CentredPrior:
        """Make yesterday's posterior today's prior.

        Parameters
        ----------
        posterior
            A posterior over the weights of ``module``. What ``mc_dropout``, ``ensemble`` and
            ``swag`` leave is none: its spread is that of masks, members or a path, and does not
            narrow with the data. Of those take the mean alone, ``PointMass(posterior.mean)``.
        module
            The module, for the kinds of its layers.
        fallback
            Gives the scale of weights without a spread (deterministic parameters, a point mass):
            the old posterior does not say how far they may move.
        """
        mean, scale = posterior.mean.detach().clone(), posterior.variance.detach().sqrt()
        for slot in slots(module):
            part = slot.view(scale)
            own = torch.as_tensor(fallback.moments(slot)[1]).to(scale).expand(slot.size)
            part.copy_(torch.where(part == 0, own.view(slot.shape), part))
        return cls(mean, scale)

    def moments(self, slot: Slot) -> tuple[float | Tensor, float | Tensor]:
        """Cut the parameter's part out of the vectors."""
        return self._part("mean", slot), self._part("scale", slot)

    def _part(self, attribute: str, slot: Slot) -> float | Tensor:
        value = getattr(self, attribute)
        if not isinstance(value, Tensor):
            return float(value)
        return value[slot.offset : slot.offset + slot.size]

    def resolve(self, places: list[Slot], like: Tensor) -> ResolvedPrior:
        """Apply the rule; vectors must have one number for each weight."""
        for attribute, value in vars(self).items():
            if isinstance(value, Tensor) and value.shape != like.shape:
                raise ValueError(
                    f"the {attribute} of CentredPrior has shape {tuple(value.shape)}, but the "
                    f"module's weights have {tuple(like.shape)}: it belongs to another module"
                )
        return super().resolve(places, like)

    def to_dict(self) -> dict[str, Any]:
        """Describe the prior; its vectors are not JSON and are left out."""
        numbers = {k: v for k, v in vars(self).items() if not isinstance(v, Tensor)}
        return {"name": self.name, "settings": numbers}


@dataclass(frozen=True)
class PatternPrior(Prior):
    """A default prior with exceptions for parameters chosen by name.

    Parameters
    ----------
    default
        The prior of all parameters that no pattern matches.
    overrides
        Shell-style patterns over ``module.named_parameters()`` names, e.g.
        ``{"*.bias": IsotropicPrior(0.1)}``. The first that matches counts.
    """

    default: Prior = field(default_factory=FanInPrior)
    overrides: Mapping[str, Prior] = field(default_factory=dict)
    name = "pattern"

    def __post_init__(self) -> None:
        require(isinstance(self.default, Prior), "default", self.default, "a Prior")
        given = self.overrides
        are_priors = isinstance(given, Mapping) and all(
            isinstance(pattern, str) and isinstance(prior, Prior)
            for pattern, prior in given.items()
        )
        require(are_priors, "overrides", given, "a mapping of patterns to priors")

    def moments(self, slot: Slot) -> tuple[float | Tensor, float | Tensor]:
        """Ask the first prior whose pattern matches the parameter's name."""
        for pattern, prior in self.overrides.items():
            if fnmatchcase(slot.name, pattern):
                return prior.moments(slot)
        return self.default.moments(slot)

    def resolve(self, places: list[Slot], like: Tensor) -> ResolvedPrior:
        """Apply the rule; every pattern must match some parameter."""
        match_names(list(self.overrides), places)
        return super().resolve(places, like)

    def to_dict(self) -> dict[str, Any]:
        """Describe the default and the overrides."""
        overrides = {pattern: prior.to_dict() for pattern, prior in self.overrides.items()}
        return {
            "name": self.name,
            "settings": {"default": self.default.to_dict(), "overrides": overrides},
        }


PRIORS: dict[str, type[Prior]] = {
    cls.name: cls for cls in (IsotropicPrior, FanInPrior, CentredPrior, PatternPrior)
}


def prior_from_dict(description: Mapping[str, Any]) -> Prior:
    """Build the prior that :meth:`Prior.to_dict` described.

    Raises
    ------
    ValueError
        For an unknown name or settings that do not fit, and for a :class:`CentredPrior` whose
        vectors were left out.
    """
    name, settings = description.get("name"), dict(description.get("settings", {}))
    if name not in PRIORS:
        raise ValueError(f"unknown prior {name!r}; known: {', '.join(sorted(PRIORS))}")
    if name == PatternPrior.name:
        if "default" in settings:
            settings["default"] = prior_from_dict(settings["default"])
        overrides = settings.get("overrides", {})
        settings["overrides"] = {k: prior_from_dict(v) for k, v in overrides.items()}
    try:
        return PRIORS[name](**settings)
    except TypeError as error:
        raise ValueError(f"prior {name!r} cannot be built from {settings}: {error}") from error


def match_names(patterns: list[str], places: list[Slot]) -> list[bool]:
    """Say for each parameter whether one of the shell-style ``patterns`` matches its name.

    Raises
    ------
    ValueError
        If a pattern matches no parameter; the message lists the names.
    """
    for pattern in patterns:
        if not any(fnmatchcase(slot.name, pattern) for slot in places):
            names = ", ".join(slot.name for slot in places)
            raise ValueError(f"pattern {pattern!r} matches no trainable parameter of: {names}")
    return [any(fnmatchcase(slot.name, pattern) for pattern in patterns) for slot in places]
