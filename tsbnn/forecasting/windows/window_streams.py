r"""Streams of windows, drawn for a whole block of batches at once.

GluonTS goes through the series again and again and throws one coin for each *split point* (where
the past ends and the future begins) that leaves enough points on both sides. Laid end to end, the
split points of all series are one ring of :math:`W` points, the coins a Bernoulli process on it,
and the gaps between windows independent geometric numbers. So instead of throwing :math:`W` coins
a stream of windows is the cumulative sum of such gaps modulo :math:`W`; a binary search in the
cumulated counts says which series a point is of. That is the same joint law (order, spacing and
number of windows of a pass), at a cost that does not grow with the number of series.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Windows(NamedTuple):
    """Windows in the order in which they come.

    Attributes
    ----------
    series
        Position of the series.
    split
        Points of the series before the forecast start.
    """

    series: Tensor
    split: Tensor


class SplitPoints:
    """The split points of all series, laid end to end.

    Parameters
    ----------
    lengths
        Points of each series.
    min_past, min_future
        Points that a window needs before and after the split.

    Attributes
    ----------
    counts
        Split points of each series.
    total
        Of all series.
    """

    def __init__(self, lengths: Tensor, min_past: int, min_future: int) -> None:
        self.first = min_past
        self.counts = (lengths - min_future - min_past + 1).clamp(min=0)
        self.total = int(self.counts.sum())
        self._ends = self.counts.cumsum(0)
        self.admissible = self.counts.nonzero().squeeze(1)

    def locate(self, points: Tensor) -> Windows:
        """Find the series of points ``0 <= point < total``, and the split within each."""
        series = torch.searchsorted(self._ends, points, right=True)
        before = self._ends[series] - self.counts[series]
        return Windows(series, self.first + points - before)


class WindowStream(ABC):
    """Windows without end, series after series, pass after pass."""

    def __init__(self, points: SplitPoints, generator: torch.Generator) -> None:
        self.points = points
        self.generator = generator

    @abstractmethod
    def take(self, count: int) -> Windows:
        """Draw the next ``count`` windows."""

    @abstractmethod
    def one_pass(self) -> Windows:
        """Draw the windows of a single pass over all series."""


class BernoulliStream(WindowStream):
    """Every split point is taken with the same probability, independently.

    Parameters
    ----------
    points
        All split points.
    generator
        Where the gaps come from.
    probability
        0 < p <= 1.
    """

    def __init__(self, points: SplitPoints, generator: torch.Generator, probability: float) -> None:
        super().__init__(points, generator)
        self.probability = probability
        self._last = -1

    def take(self, count: int) -> Windows:
        """Draw the next ``count`` windows."""
        gaps = self._gaps(count).remainder_(self.points.total).long() + 1
        taken = (self._last + gaps.cumsum(0)).remainder_(self.points.total)
        self._last = int(taken[-1])
        return self.points.locate(taken)

    def one_pass(self) -> Windows:
        """Draw the windows of a single pass over all series."""
        mean = self.points.total * self.probability
        block = int(mean + 6 * mean**0.5 + 16)
        found, last = [], -1
        while last < self.points.total:
            # A float64 counts exactly, and beyond the end nothing matters.
            gaps = self._gaps(block).clamp_(max=float(self.points.total)).long() + 1
            found.append(last + gaps.cumsum(0))
            last = int(found[-1][-1])
        taken = torch.cat(found)
        return self.points.locate(taken[taken < self.points.total])

    def _gaps(self, count: int) -> Tensor:
        """Draw how many points are passed over before each window, geometric: (1 − p)^k p."""
        if self.probability >= 1:
            return torch.zeros(count, dtype=torch.float64)
        waits = torch.empty(count, dtype=torch.float64)
        waits.exponential_(generator=self.generator)
        # P(floor(E / λ) >= k) = exp(−λk) = (1 − p)^k for λ = −log(1 − p).
        rate = -torch.log1p(-torch.tensor(self.probability, dtype=torch.float64))
        return waits.div_(rate).floor_()


class FixedNumberStream(WindowStream):
    """So many windows of each series in every pass, uniform over its split points.

    Parameters
    ----------
    points
        All split points.
    generator
        Where the splits come from.
    number
        Windows of a series and pass.
    """

    def __init__(self, points: SplitPoints, generator: torch.Generator, number: int) -> None:
        super().__init__(points, generator)
        self.number = number
        self._next = 0

    def take(self, count: int) -> Windows:
        """Draw the next ``count`` windows."""
        admissible = self.points.admissible
        turn = torch.arange(self._next, self._next + count)
        self._next = (self._next + count) % (len(admissible) * self.number)
        series = admissible[turn.div(self.number, rounding_mode="floor") % len(admissible)]
        return Windows(series, self.points.first + self._within(self.points.counts[series]))

    def one_pass(self) -> Windows:
        """Draw the windows of a single pass over all series."""
        series = self.points.admissible.repeat_interleave(self.number)
        return Windows(series, self.points.first + self._within(self.points.counts[series]))

    def _within(self, counts: Tensor) -> Tensor:
        uniform = torch.rand(len(counts), dtype=torch.float64, generator=self.generator)
        return (uniform * counts).long().minimum(counts - 1)


class LastPointStream(WindowStream):
    """The last split point of each series, in order."""

    _next = 0

    def take(self, count: int) -> Windows:
        """Return the next ``count`` windows."""
        admissible = self.points.admissible
        turn = torch.arange(self._next, self._next + count) % len(admissible)
        self._next = (self._next + count) % len(admissible)
        return self._last_of(admissible[turn])

    def one_pass(self) -> Windows:
        """Return the windows of a single pass over all series."""
        return self._last_of(self.points.admissible)

    def _last_of(self, series: Tensor) -> Windows:
        return Windows(series, self.points.first + self.points.counts[series] - 1)


class ShuffledStream(WindowStream):
    """Another stream through a buffer, out of which windows come in random order, as GluonTS's.

    Each draw empties a place of the buffer, and the next window of the stream fills it.

    Parameters
    ----------
    stream
        Whose windows.
    length
        Places of the buffer, at least 1.
    """

    def __init__(self, stream: WindowStream, length: int) -> None:
        super().__init__(stream.points, stream.generator)
        self.stream = stream
        self.length = length
        self._buffer: Windows | None = None

    def take(self, count: int) -> Windows:
        """Draw the next ``count`` windows."""
        if self._buffer is None:
            self._buffer = self.stream.take(self.length)
        new = self.stream.take(count)
        place = torch.randint(self.length, (count,), generator=self.generator)
        # A draw gives what the draw before it from the same place left there, and the first from
        # a place what was there; what the last one leaves, stays.
        place, order = place.sort(stable=True)
        same = place[1:] == place[:-1]
        is_first = torch.cat([torch.ones(1, dtype=torch.bool), ~same])
        is_last = torch.cat([~same, torch.ones(1, dtype=torch.bool)])
        drawn = []
        for old, coming in zip(self._buffer, new, strict=True):
            left = coming[order]
            value = torch.where(is_first, old[place], left.roll(1))
            drawn.append(torch.empty_like(value).index_copy_(0, order, value))
            old[place[is_last]] = left[is_last]
        return Windows(*drawn)

    def one_pass(self) -> Windows:
        """Draw the windows of a single pass over all series, in their order."""
        return self.stream.one_pass()
