"""Sample paths of a network at its present weights, and their moments where there is a formula."""

from __future__ import annotations

import inspect
from functools import singledispatch
from typing import Any, NamedTuple

import torch
from gluonts.torch.distributions import DistributionOutput
from torch import Tensor, nn
from torch.distributions import Distribution

from tsbnn.forecasting.likelihood import Batch


class Paths(NamedTuple):
    """Paths of one weight draw, in target units.

    Attributes
    ----------
    samples
        ``batch x num_paths x time`` (``x dim`` for multivariate targets).
    mean, variance
        Closed-form moments of the paths at each time, ``batch x time`` (``x dim``), or None where
        the network is autoregressive or its distribution has no formula.
    """

    samples: Tensor
    mean: Tensor | None
    variance: Tensor | None


@singledispatch
def draw_paths(network: nn.Module, inputs: Batch, num_paths: int) -> Paths:
    """Draw paths from a network; random numbers come from torch's global state.

    Networks whose ``forward`` takes ``num_parallel_samples`` return the samples themselves; all
    others return ``(distr_args, loc, scale)`` for their ``distr_output``. Register a function for
    networks that do neither.
    """
    if samples_themselves(network):
        return Paths(network(**inputs, num_parallel_samples=num_paths), None, None)
    distr_args, loc, scale = network(**inputs)
    head: Any = network.distr_output
    distribution = head.distribution(distr_args, loc=loc, scale=scale)
    samples = distribution.sample((num_paths,)).transpose(0, 1)
    if getattr(network, "nonnegative_pred_samples", False):
        return Paths(torch.relu(samples), None, None)
    return Paths(samples, *moments(distribution))


def check_paths(network: nn.Module) -> None:
    """Refuse a network of which :func:`draw_paths` cannot draw.

    Raises
    ------
    TypeError
        Saying what a network can do to be one of the three kinds.
    """
    is_registered = draw_paths.dispatch(type(network)) is not draw_paths.dispatch(object)
    has_head = isinstance(getattr(network, "distr_output", None), DistributionOutput)
    if not (is_registered or has_head or samples_themselves(network)):
        raise no_paths(network, "has neither 'distr_output' nor a forward that samples")


def no_paths(network: nn.Module, why: str) -> TypeError:
    """Build the error for a network that no paths can be drawn of."""
    name = f"{type(network).__module__}.{type(network).__qualname__}"
    return TypeError(
        f"no paths can be drawn of {name}: it {why}. Let its forward take num_parallel_samples and "
        "return samples, batch x num_parallel_samples x time; or return (distr_args, loc, scale) "
        "for a distribution head in its attribute distr_output; or register "
        "@tsbnn.forecasting.draw_paths.register(YourModel) on a function (network, inputs, "
        "num_paths) that returns Paths(samples, mean, variance), the last two perhaps None."
    )


def samples_themselves(network: nn.Module) -> bool:
    """Say whether a network's ``forward`` gives paths, as those of autoregressive networks do."""
    return "num_parallel_samples" in inspect.signature(network.forward).parameters


def moments(distribution: Distribution) -> tuple[Tensor | None, Tensor | None]:
    """Mean and variance of a distribution where there are formulas, else None and None."""
    try:
        mean, variance = distribution.mean, distribution.variance
    except NotImplementedError:
        return None, None
    # GluonTS's spliced binned Pareto has a method where others have a property.
    is_known = isinstance(mean, Tensor) and isinstance(variance, Tensor)
    return (mean, variance) if is_known else (None, None)
