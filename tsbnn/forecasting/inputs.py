"""What training and prediction are given, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tsbnn.networks.checks import check_whole, is_whole

__all__ = [
    "check_dataset",
    "check_no_more",
    "check_seed",
    "check_whole",
    "field",
    "numbers",
    "wrong_field",
]


def check_dataset(dataset: object, name: str, *, again: bool = True) -> None:
    """Refuse what is no dataset of GluonTS.

    Parameters
    ----------
    dataset
        What was given.
    name
        Of the argument, for the message.
    again
        Whether it is read more than once, as in training. Then it must have a length and not be
        an iterator, and its first entry is looked at.

    Raises
    ------
    TypeError
        Naming what was found and what would be right.
    """
    found = type(dataset).__name__
    if isinstance(dataset, pd.DataFrame | pd.Series):
        raise TypeError(
            f"{name} is a pandas {found}: make a dataset of it with tsbnn.datasets.from_frame"
        )
    if isinstance(dataset, str | bytes | Mapping) or not isinstance(dataset, Iterable):
        raise TypeError(
            f"{name} must be a GluonTS dataset, e.g. a list of dicts with start and target, "
            f"not {found}"
        )
    if not again:
        return
    if isinstance(dataset, Iterator):
        raise TypeError(
            f"{name} is a {found}, which can be read once only, and training reads its data again "
            f"and again: give it list({name})"
        )
    if not hasattr(dataset, "__len__"):
        raise TypeError(f"{name} must have a length, as GluonTS's datasets do; {found} has none")
    entry = next(iter(dataset), None)
    if entry is not None and not (isinstance(entry, Mapping) and "target" in entry):
        raise TypeError(
            f"{name}: the entries of a GluonTS dataset are dicts with start and target, "
            f"not {type(entry).__name__}"
        )


def check_no_more(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that training does not have.

    Raises
    ------
    TypeError
        Naming them.
    """
    if arguments:
        raise TypeError(f"training has no such arguments: {', '.join(arguments)}")


def field(entry: Mapping[str, Any], name: str) -> Any:
    """Return a field of a series.

    Raises
    ------
    ValueError
        Naming the series, if there is no such field.
    """
    if entry.get(name) is None:
        raise ValueError(
            f"series {_name(entry)} has no field {name!r}, which the estimator expects"
        )
    return entry[name]


def numbers(entry: Mapping[str, Any], name: str) -> Any:
    """Return a field of a series as an array of float64.

    Raises
    ------
    ValueError
        Naming the series, if there is no such field or it holds something else.
    """
    values = field(entry, name)
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise wrong_field(entry, name, f"no numbers ({error})", "numbers") from error


def wrong_field(entry: Mapping[str, Any], name: str, found: str, right: str) -> ValueError:
    """Build the error that names a series and its field, what was found and what is right."""
    return ValueError(f"series {_name(entry)}: {name} has {found}; expected {right}")


def _name(entry: Mapping[str, Any]) -> str:
    return repr(entry["item_id"]) if entry.get("item_id") is not None else "without item_id"


def check_seed(seed: Any) -> int:
    """Return a seed as an int.

    Raises
    ------
    ValueError
        If it is no whole number in ``0..2**63-1``.
    """
    if not is_whole(seed):
        raise ValueError(f"seed must be a whole number, not {seed!r}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must lie in 0..2**63-1, not {seed}")
    return int(seed)
