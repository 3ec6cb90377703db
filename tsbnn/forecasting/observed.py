"""What is observed in training data: how many points, in which series, and of what kind."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.distributions import constraints

from tsbnn.forecasting.inputs import numbers
from tsbnn.networks.head import support

_NUMBERS = {
    constraints.nonnegative_integer: "whole numbers from 0 on",
    constraints.nonnegative: "numbers from 0 on",
    constraints.positive: "numbers above 0",
}
# How many short series are named.
_TOLD = 3


def points_of_a_window(estimator: Any) -> int:
    """Points that a series must have for one training window: its sampler's past and future."""
    sampler: Any = getattr(estimator, "train_sampler", None)
    if hasattr(sampler, "min_future"):
        return int(sampler.min_past + sampler.min_future)
    return int(estimator.prediction_length)


class Observed(NamedTuple):
    """What a dataset holds.

    Attributes
    ----------
    points
        Finite target points of the series that training windows can be cut out of.
    num_series
        How many series there are.
    short
        Those that are too short, by name or position.
    """

    points: int
    num_series: int
    short: list[Any]

    def warn_of_short(self, needed: int, stacklevel: int) -> None:
        """Warn of series that nothing is learnt from, if there are any."""
        if self.short:
            names = ", ".join(map(repr, self.short[:_TOLD])) + ", …" * (len(self.short) > _TOLD)
            warnings.warn(
                f"nothing is learnt from {len(self.short)} of {self.num_series} series: they have "
                f"fewer than the {needed} points that a training window takes ({names})",
                stacklevel=stacklevel + 1,
            )


def count_observed(dataset: Iterable[Any], needed: int = 1, head: Any = None) -> Observed:
    """Count the finite target points of a dataset, each once, over all series and dimensions.

    Parameters
    ----------
    dataset
        Entries with a ``target``, ``time`` or ``dim x time``.
    needed
        Points of a training window. Shorter series, from whose points nothing can be learnt, are
        left out, unless all are too short.
    head
        The distribution head, if targets are to be checked against its support.

    Raises
    ------
    ValueError
        For a target that is missing, infinite, no numbers or outside of the head's support, naming
        its series, and if nothing is observed.
    """
    count = position = in_short = 0
    short = []
    wanted = support(head)
    for position, entry in enumerate(dataset, 1):
        target = numbers(entry, "target")
        if np.isinf(target).any():
            raise ValueError(
                f"series {entry.get('item_id', position - 1)!r} has an infinite target at position "
                f"{int(np.argmax(np.isinf(target.reshape(-1))))}: use NaN for a missing value"
            )
        finite = int(np.isfinite(target).sum())
        if wanted is not None:
            told = f"what distr_output={type(head).__name__} describes"
            advice = "pass another head, e.g. StudentTOutput()"
            _check_target(entry.get("item_id", position - 1), target, wanted, told, advice)
        if target.shape[-1] < needed:
            short.append(entry.get("item_id", position - 1))
            in_short += finite
        else:
            count += finite
    if count + in_short == 0:
        raise ValueError("the training data hold no observed target value")
    if len(short) == position:
        # Who cuts the windows says what is missing.
        return Observed(in_short, position, [])
    return Observed(count, position, short)


def check_nonnegative(dataset: Iterable[Any], told: str, advice: str, *, whole: bool) -> None:
    """Refuse a dataset with observed targets below 0.

    Parameters
    ----------
    dataset
        Entries with a ``target``, ``time`` or ``dim x time``.
    told, advice
        For the message: who said so, and what else can be done than correct the target.
    whole
        Whether fractions are refused as well.

    Raises
    ------
    ValueError
        Naming the series, the target and its position.
    """
    wanted = constraints.nonnegative_integer if whole else constraints.nonnegative
    for position, entry in enumerate(dataset):
        target = numbers(entry, "target")
        _check_target(entry.get("item_id", position), target, wanted, told, advice)


def _check_target(
    name: Any, target: Any, wanted: constraints.Constraint, told: str, advice: str
) -> None:
    outside = np.isfinite(target) & ~wanted.check(torch.from_numpy(target)).numpy()
    if outside.any():
        place = np.unravel_index(int(np.argmax(outside)), target.shape)
        raise ValueError(
            f"series {name!r} has the target {target[place]:g} at position {place[-1]}, outside of "
            f"{told}, {_NUMBERS[wanted]}: correct it, or {advice}"
        )
