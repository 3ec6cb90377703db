"""Adam's moments on flat vectors, shared by every method whose mean moves in their metric."""

from __future__ import annotations

from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def adam_step_(
    weights: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    second_moment: Tensor,
    *,
    step: int,
    learning_rate: float,
    scratch: Tensor,
) -> None:
    r"""Move ``weights`` in place by one bias-corrected Adam step (Kingma and Ba, 2015).

    .. math:: u \leftarrow \beta_1 u + (1-\beta_1) g, \quad
              v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
              \theta \leftarrow \theta - \eta\, \hat u / (\sqrt{\hat v} + 10^{-8})

    Parameters
    ----------
    weights, gradient, momentum, second_moment
        Vectors (``num_weights``); all but the gradient change.
    step
        Number of steps taken before this one.
    learning_rate
        :math:`\eta`.
    scratch
        A vector (``num_weights``) to overwrite, so that nothing is allocated.
    """
    momentum.lerp_(gradient, 1 - BETA1)
    second_moment.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    correction1 = 1 - BETA1 ** (step + 1)
    correction2 = 1 - BETA2 ** (step + 1)
    scratch.copy_(second_moment).sqrt_().div_(correction2**0.5).add_(EPSILON)
    weights.addcdiv_(momentum, scratch, value=-learning_rate / correction1)
