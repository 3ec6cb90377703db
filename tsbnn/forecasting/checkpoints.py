"""Going on from a Lightning checkpoint: what is said where its network is another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_network(ckpt_path: str | None) -> Iterator[None]:
    """Say why weights of a checkpoint do not fit, while Lightning loads them.

    Raises
    ------
    ValueError
        In place of torch's RuntimeError about sizes.
    """
    try:
        yield
    except RuntimeError as error:
        if ckpt_path is None or "size mismatch" not in str(error):
            raise
        raise ValueError(
            f"the checkpoint {ckpt_path} is of another network. Default lags and time features "
            "follow the training data: if these have grown, train "
            "estimator.adapted_to(the data of the checkpoint)"
        ) from error
