"""Going on from a Lightning checkpoint: what is said where its network is another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from gluonts.model import Estimator

_ADVICE = (
    "Default lags and time features follow the training data: if these have grown, train "
    "estimator.adapted_to(the data of the checkpoint)"
)
_INPUTS = ("freq", "lags_seq", "time_features", "age_feature")


class _SameInputs(pl.Callback):
    """Keeps in every checkpoint what the network reads, and refuses those that read other things.

    Sizes do not tell: without an age a 0 stands in its place, and lags may be others of one number.
    """

    def __init__(self, inputs: dict[str, str]) -> None:
        self.inputs = inputs

    def state_dict(self) -> dict[str, Any]:
        """What the network reads, by name, in words."""
        return dict(self.inputs)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare.

        Raises
        ------
        ValueError
            Naming what differs.
        """
        for name, here in self.inputs.items():
            there = state_dict.get(name, here)
            if there != here:
                raise ValueError(
                    f"the checkpoint's network was trained with {name}={there}, and the estimator "
                    f"has {name}={here}. {_ADVICE}"
                )


@contextmanager
def same_network(
    trainer: pl.Trainer, estimator: Estimator, ckpt_path: str | None
) -> Iterator[None]:
    """Say why a checkpoint does not fit, while Lightning loads it, and make those that can tell.

    Raises
    ------
    ValueError
        In place of torch's RuntimeError about sizes, and where the network reads other inputs.
    """
    inputs = {
        name: _words(getattr(estimator, name)) for name in _INPUTS if hasattr(estimator, name)
    }
    trainer.callbacks.append(_SameInputs(inputs))  # type: ignore[attr-defined]
    try:
        yield
    except RuntimeError as error:
        if ckpt_path is None or "size mismatch" not in str(error):
            raise
        raise ValueError(f"the checkpoint {ckpt_path} is of another network. {_ADVICE}") from error


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_words(part) for part in value)}]"
    return getattr(value, "__name__", None) or repr(value)
