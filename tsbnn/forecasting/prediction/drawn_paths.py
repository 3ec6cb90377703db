"""Sample paths of a network at K weight draws: which way its kind is evaluated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any
from weakref import WeakKeyDictionary

import torch
from gluonts.torch.model.deepar.module import DeepARModel
from torch import Tensor, nn

from tsbnn.forecasting.likelihood import Batch
from tsbnn.forecasting.prediction.chunks import Cost, measure
from tsbnn.forecasting.prediction.draw_evaluators import build_evaluator
from tsbnn.forecasting.prediction.draws import (
    choose,
    forward_at,
    is_batchable,
    under_all_names,
)
from tsbnn.forecasting.prediction.live_memory import peak_bytes
from tsbnn.forecasting.prediction.paths import (
    Paths,
    draw_paths,
    moments,
    no_paths,
    samples_themselves,
)
from tsbnn.foreign.random_state import RandomStream
from tsbnn.inference import weights_at
from tsbnn.inference.stacked import stacked_parameters
from tsbnn.networks import AutoregressiveNetwork, DeepAR, Evaluator, from_gluonts, sample_paths
from tsbnn.networks.head import sample

_COSTS: WeakKeyDictionary[nn.Module, dict[Any, Cost]] = WeakKeyDictionary()


class DrawnPaths(ABC):
    """Paths of one network at several weight vectors.

    Parameters
    ----------
    network
        The network; its own weights are put back after each use.
    evaluation
        ``"auto"``, ``"loop"`` or ``"batched"``; networks that cannot be batched take the loop.
    keep
        Whether the same weights come again and again: what is built for them is then kept.
    """

    def __init__(self, network: nn.Module, evaluation: str, *, keep: bool = False) -> None:
        self.network = network
        self.evaluation = evaluation
        self.keep = keep

    @staticmethod
    def of(network: nn.Module, evaluation: str, *, keep: bool = False) -> DrawnPaths:
        """Find the kind of a network."""
        if draw_paths.dispatch(type(network)) is not draw_paths.dispatch(object):
            return SeparatePaths(network, evaluation, keep=keep)
        if isinstance(network, AutoregressiveNetwork) or type(network) is DeepARModel:
            return AutoregressivePaths(network, evaluation, keep=keep)
        if samples_themselves(network):
            return SeparatePaths(network, evaluation, keep=keep)
        return DirectPaths(network, evaluation, keep=keep)

    @abstractmethod
    def __call__(self, weights: Tensor, inputs: Batch, num_paths: int) -> Paths:
        """Draw paths; random numbers come from torch's global state.

        Parameters
        ----------
        weights
            ``draws x num_weights``.
        inputs
            What the network takes, each ``batch x ...``.
        num_paths
            Of each series and draw.

        Returns
        -------
        Paths
            Samples ``draws x batch x num_paths x time`` (``x dim``), moments
            ``draws x batch x time`` (``x dim``) or None.
        """

    def cost(self, weights: Tensor, inputs: Batch) -> Cost:
        """Bytes that a draw, a series and a path need; measured once for each network.

        It is that of the batched way wherever a network can be batched, so that work is cut alike,
        and random numbers are the same, in both ways.
        """
        known = _COSTS.setdefault(self.network, {})
        shapes = tuple((name, value.shape[1:], value.dtype) for name, value in inputs.items())
        key = (weights.device.type, shapes)
        if key not in known:
            one = weights[:1]
            trial = type(self)(self.network, "batched", keep=True)

            def work(series: int, paths: int) -> Paths:
                some = {name: value[[0] * series] for name, value in inputs.items()}
                return trial(one, some, paths)

            # Trials must not take random numbers from the paths.
            with RandomStream(0).active():
                # The first time finds out about batching, and builds what is kept.
                work(1, 1)
                known[key] = measure(work, peak_bytes(lambda: self.built(one)))
        return known[key]

    def built(self, weights: Tensor) -> object:
        """Build anew what the batched way keeps of weights, if anything."""
        return None

    def trial(self, weights: Tensor, inputs: Batch, way: str) -> Any:
        """Evaluate something that takes no random numbers and every kind of step."""
        raise NotImplementedError

    def _way(self, kind: str, weights: Tensor, inputs: Batch) -> str:
        def trial(way: str) -> Any:
            some = {name: value[:1] for name, value in inputs.items()}
            return self.trial(weights[[0, -1]], some, way)

        if self.evaluation == "loop" or not is_batchable(self.network, weights.device, trial):
            return "loop"
        if self.evaluation == "batched":
            return "batched"
        return choose(kind, weights.device, *weights.shape)


class SeparatePaths(DrawnPaths):
    """Networks that sample by themselves in a way of their own: the loop over draws."""

    def __call__(self, weights: Tensor, inputs: Batch, num_paths: int) -> Paths:
        """Draw paths at one weight vector after the other."""
        found = []
        for row in weights:
            with weights_at(self.network, row):
                found.append(draw_paths(self.network, inputs, num_paths))
                self._check(found[-1].samples, inputs, num_paths)
        samples, mean, variance = zip(*found, strict=True)
        return Paths(torch.stack(samples), _stacked(mean), _stacked(variance))

    def _check(self, samples: Any, inputs: Batch, num_paths: int) -> None:
        """Raise a TypeError for samples that are not ``batch x num_paths x time``."""
        right = (len(next(iter(inputs.values()))), num_paths)
        found = tuple(samples.shape) if isinstance(samples, Tensor) else type(samples).__name__
        if not isinstance(samples, Tensor) or samples.ndim < 3 or samples.shape[:2] != right:
            why = f"gave {found} for a batch of {right[0]} and {num_paths} paths"
            raise no_paths(self.network, why)


class DirectPaths(DrawnPaths):
    """Networks whose forward gives the distribution of the whole horizon."""

    def __call__(self, weights: Tensor, inputs: Batch, num_paths: int) -> Paths:
        """Run forward at all draws, then sample once for all."""
        way = self._way("direct", weights, inputs)
        outputs = forward_at(self.network, weights, inputs, way)
        if not isinstance(outputs, tuple) or len(outputs) != 3:
            raise no_paths(self.network, "has 'distr_output', and its forward gives something else")
        args, loc, scale = _rows_of_draws(outputs)
        head: Any = self.network.distr_output
        many = [arg.expand(num_paths, *arg.shape) for arg in args]
        samples = sample(head, many, loc, scale).unflatten(1, (len(weights), -1))
        samples = samples.permute(1, 2, 0, *range(3, samples.ndim))
        if getattr(self.network, "nonnegative_pred_samples", False):
            return Paths(torch.relu(samples), None, None)
        both = moments(head.distribution(args, loc=loc, scale=scale))
        mean, variance = (
            each if each is None else each.unflatten(0, (len(weights), -1)) for each in both
        )
        return Paths(samples, mean, variance)

    def trial(self, weights: Tensor, inputs: Batch, way: str) -> Any:
        """Run forward."""
        return forward_at(self.network, weights, inputs, way)


class AutoregressivePaths(DrawnPaths):
    """Our autoregressive networks, and GluonTS's DeepAR converted to ours.

    Evaluators of draws that are given again are kept.
    """

    def __init__(self, network: nn.Module, evaluation: str, *, keep: bool = False) -> None:
        super().__init__(network, evaluation, keep=keep)
        if isinstance(network, AutoregressiveNetwork):
            self.own = network
        else:
            # Building a network draws its initial weights.
            with RandomStream(0).active():
                self.own = from_gluonts(network)
        self._kept: dict[tuple[Any, ...], tuple[Tensor, Evaluator]] = {}

    def __call__(self, weights: Tensor, inputs: Batch, num_paths: int) -> Paths:
        """Sample the paths of all draws together, time after time."""
        kind = "deepar" if type(self.own) is DeepAR else "autoregressive"
        way = self._way(kind, weights, inputs)
        evaluator = self._evaluator(weights, way)
        return Paths(sample_paths(self.own, evaluator, inputs, num_paths), None, None)

    def built(self, weights: Tensor) -> object:
        """Build an evaluator."""
        return self._build(weights, "batched")

    def _evaluator(self, weights: Tensor, way: str) -> Evaluator:
        key = (weights.data_ptr(), tuple(weights.shape), way)
        if key in self._kept:
            return self._kept[key][1]
        built = self._build(weights, way)
        if self.keep:
            # With the weights themselves, whose address is then not given to others.
            self._kept[key] = weights, built
        return built

    def _build(self, weights: Tensor, way: str) -> Evaluator:
        parameters = stacked_parameters(self.network, weights)
        return build_evaluator(self.own, under_all_names(self.network, parameters), way)

    def trial(self, weights: Tensor, inputs: Batch, way: str) -> Any:
        """Read the context, and one token of two paths where paths go on after their first step."""
        evaluator = self._build(weights, way)
        static_cat = self.own.categories(inputs)
        tokens = self.own.features(inputs).values[:, : self.own.context_length]
        hidden, state = evaluator.encode(tokens, static_cat)
        if self.own.prediction_length == 1:
            return evaluator.param_proj(hidden[:, :, -1:])
        token = tokens[:, -1:].expand(len(weights), -1, 2, -1).clone()
        hidden, _ = evaluator.advance(token, static_cat, evaluator.branch(state, 2))
        return evaluator.param_proj(hidden)


def _rows_of_draws(outputs: Any) -> Any:
    """Join draws and series, ``draws x batch x ...`` to ``(draws * batch) x ...``."""
    args, loc, scale = outputs
    return [arg.flatten(0, 1) for arg in args], loc.flatten(0, 1), scale.flatten(0, 1)


def _stacked(moments: tuple[Tensor | None, ...]) -> Tensor | None:
    known = [moment for moment in moments if moment is not None]
    return torch.stack(known) if len(known) == len(moments) else None
