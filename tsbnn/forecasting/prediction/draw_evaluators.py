"""Autoregressive networks at K weight vectors, step by step: what `sample_paths` is handed.

Every evaluator keeps the protocol of :class:`tsbnn.networks.Evaluator` with a leading dimension of
draws, and is built once for many batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tsbnn.inference.stacked import batchable_attention
from tsbnn.networks import LSTM, AutoregressiveNetwork, DeepAR, Evaluator
from tsbnn.networks.stacked_deepar import StackedDeepAR


def build_evaluator(
    network: AutoregressiveNetwork, parameters: Mapping[str, Tensor], way: str
) -> Evaluator:
    """Build an evaluator.

    Parameters
    ----------
    network
        Any of ours.
    parameters
        Stacked parameters by name, ``draws x shape``, tied ones under all their names (see
        :func:`tsbnn.forecasting.prediction.draws.under_all_names`); others are the network's own.
    way
        ``"loop"`` or ``"batched"``.
    """
    if way == "loop":
        return LoopEvaluator(network, parameters)
    # Its explicit form has less overhead than vmap, and works in place.
    if isinstance(network, DeepAR) and type(network) is DeepAR:
        return StackedDeepAR(network, parameters)
    return VmapEvaluator(network, parameters)


def replica(module: nn.Module, parameters: Mapping[str, Tensor] | None = None) -> Any:
    """Copy the tree of modules, not the tensors, with some parameters replaced by name.

    It is the way in which ``nn.DataParallel`` copies modules: recurrent layers know of it.
    """
    parameters = parameters or {}
    names = module.named_parameters(remove_duplicate=False)
    values = {id(own): parameters.get(name, own) for name, own in names}
    copies: dict[nn.Module, Any] = {
        part: part._replicate_for_data_parallel() for part in module.modules()
    }
    for part, copy in copies.items():
        for name, child in part._modules.items():
            copy._modules[name] = None if child is None else copies[child]
        for name, own in part._parameters.items():
            setattr(copy, name, None if own is None else values[id(own)])
    return copies[module]


class LoopEvaluator:
    """One shallow copy of the network for each draw, run one after the other."""

    def __init__(self, network: nn.Module, parameters: Mapping[str, Tensor]) -> None:
        draws = len(next(iter(parameters.values())))
        self.replicas = [
            replica(network, {name: values[draw] for name, values in parameters.items()})
            for draw in range(draws)
        ]

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, list[Any]]:
        """Read tokens ``batch x time x num_features``, the same for all draws."""
        return _stacked([each.encode(tokens, static_cat) for each in self.replicas])

    def branch(self, state: list[Any], num_paths: int) -> list[Any]:
        """Give each path its state, in every draw."""
        return [each.branch(own, num_paths) for each, own in zip(self.replicas, state, strict=True)]

    def advance(
        self, tokens: Tensor, static_cat: Tensor | None, state: list[Any]
    ) -> tuple[Tensor, list[Any]]:
        """Read one token of each path, ``draws x batch x paths x num_features``."""
        return _stacked(
            [
                each.advance(own_tokens, static_cat, own)
                for each, own_tokens, own in zip(self.replicas, tokens, state, strict=True)
            ]
        )

    def param_proj(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Arguments of the head, ``draws x batch x ...`` each."""
        arguments = [each.param_proj(own) for each, own in zip(self.replicas, hidden, strict=True)]
        return tuple(torch.stack(argument) for argument in zip(*arguments, strict=True))


def _stacked(results: Sequence[tuple[Tensor, Any]]) -> tuple[Tensor, list[Any]]:
    return torch.stack([hidden for hidden, _ in results]), [state for _, state in results]


class VmapEvaluator:
    """The network's own methods under :func:`torch.func.vmap`, all draws in one."""

    def __init__(self, network: nn.Module, parameters: Mapping[str, Tensor]) -> None:
        plain = replica(network)
        for part in plain.modules():
            if isinstance(part, LSTM):
                part.fused = False
        self.caller = _Caller(plain)
        self.parameters = {f"network.{name}": value for name, value in parameters.items()}
        self.device = next(iter(parameters.values())).device

    def _run(self, method: Callable[..., Any], *drawn: Any) -> Any:
        """Run ``method(network, *drawn)`` for every draw, each with its part of ``drawn``."""

        def run(parameters: dict[str, Tensor], *own: Any) -> Any:
            return functional_call(self.caller, parameters, (method, *own))

        with batchable_attention(self.device):
            return vmap(run)(self.parameters, *drawn)

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, Any]:
        """Read tokens ``batch x time x num_features``, the same for all draws."""
        result: tuple[Tensor, Any] = self._run(lambda network: network.encode(tokens, static_cat))
        return result

    def branch(self, state: Any, num_paths: int) -> Any:
        """Give each path its state, in every draw."""
        return self._run(lambda network, own: network.branch(own, num_paths), state)

    def advance(self, tokens: Tensor, static_cat: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        """Read one token of each path, ``draws x batch x paths x num_features``."""
        result: tuple[Tensor, Any] = self._run(
            lambda network, own, before: network.advance(own, static_cat, before), tokens, state
        )
        return result

    def param_proj(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Arguments of the head, ``draws x batch x ...`` each."""
        return tuple(self._run(lambda network, own: network.param_proj(own), hidden))


class _Caller(nn.Module):
    """Lets :func:`torch.func.functional_call`, which knows ``forward`` only, run any method."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, method: Callable[..., Any], *args: Any) -> Any:
        return method(self.network, *args)
