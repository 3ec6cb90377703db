"""Whether the weights of a trained network fit another one."""

from __future__ import annotations

from torch import nn


def check_weights_fit(old: nn.Module, new: nn.Module) -> None:
    """Refuse networks of different classes, or with weights of different names or shapes.

    Parameters
    ----------
    old
        Of a predictor.
    new
        Of the estimator that is to go on from it.

    Raises
    ------
    ValueError
        Naming the classes and some weights that differ.
    """
    there, here = (
        {name: tuple(value.shape) for name, value in network.state_dict().items()}
        for network in (old, new)
    )
    if type(old) is not type(new) or here != there:
        differing = sorted(k for k in here.keys() | there.keys() if here.get(k) != there.get(k))
        raise ValueError(
            f"the predictor's {type(old).__name__} is not the estimator's {type(new).__name__}: "
            f"they differ in {differing[:5] or 'their class'}"
        )
