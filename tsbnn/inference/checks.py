"""Checks of settings and losses, and the messages for those that do not fit."""

from __future__ import annotations

import math
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, TypeGuard


def require(condition: bool, name: str, value: object, wanted: str) -> None:
    """Raise ``ValueError`` naming a setting, its value and what would be right."""
    if not condition:
        raise ValueError(f"{name} must be {wanted}, not {value!r}")


def not_finite(loss: float, gradient_evaluations: int) -> FloatingPointError:
    """Return the error for a loss, or a gradient where the loss is finite, that is not."""
    name = "gradient" if math.isfinite(loss) else "loss"
    return FloatingPointError(
        f"the {name} is not finite after {gradient_evaluations} gradient evaluations "
        f"(loss {loss}); the step was not taken. Check the data for extreme values "
        "and the network for operations without a gradient, or lower the learning rate."
    )


def as_python(settings: Any) -> None:
    """Make other libraries' numbers among the fields of a dataclass Python's, for JSON."""
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if isinstance(value, Real) and not isinstance(value, int | float):
            number = int(value) if isinstance(value, Integral) else float(value)
            object.__setattr__(settings, setting.name, number)


def is_positive(value: object) -> TypeGuard[float]:
    """Say whether ``value`` is a positive finite number (Python's or NumPy's, no bool)."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return 0 < float(value) < math.inf


def is_not_negative(value: object) -> bool:
    """Say whether ``value`` is a finite number of at least 0."""
    return value == 0 or is_positive(value)


def is_share(value: object) -> bool:
    """Say whether ``value`` is a number from 0 to below 1."""
    return value == 0 or (is_positive(value) and value < 1)


def is_count(value: object) -> bool:
    """Say whether ``value`` is an integer (Python's or NumPy's, no bool) of at least 1."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def are_texts(value: object) -> bool:
    """Say whether ``value`` is a tuple of strings, perhaps empty."""
    return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
