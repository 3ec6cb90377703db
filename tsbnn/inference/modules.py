"""What a module may not do inside a posterior: drop units at random, or share batch statistics."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm


def refuse_batch_statistics(
    module: nn.Module,
    trouble: str = "make the minibatch score biased",
    instead: str = "the deterministic method MAP",
) -> None:
    """Raise if a layer normalises by batch statistics.

    With them the loss of one observation depends on its batch mates, so the minibatch score is no
    unbiased estimate of the posterior's score.

    Parameters
    ----------
    module
        The module to look through.
    trouble
        What the statistics would do, for the message.
    instead
        What to use if the layer has to stay.

    Raises
    ------
    ValueError
        Naming the layer.
    """
    for name, layer in module.named_modules():
        running = isinstance(layer, _InstanceNorm) and layer.track_running_stats
        if isinstance(layer, _BatchNorm) or running:
            raise ValueError(
                f"layer {name or '(the module itself)'!r} is a {type(layer).__name__}: its batch "
                f"statistics {trouble}. Use LayerNorm or GroupNorm, or {instead}."
            )


def disable_dropout(module: nn.Module) -> None:
    """Set every dropout rate in ``module`` to 0, leaving its training mode alone.

    A dropout mask is a second source of weight noise that no posterior accounts for.
    """
    for layer in module.modules():
        if isinstance(layer, _DropoutNd):
            layer.p = 0.0
        elif isinstance(layer, nn.RNNBase | nn.MultiheadAttention):
            layer.dropout = 0.0
