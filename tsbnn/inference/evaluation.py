"""How an optimizer calls its closure: at the weights in place, or at several vectors at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from tsbnn.inference.checks import not_finite
from tsbnn.inference.flat import FlatWeights

Closure = Callable[[], Tensor]
# On an accelerator a look at a loss waits for the device, so only some are looked at.
LOOKED_AT = 50


class EvaluatingOptimizer(torch.optim.Optimizer):
    r"""Counts and checks the closure's calls.

    A step of most methods wants the gradients at several weight vectors on one minibatch (a pair
    :math:`m \pm \sigma\varepsilon`, K draws, M members). It calls the closure once for each,
    with the weights placed in the module. A closure that can do better declares so and then finds
    all vectors in :attr:`draws`, in one call::

        optimizer.evaluates_together = True


        def closure():
            optimizer.zero_grad()
            if optimizer.draws is None:
                loss = loss_of(module)
            else:
                loss = optimizer.mean_of(evaluate_at(module, optimizer.draws, loss_of))
            loss.backward()
            return loss

    The numbers are the same up to rounding. It takes memory, for the time of the step: K
    weight-sized vectors of draws and K of gradients (``alpha``: also the noise of its draws), and
    the activations of K passes, instead of one.

    Attributes
    ----------
    evaluates_together
        Whether the closure looks at :attr:`draws`. Set by who writes the closure; no state.
    draws
        While the closure is called: where to evaluate, a leaf ``K x num_weights`` that requires
        gradients, or None for the weights in place.
    gradient_evaluations
        How often the loss was differentiated: K times in a call with K draws.
    """

    flat: FlatWeights
    evaluates_together = False
    draws: Tensor | None = None
    gradient_evaluations = 0
    _draw_losses: Tensor | None = None
    # The closure runs under the caller's autocast; arithmetic on the posterior does not.
    _autocast: AbstractContextManager[Any] = nullcontext()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to zero (in place: they are views of one flat vector)."""
        if self.draws is not None:
            self.draws.grad = None
        else:
            self.flat.zero_gradient()

    def mean_of(self, losses: Tensor) -> Tensor:
        """Take the losses at :attr:`draws` from the closure; return what it differentiates.

        Parameters
        ----------
        losses
            One for each draw, ``K``, in their order.

        Returns
        -------
        Tensor
            Their mean, 0-dim.

        Raises
        ------
        ValueError
            If there are no draws now, or not as many as losses.
        """
        count = 0 if self.draws is None else len(self.draws)
        if losses.shape != (count,):
            raise ValueError(
                f"losses have shape {tuple(losses.shape)}, there are {count} draws: evaluate the "
                "loss at each row of optimizer.draws"
            )
        self._draw_losses = losses.detach()
        return losses.mean()

    def _evaluate(self, closure: Closure) -> Tensor:
        """Call the closure at the weights in place; the gradient is then in the flat buffer."""
        loss, looked_at = self._call(closure, 1)
        self.flat.collect_gradient()
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ValueError(f"the closure must return the loss as a 0-dim tensor, not {loss!r}")
        loss = loss.detach().reshape(())
        if looked_at:
            self._look_at(loss, self.flat.gradient)
        return loss

    def _evaluate_each(
        self, closure: Closure, count: int, place: Callable[[int, Tensor], object]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Evaluate at several weight vectors, all together or one after the other.

        Parameters
        ----------
        closure
            As :meth:`step` has it.
        count
            K.
        place
            Given k and a vector ``num_weights``, writes the k-th weights there. It is called in
            order; where evaluations are one by one, after what is done with those before.

        Yields
        ------
        loss, gradient
            0-dim, and ``num_weights``, to be overwritten: kept until the next one is asked for.
        """
        if self.evaluates_together:
            draws = self.flat.values.new_empty(count, len(self.flat.values))
            for k, draw in enumerate(draws):
                place(k, draw)
            yield from zip(*self._evaluate_together(closure, draws), strict=True)
            return
        for k in range(count):
            place(k, self.flat.values)
            yield self._evaluate(closure), self.flat.gradient

    def _evaluate_together(self, closure: Closure, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Call the closure once for weight vectors ``K x num_weights``, which stay as they are.

        Returns
        -------
        losses, gradients
            ``K``, and ``K x num_weights``: fresh, to be overwritten.
        """
        leaf = self.draws = draws.detach().requires_grad_()
        try:
            _, looked_at = self._call(closure, len(draws))
            losses = self._draw_losses
        finally:
            self.draws = self._draw_losses = None
        gradients = leaf.grad
        if losses is None or gradients is None:
            raise ValueError(
                "evaluates_together is set, but the closure did not differentiate "
                "optimizer.mean_of(losses at optimizer.draws)"
            )
        gradients.mul_(len(draws))
        if looked_at:
            self._look_at(losses.mean(), gradients)
        return losses, gradients

    def _call(self, closure: Closure, count: int) -> tuple[Tensor, bool]:
        """Return what the closure returns, and whether to look if all is finite."""
        # Inside an enclosing autocast the casts of earlier weights would be used again.
        torch.clear_autocast_cache()
        with torch.enable_grad(), self._autocast:
            loss = closure()
        looks = self.gradient_evaluations // LOOKED_AT
        self.gradient_evaluations += count
        is_near = self.flat.values.device.type == "cpu"
        return loss, is_near or self.gradient_evaluations // LOOKED_AT > looks

    def _look_at(self, loss: Tensor, gradient: Tensor) -> None:
        """Refuse a loss or gradient that is not finite."""
        if not bool(torch.isfinite(loss + gradient.sum())):
            raise not_finite(loss.item(), self.gradient_evaluations)
