"""What a model's network was told: the settings of its estimator, in JSON terms."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

#: What the data say, or every model of a backtest has in common.
_SHARED = ("freq", "prediction_length", "seed", "num_parallel_samples")
_OF_DATA = ("num_feat_", "num_past_feat_", "cardinalit", "_dims")
#: What belongs to GluonTS's own optimizer, which an estimator around another one does not use.
_OF_OPTIMIZER = ("lr", "weight_decay", "patience", "trainer_kwargs")
#: Of Lightning's trainer: what decides results, not where they are shown or computed.
_OF_TRAINER = ("max_epochs", "max_steps", "gradient_clip_val")


def network_settings(estimator: Any, training_data: Any = None) -> dict[str, Any]:
    """The arguments of an estimator by name, as its attributes have them, defaults settled.

    Of an estimator around another one (in its ``estimator`` attribute) those of the other, without
    its optimizer's. What is no number, text, function or sequence of these is left out, and so are
    frequency, horizon and what the data say.

    Parameters
    ----------
    estimator
        GluonTS's, or one like them.
    training_data
        What it is trained on. Ours have defaults that follow it (``adapted_to``).
    """
    inner = getattr(estimator, "estimator", None)
    is_wrapped = inner is not None
    network: Any = inner if is_wrapped else estimator
    if training_data is not None and hasattr(network, "adapted_to"):
        network = network.adapted_to(training_data)
    found: dict[str, Any] = {}
    for name in inspect.signature(type(network)).parameters:
        value = getattr(network, name, None)
        if name in _SHARED or any(part in name for part in _OF_DATA):
            continue
        if is_wrapped and name in _OF_OPTIMIZER:
            continue
        if name == "trainer_kwargs" and isinstance(value, Mapping):
            found |= {key: value[key] for key in _OF_TRAINER if value.get(key, -1) != -1}
        elif name == "distr_output" and value is not None:
            found[name] = type(value).__name__.removesuffix("Output")
        elif (text := _plain(value)) not in (None, []):
            found[name] = text
    return found


def _plain(value: Any) -> Any:
    """A value in JSON terms; None where there is no short one."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        parts = [_plain(part) for part in value]
        return None if None in parts else parts
    return value.__name__ if inspect.isfunction(value) else None
