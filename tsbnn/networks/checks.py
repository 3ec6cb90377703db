"""Checks of what users say about a network: every message names the argument and what is right."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, Python's or NumPy's."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_integers(value: Any, name: str) -> None:
    """Raise ValueError for what is neither a whole number nor a list of them."""
    many = isinstance(value, Sequence) and not isinstance(value, str)
    if not all(map(is_whole, value if many else [value])):
        wanted = "whole numbers" if many else "a whole number"
        raise ValueError(f"{name}={value!r}: expected {wanted}")


def check_whole(value: Any, name: str, least: int = 1) -> int:
    """Return a whole number of at least ``least``, or raise ValueError."""
    if not is_whole(value) or value < least:
        raise ValueError(f"{name}={value!r}: expected a whole number of at least {least}")
    return int(value)


def check_wholes(values: Any, name: str, count: int | None = None) -> list[int]:
    """Return a list of whole numbers of at least 1 (``count`` of them), or raise ValueError."""
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    if not is_list or (count is None and not values):
        raise ValueError(f"{name}={values!r}: expected a list of whole numbers of at least 1")
    if count is not None and len(values) != count:
        raise ValueError(
            f"{name}={list(values)!r}: expected {count} whole number{'s' * (count > 1)}, one for "
            f"each of num_feat_static_cat={count}, found {len(values)}"
        )
    return [check_whole(value, f"{name}[{place}]") for place, value in enumerate(values)]


def check_heads(d_model: int, nhead: int) -> None:
    """Raise ValueError for a width that its heads cannot share equally."""
    if d_model % nhead:
        raise ValueError(f"d_model={d_model}: expected a multiple of nhead={nhead}")


def check_rate(value: Any, name: str) -> float:
    """Return a number in [0, 1), or raise ValueError."""
    if not isinstance(value, float | int) or not 0 <= value < 1:
        raise ValueError(f"{name}={value!r}: expected a number of at least 0 and below 1")
    return float(value)


def check_scaling(value: Any) -> str | None:
    """Return ``"mean"``, ``"std"`` or None; True means ``"mean"`` and False None."""
    if isinstance(value, bool):
        return "mean" if value else None
    if value not in ("mean", "std", None):
        raise ValueError(f'scaling={value!r}: expected "mean" (or True), "std", or None (or False)')
    scaling: str | None = value
    return scaling


def check_default_scale(value: Any) -> float | None:
    """Return a positive number or None, or raise ValueError."""
    if value is None:
        return None
    if not isinstance(value, float | int) or not 0 < value < float("inf"):
        raise ValueError(f"default_scale={value!r}: expected a positive number or None")
    return float(value)


def check_fields(counts: dict[str, tuple[int, Any]], lengths: dict[str, int] | None = None) -> None:
    """Raise ValueError if a field of the batch that the network was built for is missing.

    Parameters
    ----------
    counts
        For each field how many columns the network expects, and the tensor or None.
    lengths
        For some of them how many times, in their second dimension.
    """
    lengths = lengths or {}
    for name, (count, field) in counts.items():
        if not count:
            continue
        if field is None:
            raise ValueError(f"{name}=None: this network was built for {count} of them")
        expected = (lengths[name], count) if name in lengths else (count,)
        if tuple(field.shape[-len(expected) :]) != expected:
            raise ValueError(
                f"{name} of shape {tuple(field.shape)}: this network was built for "
                f"batch x {' x '.join(map(str, expected))}"
            )
