"""GluonTS's own loader as the reference: what its batches are made of, and if ours are equal."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gluonts.itertools import Cyclic, IterableSlice
from torch import Tensor

from tsbnn.forecasting.windows.not_served import NotServedError
from tsbnn.forecasting.windows.window_fields import WindowCutter, check_splitter
from tsbnn.forecasting.windows.window_streams import Windows

# Builds GluonTS's own loader over transformed series, with what the function makes of its splitter.
Reference = Callable[[Any, Callable[[Any], Any]], Any]


class ChosenSplits:
    """A sampler of GluonTS that takes the splits it is told to, for comparisons.

    Parameters
    ----------
    choose
        From the length of a series to its splits.
    """

    axis = -1

    def __init__(self, choose: Callable[[int], list[int]]) -> None:
        self.choose = choose

    def __call__(self, target: np.ndarray) -> np.ndarray:
        """Return the splits of a series."""
        return np.array(self.choose(target.shape[-1]), dtype=int)


class Learnt(NamedTuple):
    """What a loader of GluonTS does: with which splitter, which fields, how many windows."""

    splitter: Any
    names: list[str]
    batch_size: int
    batches_per_epoch: int | None


def learn(reference: Reference, entry: Any, *, is_single_pass: bool) -> Learnt:
    """Let GluonTS build a batch of one window, the first of a series, over and over."""
    found = []

    def replace(splitter: Any) -> Any:
        check_splitter(splitter)
        found.append(splitter)
        return _with_splits(splitter, lambda length: [0])

    loader, batches = _foreign(reference, [entry], replace, 1, is_single_pass=is_single_pass)
    if len(found) != 1:
        raise NotServedError(f"its loader makes {len(found)} splitters")
    if not isinstance(loader, IterableSlice):
        raise NotServedError(f"its loader is a {type(loader).__name__}")
    if not batches or not all(isinstance(value, Tensor) for value in batches[0].values()):
        raise NotServedError("its loader gives no batches of tensors")
    sizes = {len(value) for value in batches[0].values()}
    if len(sizes) != 1:
        raise NotServedError("its loader gives fields of different lengths")
    return Learnt(found[0], list(batches[0]), sizes.pop(), loader.length)


class Examples:
    """The first, last, shortest and longest series that have a window.

    Parameters
    ----------
    needed
        Points that a series needs for a window.
    """

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self._count = 0
        self._kept: dict[str, tuple[int, int, Any]] = {}

    def look(self, entry: Any, length: int) -> None:
        """Take the next series, and keep it if it is one of the four."""
        number, self._count = self._count, self._count + 1
        if length < self.needed:
            return
        example = (number, length, entry)
        self._kept["last"] = example
        for name, is_better in (
            ("first", lambda old: False),
            ("shortest", lambda old: length < old),
            ("longest", lambda old: length > old),
        ):
            if name not in self._kept or is_better(self._kept[name][1]):
                self._kept[name] = example

    @property
    def kept(self) -> list[tuple[int, int, Any]]:
        """Position, length and series of each of them, in order."""
        kept = {example[0]: example for example in self._kept.values()}
        return [kept[number] for number in sorted(kept)]


def compare(
    reference: Reference,
    learnt: Learnt,
    examples: Examples,
    cutter: WindowCutter,
    *,
    is_single_pass: bool,
) -> None:
    """Cut the same windows both ways.

    Raises
    ------
    NotServedError
        Naming the first field that differs.
    """
    splitter, sampler = learnt.splitter, learnt.splitter.instance_sampler

    def choose(length: int) -> list[int]:
        first, last = sampler.min_past, length - sampler.min_future
        edges = (splitter.past_length - 1, splitter.past_length)
        chosen = {first, last, (first + last) // 2, *(min(max(e, first), last) for e in edges)}
        return sorted(chosen)

    chosen = [(number, split) for number, size, _ in examples.kept for split in choose(size)]
    size = learnt.batch_size
    count = min(-(-len(chosen) // size), learnt.batches_per_epoch or len(chosen))
    _, theirs = _foreign(
        reference,
        [entry for *_, entry in examples.kept],
        lambda splitter: _with_splits(splitter, choose),
        count,
        is_single_pass=is_single_pass,
    )
    if len(theirs) != count:
        raise NotServedError(f"its loader stops after {len(theirs)} batches of {count}")
    windows = itertools.cycle(chosen)
    for their in theirs:
        series, split = zip(*itertools.islice(windows, size), strict=True)
        cuts, _ = cutter.locate(Windows(torch.tensor(series), torch.tensor(split)))
        own = cutter.cut(cuts)
        if list(own) != list(their):
            raise NotServedError(f"batches would have the fields {list(own)}, not {list(their)}")
        for name, value in their.items():
            if not _is_same(own[name].cpu(), value):
                raise NotServedError(f"{name!r} would differ from that of GluonTS's own loader")


def _foreign(
    reference: Reference,
    entries: list[Any],
    replace: Callable[[Any], Any],
    count: int,
    *,
    is_single_pass: bool,
) -> tuple[Any, list[Any]]:
    """Build GluonTS's loader, and its first batches; its failure is a reason to leave it alone."""
    try:
        # A single pass over a few series would end with a smaller batch.
        loader = reference(Cyclic(entries) if is_single_pass else entries, replace)
        return loader, list(itertools.islice(loader, count))
    except NotServedError:
        raise
    except Exception as error:
        raise NotServedError(f"its loader fails on chosen windows: {error}") from error


def _with_splits(splitter: Any, choose: Callable[[int], list[int]]) -> Any:
    twin = copy.copy(splitter)
    twin.instance_sampler = ChosenSplits(choose)
    return twin


def _is_same(own: Tensor, their: Tensor) -> bool:
    """Compare bit by bit: missing values, which equal nothing, and signs of zeros too."""
    return (
        own.dtype == their.dtype
        and own.shape == their.shape
        and own.numpy().tobytes() == their.numpy().tobytes()
    )
