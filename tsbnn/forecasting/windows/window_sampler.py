r"""Which of GluonTS's samplers draws which stream of windows.

``ExpectedNumInstanceSampler`` takes each split point with :math:`p = m / \bar w`, where
:math:`\bar w` is the mean count of split points over those series that have any. GluonTS averages
over the series it has met so far: this mean at the end of every pass, where it settles. Here it
holds from the start.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from gluonts.transform.sampler import (
    ExpectedNumInstanceSampler,
    NumInstanceSampler,
    PredictionSplitSampler,
    UniformSplitSampler,
)
from torch import Tensor

from tsbnn.datasets import FrameError
from tsbnn.datasets.rows import show
from tsbnn.forecasting.windows.not_served import NotServedError
from tsbnn.forecasting.windows.window_streams import (
    BernoulliStream,
    FixedNumberStream,
    LastPointStream,
    ShuffledStream,
    SplitPoints,
    WindowStream,
)

#: So many series are named in the error about all of them.
_TOLD = 3


def check_sampler(sampler: Any) -> None:
    """Refuse samplers whose law is not known here.

    Raises
    ------
    NotServedError
        Naming the sampler.
    """
    name = type(sampler).__name__
    if type(sampler) not in _STREAMS:
        raise NotServedError(f"the law of {name} is not known")
    if sampler.axis != -1:
        raise NotServedError(f"{name} has axis={sampler.axis}")
    if getattr(sampler, "min_instances", 0):
        raise NotServedError(f"{name} has min_instances={sampler.min_instances}")


def window_stream(
    sampler: Any,
    lengths: Tensor,
    generator: torch.Generator,
    shuffle_buffer_length: int | None = None,
    name: str = "the dataset",
    items: Iterable[Any] = (),
) -> WindowStream:
    """Build the stream of windows that a sampler of GluonTS draws.

    Parameters
    ----------
    sampler
        GluonTS's ``ExpectedNumInstanceSampler``, ``NumInstanceSampler``, ``UniformSplitSampler``,
        ``PredictionSplitSampler`` or ``ValidationSplitSampler``.
    lengths
        Points of each series.
    generator
        Where the windows come from.
    shuffle_buffer_length
        Places of a shuffle buffer, none by default.
    name
        Of the data, for messages.
    items
        Names of the first series, for messages.

    Raises
    ------
    NotServedError
        For other samplers, and where GluonTS refuses a series that is too short.
    FrameError
        If there is no window.
    """
    check_sampler(sampler)
    points = SplitPoints(lengths, sampler.min_past, sampler.min_future)
    if points.total == 0:
        raise no_window(name, lengths.tolist(), items, sampler)
    stream = _STREAMS[type(sampler)](sampler, points, generator)
    if shuffle_buffer_length:
        return ShuffledStream(stream, shuffle_buffer_length)
    return stream


def no_window(name: str, lengths: list[int], items: Iterable[Any], sampler: Any) -> FrameError:
    """Build the error that says how long series are, and how long they must be.

    Parameters
    ----------
    name
        Of the data.
    lengths
        Points of each series.
    items
        Names of the first series; None for one without a name.
    sampler
        Looks for windows.
    """
    if not lengths:
        return FrameError(f"{name} has no series")
    needed = sampler.min_past + sampler.min_future
    named = (pair for pair in zip(items, lengths, strict=False) if pair[0] is not None)
    told = [f"{show(item)} has {length}" for item, length in itertools.islice(named, _TOLD)]
    if told and len(lengths) > _TOLD:
        told.append("…")
    return FrameError(
        f"{name} has no window: none of its {len(lengths)} series has the {needed} points that a "
        "window takes (min_past and min_future of the sampler, by default prediction_length); the "
        f"longest has {max(lengths)} points" + (f": {', '.join(told)}" if told else "")
    )


def _expected_number(sampler: Any, points: SplitPoints, generator: torch.Generator) -> WindowStream:
    mean = points.total / len(points.admissible)
    return _bernoulli(sampler.num_instances / mean, points, generator, sampler)


def _uniform(sampler: Any, points: SplitPoints, generator: torch.Generator) -> WindowStream:
    return _bernoulli(sampler.p, points, generator, sampler)


def _bernoulli(
    probability: float, points: SplitPoints, generator: torch.Generator, sampler: Any
) -> WindowStream:
    if not probability > 0:
        raise ValueError(f"{sampler!r} never takes a window: its number must be above 0")
    return BernoulliStream(points, generator, min(1.0, probability))


def _fixed_number(sampler: Any, points: SplitPoints, generator: torch.Generator) -> WindowStream:
    if sampler.N < 1:
        raise ValueError(f"{sampler!r} never takes a window: N must be at least 1")
    return FixedNumberStream(points, generator, sampler.N)


def _last_point(sampler: Any, points: SplitPoints, generator: torch.Generator) -> WindowStream:
    if len(points.admissible) < len(points.counts) and not sampler.allow_empty_interval:
        raise NotServedError("PredictionSplitSampler refuses series that are too short")
    return LastPointStream(points, generator)


_STREAMS: dict[type, Callable[[Any, SplitPoints, torch.Generator], WindowStream]] = {
    ExpectedNumInstanceSampler: _expected_number,
    NumInstanceSampler: _fixed_number,
    PredictionSplitSampler: _last_point,
    UniformSplitSampler: _uniform,
}
