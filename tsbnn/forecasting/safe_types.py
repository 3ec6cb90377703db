"""Which classes and functions a model on disk may name.

GluonTS's serde imports and calls whatever importable class a JSON file names. Here every name is
looked at first: it must be on the list below, and be the very object that is defined there (no
way through one module's imports into another's).
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any

# Packages all of whose classes only hold settings, transform arrays or compute with tensors.
CLASS_PACKAGES = (
    "gluonts.model.forecast_generator",
    "gluonts.time_feature",
    "gluonts.torch.distributions",
    "gluonts.torch.model",
    "gluonts.torch.modules",
    "gluonts.torch.scaler",
    "gluonts.transform",
    "tsbnn.forecasting",
    "tsbnn.networks",
)
# Functions named as values: time features.
FUNCTION_PACKAGES = ("gluonts.time_feature",)
# What serde itself writes for tuples, arrays and calendar types.
BUILDERS = frozenset(
    {
        "builtins.frozenset",
        "builtins.set",
        "builtins.tuple",
        "numpy.array",
        "numpy.datetime64",
        "numpy.dtype",
        "pandas.Period",
        "pandas.Timestamp",
        "pandas.tseries.frequencies.to_offset",
    }
)
# Types named as values: element types of arrays.
VALUES = frozenset(
    {
        "builtins.bool",
        "builtins.float",
        "builtins.int",
        "numpy.float32",
        "numpy.float64",
        "numpy.int32",
        "numpy.int64",
    }
)


class UnsafeTypeError(ValueError):
    """A description names something that is not on the list."""


def check_types(description: Any, trusted: Collection[str] = ()) -> None:
    """Check every name in a serde description; nothing is built or called.

    Parameters
    ----------
    description
        What :func:`gluonts.core.serde.encode` gave, after a way through JSON.
    trusted
        Further packages that the caller vouches for.

    Raises
    ------
    UnsafeTypeError
        Naming the first type that is not allowed.
    """
    if isinstance(description, list):
        for value in description:
            check_types(value, trusted)
    elif isinstance(description, dict):
        if "__kind__" in description:
            _check(description["__kind__"], description.get("class"), trusted)
        for value in description.values():
            check_types(value, trusted)


def _check(kind: Any, name: Any, trusted: Collection[str]) -> None:
    allowed = isinstance(name, str) and (
        (
            kind == "instance"
            and (name in BUILDERS or _is_defined(name, trusted, callable_too=False))
        )
        or (kind == "type" and (name in VALUES or _is_defined(name, trusted, callable_too=True)))
    )
    if not allowed:
        raise UnsafeTypeError(
            f"{name!r} (kind {kind!r}) is not a type that a saved model may name."
        )


def _is_defined(name: str, trusted: Collection[str], *, callable_too: bool) -> bool:
    """Say whether an allowed package defines a class (or function) of exactly this name."""
    parts = name.split(".")
    packages = (*CLASS_PACKAGES, *trusted)
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        if not _inside(module, packages):
            return False
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        full = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', None)}"
        functions = (*FUNCTION_PACKAGES, *trusted)
        return full == name and (
            isinstance(found, type) or (callable_too and _inside(module, functions))
        )
    return False


def _inside(module: str, packages: Collection[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
