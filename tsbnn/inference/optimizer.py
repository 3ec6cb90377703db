"""The torch optimizer that every method builds: closures, flat weights, state and posterior."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tsbnn.inference.checkpoint import check, restore, snapshot
from tsbnn.inference.checks import is_count, require
from tsbnn.inference.diagnostics import Diagnostics, PosteriorWarning
from tsbnn.inference.evaluation import Closure, EvaluatingOptimizer
from tsbnn.inference.flat import FlatWeights, refuse_inference_mode
from tsbnn.inference.loss_average import LossAverage
from tsbnn.inference.measuring import diagnose
from tsbnn.inference.method import InferenceMethod, PosteriorMethod, decay
from tsbnn.inference.modules import disable_dropout, refuse_batch_statistics
from tsbnn.inference.noise import noise_source
from tsbnn.inference.posteriors import Posterior

__all__ = ["BayesianOptimizer", "Closure"]


class BayesianOptimizer(EvaluatingOptimizer):
    """A torch optimizer whose state is an approximate posterior.

    Between steps the module holds :attr:`resting_weights`, the posterior mean. Weights that the
    user changes there (``load_state_dict``, edits under ``torch.no_grad()``) are taken as the new
    mean. Edits in place through ``parameter.data`` are not: torch counts no version for them.

    Attributes
    ----------
    posterior
        The current approximation.
    gradient_evaluations, evaluates_together, draws
        See :class:`~tsbnn.inference.evaluation.EvaluatingOptimizer`.
    num_observations, temperature
        N and T of the target.
    generator
        Source of the weight noise, on the device of the weights. State of its own: a run that is
        resumed there, or on the same kind of device, goes on exactly; one that moves to another
        kind goes on with other numbers.
    losses
        Running mean of the steps' losses since the posterior is ready.
    """

    posterior: Posterior

    def __init__(
        self,
        module: nn.Module,
        method: InferenceMethod,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        wanted = "an integer of at least 1"
        require(is_count(num_observations), "num_observations", num_observations, wanted)
        fits = total_steps is None or is_count(total_steps)
        require(fits, "total_steps", total_steps, f"{wanted} or None")
        if total_steps is None and method.needs_total_steps:
            raise ValueError(
                f"{type(method).__name__} plans its run from beginning to end: give total_steps"
            )
        if method.is_posterior:
            refuse_batch_statistics(module)
            disable_dropout(module)
        self.method = method
        self.num_observations = int(num_observations)
        self.total_steps = None if total_steps is None else int(total_steps)
        self.steps = 0
        self.flat = FlatWeights(module)
        self.losses = LossAverage()
        self._fixed = method.deterministic(self.flat.slots)
        sizes = [s.size for s, fixed in zip(self.flat.slots, self._fixed, strict=True) if not fixed]
        self.temperature = method.target_temperature(self.num_observations, sum(sizes))
        self.prior = method.prior.resolve(self.flat.slots, self.flat.values)
        if generator is None:
            generator = torch.Generator().manual_seed(torch.initial_seed())
        self.generator = noise_source(generator, self.flat.values.device)
        super().__init__([slot.parameter for slot in self.flat.slots], {"lr": method.learning_rate})
        # Steps at which phases of the method end. They are state: a run that goes on with another
        # horizon must not fall back into a phase that it has left.
        self.phase_ends: dict[str, int] = {}
        if isinstance(method, PosteriorMethod):
            self.phase_ends["warm_start"] = method.warm_start_steps(self.total_steps)
        # Lightning and LR schedulers look at param_groups alone; all state is in flat vectors.
        self._vectors: dict[str, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Keep everything in copies and pickles (torch's own keeps ``param_groups`` and state)."""
        return dict(self.__dict__)

    @property
    def likelihood_weight(self) -> float:
        """Weight N/T of the mean loss in the negative log target."""
        return self.num_observations / self.temperature

    def learning_rate(self) -> float:
        """Return the step size now: the group's ``lr`` times the method's own schedule."""
        factor = decay(self.method.schedule, self.steps, self.total_steps)
        return float(self.param_groups[0]["lr"]) * factor

    @property
    def warming(self) -> bool:
        """Whether the next step belongs to the warm start."""
        return self.steps < self.phase_ends.get("warm_start", 0)

    @property
    def ready(self) -> bool:
        """Whether the posterior is more than a place to start from."""
        return not self.warming

    @property
    def phase(self) -> str:
        """What the next step does, in words."""
        if self.warming:
            return "warm start"
        if not self.ready:
            return "burn-in"
        return "posterior" if self.method.is_posterior else "training"

    def diagnostics(self) -> Diagnostics:
        """Measure what inference has found so far: a few passes over the weights, now."""
        return diagnose(self)

    def method_diagnostics(self) -> dict[str, float | Tensor | None]:
        """Figures of this method alone: numbers (or 0-dim), or vectors of one a parameter."""
        return {}

    def gradient_moments(self) -> tuple[Tensor, Tensor] | None:
        """Return Adam's two moments of the step's gradient where the method keeps them."""
        kept = [self._vectors.get(name) for name in ("momentum", "second_moment")]
        found = [v for v in kept if v is not None and v.shape == self.flat.values.shape]
        return (found[0], found[1]) if len(found) == 2 else None

    @property
    def resting_weights(self) -> Tensor:
        """What the module holds between steps, ``num_weights``: the posterior mean.

        Another vector where the mean is no network that was trained (an ensemble).
        """
        return self.posterior.mean

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuse further parameters: the posterior is over those that the module had.

        Raises
        ------
        ValueError
            After construction.
        """
        if hasattr(self, "_vectors"):
            raise ValueError("a posterior's weights are fixed when it is built: build a new one")
        super().add_param_group(param_group)

    def step(self, closure: Closure | None = None) -> Tensor:  # type: ignore[override]
        """Take one step of inference.

        Parameters
        ----------
        closure
            Zeroes the gradients, runs forward and backward on one minibatch, and returns the mean
            negative log-likelihood per observation, in nats. Called once or more, each time on the
            same minibatch; see :meth:`InferenceMethod.evaluations`. It may evaluate several weight
            vectors in one call; see :class:`~tsbnn.inference.evaluation.EvaluatingOptimizer`.

        Returns
        -------
        Tensor
            Mean of the closure's losses, 0-dim.

        Raises
        ------
        ValueError
            Without a closure, and under ``torch.inference_mode()``.
        FloatingPointError
            If a loss or gradient is not finite. (On an accelerator only every 50th evaluation is
            looked at, since that waits for the device.)

        After this error, and any that the closure raises, the module holds the mean again.
        """
        if closure is None:
            raise ValueError(
                f"{type(self.method).__name__} evaluates the loss at weights of its own choice: "
                "call optimizer.step(closure). Loss scaling for fp16 cannot work with it; use "
                "bf16 or float32."
            )
        refuse_inference_mode()
        if self.flat.synchronise():
            self._adopt()
        # The closure runs under the caller's autocast; arithmetic on the posterior does not.
        kind = self.flat.values.device.type
        enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        self._autocast = torch.autocast(kind, dtype=dtype, enabled=enabled)
        with torch.no_grad(), torch.autocast(kind, enabled=False):
            ready = self.ready
            with self._resting_after_errors():
                loss = self._step(closure)
            if ready:
                self.losses.add(loss)
            self._end_step()
            self.steps += 1
            self._rest()
        return loss

    def finalize(
        self,
        closures: Iterable[Closure] | None = None,
        observations_per_closure: float | None = None,
    ) -> None:
        """Do what a method needs after its last step, and leave the module at the mean.

        It warns (``PosteriorWarning``) where the run has ended before there is a posterior.

        Parameters
        ----------
        closures
            Minibatch losses as for :meth:`step`, one minibatch each: as many as the method's
            ``last_pass`` says, or one pass over the data. Methods without a last pass take none.
        observations_per_closure
            How many observed values each closure averages over. By default N divided by the number
            of closures, which is right for one pass over the data.
        """
        self.rest()
        if not self.ready:
            warnings.warn(
                f"{self.method.name} has ended after {self.steps:,} steps, in its {self.phase}: "
                "there is no posterior yet, and all draws are one point. Let it run to the end of "
                "its plan, or plan for fewer steps",
                PosteriorWarning,
                stacklevel=2,
            )

    def rest(self) -> None:
        """Follow the module to where it lies now, and leave it at :attr:`resting_weights`."""
        if self.flat.synchronise():
            self._adopt()
        self._rest()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that an exact resume needs: vectors, counters and the noise source."""
        return snapshot(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned and put the mean into the module.

        Raises
        ------
        ValueError
            If the state is of another method, another target (N or T), another family or another
            number of weights. (To go on with new data, take the old posterior as the prior.)
        """
        check(self, state_dict)
        self.flat.synchronise()
        self._follow()
        restore(self, state_dict)
        self._rest()

    def _vector(self, name: str) -> Tensor:
        """Create persistent state: weight-sized zeros that are saved, restored and moved."""
        self._vectors[name] = torch.zeros_like(self.flat.values)
        return self._vectors[name]

    def _fix_(self, vector: Tensor, value: float) -> Tensor:
        """Fill the parts of deterministic parameters with ``value``; return the vector."""
        if any(self._fixed):
            for view, is_fixed in zip(self.flat.views(vector), self._fixed, strict=True):
                if is_fixed:
                    view.fill_(value)
        return vector

    @contextmanager
    def _resting_after_errors(self) -> Iterator[None]:
        """Leave the module at :attr:`resting_weights`, and not at a draw, where a closure fails."""
        try:
            yield
        except BaseException:
            self._rest()
            raise

    def _step(self, closure: Closure) -> Tensor:
        raise NotImplementedError

    def _end_step(self) -> None:
        """Follow the posterior that a step has left, before the step is counted."""

    def _rest(self) -> None:
        """Put the posterior mean (or what stands for it) into the module."""
        self.flat.values.copy_(self.resting_weights)
        self.flat.mark()

    def _follow(self) -> None:
        """Move all state to the dtype and device that the module has now."""
        values = self.flat.values
        self.posterior.to(device=values.device, dtype=values.dtype)
        for name, vector in self._vectors.items():
            self._vectors[name] = vector.to(values)
        self.prior.to(values)
        self.losses.to(values.device)
        self.generator = noise_source(self.generator, values.device)
        self.param_groups[0]["params"] = [slot.parameter for slot in self.flat.slots]

    def _adopt(self) -> None:
        """Take weights that somebody put into the module as the new posterior mean."""
        self._follow()
        self.posterior.mean.copy_(self.flat.values)
