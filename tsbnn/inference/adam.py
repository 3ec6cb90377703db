"""Adam's moments on flat vectors, shared by every method whose mean moves in their metric."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def adam_step_(
    weights: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    second_moment: Tensor,
    *,
    step: int,
    learning_rate: float,
) -> None:
    r"""Move ``weights`` in place by one bias-corrected Adam step (Kingma and Ba, 2015).

    .. math:: u \leftarrow \beta_1 u + (1-\beta_1) g, \quad
              v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
              \theta \leftarrow \theta - \eta\, \hat u / (\sqrt{\hat v} + 10^{-8})

    torch's fused kernel: one pass over the four vectors, and nothing is allocated.

    Parameters
    ----------
    weights, gradient, momentum, second_moment
        Vectors (``num_weights``), or matrices of such rows; all but the gradient change.
    step
        Number of steps taken before this one.
    learning_rate
        :math:`\eta`.
    """
    rows = _rows(weights)
    adam(
        rows,
        _rows(gradient),
        _rows(momentum),
        _rows(second_moment),
        max_exp_avg_sqs=[],
        state_steps=[row.new_full((), step, dtype=torch.float32) for row in rows],
        fused=True,
        amsgrad=False,
        beta1=BETA1,
        beta2=BETA2,
        lr=learning_rate,
        weight_decay=0.0,
        eps=EPSILON,
        maximize=False,
    )


def _rows(tensor: Tensor) -> list[Tensor]:
    """Split a matrix: the kernel asks for contiguous tensors, which the rows of a block are."""
    return [tensor] if tensor.ndim == 1 else list(tensor.unbind())
