r"""Priors over weights: independent Gaussians, with a mean and a scale for each parameter.

A :class:`Prior` is a small serialisable rule. :meth:`Prior.resolve` applies it to the parameters
of a module and gives a :class:`ResolvedPrior`, which adds the exact prior terms

.. math:: \nabla \log p(\theta) = -\frac{\theta - m_0}{s_0^2}, \qquad
          -\nabla^2 \log p(\theta) = \frac{1}{s_0^2}

to flat vectors. One float stands for a whole parameter, so a prior costs no weight-sized memory
(except :class:`CentredPrior`, which is one weight-sized vector of means and one of precisions).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from tsbnn.inference.flat import Slot


def _positive(name: str, value: float) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, not {value!r}")


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

    def resolve(self, slots: list[Slot], like: Tensor) -> ResolvedPrior:
        """Apply the rule to parameters; ``like`` gives dtype and device."""
        return ResolvedPrior([self.moments(slot) for slot in slots], slots, like)


@dataclass(frozen=True)
class IsotropicPrior(Prior):
    r"""Every weight :math:`\mathcal N(0, \mathrm{scale}^2)`."""

    scale: float = 1.0
    name = "isotropic"

    def __post_init__(self) -> None:
        _positive("scale", self.scale)

    def moments(self, slot: Slot) -> tuple[float, float]:
        """Return mean 0 and the common scale."""
        return 0.0, self.scale


_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


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
        _positive("gain", self.gain)

    def moments(self, slot: Slot) -> tuple[float, float]:
        """Return the moments by the kind of layer that owns the parameter."""
        if isinstance(slot.owner, _NORMS) and slot.attribute == "weight":
            return 1.0, 1.0
        if isinstance(slot.owner, nn.Embedding | nn.EmbeddingBag) or len(slot.shape) < 2:
            return 0.0, 1.0
        return 0.0, self.gain / math.sqrt(max(1, slot.shape[1:].numel()))


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

    def moments(self, slot: Slot) -> tuple[float | Tensor, float | Tensor]:
        """Cut the parameter's part out of the vectors."""
        return self._part("mean", slot), self._part("scale", slot)

    def _part(self, attribute: str, slot: Slot) -> float | Tensor:
        value = getattr(self, attribute)
        if not isinstance(value, Tensor):
            return float(value)
        end = slot.offset + slot.size
        if value.ndim != 1 or end > len(value):
            raise ValueError(
                f"the {attribute} of CentredPrior has shape {tuple(value.shape)}, but parameter "
                f"{slot.name!r} takes weights {slot.offset} to {end}: it belongs to another module"
            )
        return value[slot.offset : end]

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

    def moments(self, slot: Slot) -> tuple[float | Tensor, float | Tensor]:
        """Ask the first prior whose pattern matches the parameter's name."""
        for pattern, prior in self.overrides.items():
            if fnmatchcase(slot.name, pattern):
                return prior.moments(slot)
        return self.default.moments(slot)

    def resolve(self, slots: list[Slot], like: Tensor) -> ResolvedPrior:
        """Apply the rule; every pattern must match some parameter."""
        for pattern in self.overrides:
            match_names([pattern], slots)
        return super().resolve(slots, like)

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
        settings["default"] = prior_from_dict(settings["default"])
        settings["overrides"] = {k: prior_from_dict(v) for k, v in settings["overrides"].items()}
    try:
        return PRIORS[name](**settings)
    except TypeError as error:
        raise ValueError(f"prior {name!r} cannot be built from {settings}: {error}") from error


def match_names(patterns: list[str], slots: list[Slot]) -> list[bool]:
    """Say for each parameter whether one of the shell-style ``patterns`` matches its name.

    Raises
    ------
    ValueError
        If a pattern matches no parameter; the message lists the names.
    """
    for pattern in patterns:
        if not any(fnmatchcase(slot.name, pattern) for slot in slots):
            names = ", ".join(slot.name for slot in slots)
            raise ValueError(f"pattern {pattern!r} matches no trainable parameter of: {names}")
    return [any(fnmatchcase(slot.name, pattern) for pattern in patterns) for slot in slots]


class ResolvedPrior:
    """Prior means and precisions of every weight of one module, one float a parameter if possible.

    Parameters
    ----------
    moments
        Mean and standard deviation for each parameter: floats or vectors (``slot.size``).
    slots
        The parameters.
    like
        A tensor of the weights' dtype and device.
    """

    def __init__(
        self,
        moments: list[tuple[float | Tensor, float | Tensor]],
        slots: list[Slot],
        like: Tensor,
    ) -> None:
        self.slots = slots
        self.sizes = [slot.size for slot in slots]
        self.means: list[float] | Tensor
        self.precisions: list[float] | Tensor
        if any(isinstance(value, Tensor) for pair in moments for value in pair):
            self.means = self._vector([mean for mean, _ in moments], like)
            self.precisions = self._vector([scale for _, scale in moments], like).pow(-2)
        else:
            self.means = [float(mean) for mean, _ in moments]
            self.precisions = [float(scale) ** -2 for _, scale in moments]

    def _vector(self, values: list[float | Tensor], like: Tensor) -> Tensor:
        parts = []
        for value, size in zip(values, self.sizes, strict=True):
            part = torch.as_tensor(value, dtype=like.dtype, device=like.device)
            parts.append(part.expand(size))
        return torch.cat(parts)

    def to(self, like: Tensor) -> None:
        """Move the vectors, if there are any, to the dtype and device of ``like``."""
        if isinstance(self.means, Tensor) and isinstance(self.precisions, Tensor):
            self.means, self.precisions = self.means.to(like), self.precisions.to(like)

    def _split(self, vector: Tensor) -> list[Tensor]:
        return list(vector.split(self.sizes))

    def add_gradient_(self, gradient: Tensor, weights: Tensor, factor: float) -> None:
        r"""Add ``factor`` times :math:`-\nabla \log p = (\theta - m_0)/s_0^2` to ``gradient``.

        All vectors are ``num_weights`` long.
        """
        if isinstance(self.precisions, Tensor):
            pull = (weights - self.means).mul_(self.precisions)
            gradient.add_(pull, alpha=factor)
            return
        for part, weight, mean, precision in zip(
            self._split(gradient), self._split(weights), self.means, self.precisions, strict=True
        ):
            part.add_(weight, alpha=factor * precision)
            if mean:
                part.sub_(factor * precision * mean)

    def add_precision_(self, vector: Tensor, factor: float, times: Tensor | None = None) -> None:
        """Add ``factor * precision * times`` to ``vector``; ``times`` is one where not given."""
        if isinstance(self.precisions, Tensor):
            if times is None:
                vector.add_(self.precisions, alpha=factor)
            else:
                vector.addcmul_(times, self.precisions, value=factor)
            return
        if times is None:
            torch._foreach_add_(self._split(vector), [factor * p for p in self.precisions])
            return
        for part, weight, precision in zip(
            self._split(vector), self._split(times), self.precisions, strict=True
        ):
            part.add_(weight, alpha=factor * precision)

    def multiply_by_scale_(self, vector: Tensor) -> None:
        """Multiply ``vector`` (``num_weights``) by the prior standard deviations in place."""
        if isinstance(self.precisions, Tensor):
            vector.mul_(self.precisions.rsqrt())
        else:
            torch._foreach_mul_(self._split(vector), [p**-0.5 for p in self.precisions])

    def negative_log_density(self, weights: Tensor) -> Tensor:
        r"""Return :math:`-\log p(\theta)` in nats as a 0-dim tensor."""
        total = torch.zeros((), dtype=weights.dtype, device=weights.device)
        if isinstance(self.precisions, Tensor):
            squares = (weights - self.means).square() * self.precisions
            return 0.5 * (squares - self.precisions.log() + math.log(2 * math.pi)).sum()
        for part, mean, precision in zip(
            self._split(weights), self.means, self.precisions, strict=True
        ):
            constant = part.numel() * 0.5 * math.log(2 * math.pi / precision)
            total = total + 0.5 * precision * (part - mean).square().sum() + constant
        return total
