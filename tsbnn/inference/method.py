r"""What every inference method shares: a serialisable config that builds a torch optimizer.

The optimizer's ``step(closure)`` places weights, calls the closure as often as the method needs
and updates the posterior, so a method works in any training loop that passes a closure::

    optimizer = ProximalScoreVI().optimizer(module, num_observations=len(data), total_steps=1000)
    for batch in batches:

        def closure():
            optimizer.zero_grad()
            loss = mean_negative_log_likelihood(module, batch)  # nats per observation
            loss.backward()
            return loss

        optimizer.step(closure)
    with optimizer.posterior.drawn(module):
        ...

The target of all methods, with temperature T, is

.. math:: \log \pi_T(\theta) = \tfrac1T \left[ -N \, \mathrm{loss}(\theta)
          + \log p(\theta) \right] + \mathrm{const.}
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import nn

from tsbnn.inference.checks import are_texts, as_python, is_positive, is_share, require
from tsbnn.inference.flat import Slot
from tsbnn.inference.priors import FanInPrior, Prior, match_names, prior_from_dict

if TYPE_CHECKING:
    from tsbnn.inference.optimizer import BayesianOptimizer

SCHEDULES = ("cosine", "constant", "inverse_sqrt")


def decay(schedule: str, step: int, total_steps: int | None) -> float:
    r"""Return the factor of the learning rate at ``step`` (counted from 0).

    ``cosine`` falls from 1 to 0 over ``total_steps``; where the horizon is not known, and for
    ``inverse_sqrt``, the factor is :math:`1/\sqrt{1 + t/1000}`, which needs none.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine" and total_steps is not None:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / total_steps)))
    return 1.0 / math.sqrt(1.0 + step / 1000.0)


@dataclass(frozen=True, kw_only=True)
class InferenceMethod:
    """Settings of one inference method; :meth:`optimizer` does the work.

    Parameters
    ----------
    prior
        The prior over weights.
    learning_rate
        Step size of the weights (or posterior means) in the metric of the method.
    schedule
        ``"cosine"``, ``"constant"`` or ``"inverse_sqrt"``; see :func:`decay`.
    """

    name: ClassVar[str] = ""
    family = ""
    # Whether the method needs true gradients: no clipping, no dropout, no batch statistics.
    is_posterior: ClassVar[bool] = True
    # Whether the method plans its run from beginning to end.
    plans_ahead: ClassVar[bool] = False

    prior: Prior = field(default_factory=FanInPrior)
    learning_rate: float = 5e-3
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        as_python(self)
        require(isinstance(self.prior, Prior), "prior", self.prior, "a Prior")
        require(is_positive(self.learning_rate), "learning_rate", self.learning_rate, "positive")
        require(
            self.schedule in SCHEDULES, "schedule", self.schedule, f"one of {', '.join(SCHEDULES)}"
        )

    @property
    def needs_total_steps(self) -> bool:
        """Whether there is no run of unknown length."""
        return self.plans_ahead

    @property
    def evaluations_per_step(self) -> int:
        """How often a step (after a warm start) calls its closure."""
        return 1

    @property
    def evaluations_together(self) -> int:
        """How many of a step's evaluations can be one call of its closure, see `draws` there."""
        return self.evaluations_per_step

    def evaluations(self, steps: int) -> int:
        """How many gradient evaluations a run of ``steps`` steps takes."""
        return steps * self.evaluations_per_step

    def steps_within(self, gradient_evaluations: int) -> int:
        """The largest number of steps whose evaluations fit into a budget; at least 0."""
        low, high = 0, max(0, gradient_evaluations)
        while low < high:
            middle = (low + high + 1) // 2
            if self.evaluations(middle) <= gradient_evaluations:
                low = middle
            else:
                high = middle - 1
        return low

    @property
    def last_pass(self) -> int:
        """How many minibatches :meth:`BayesianOptimizer.finalize` wants; 0 for no last pass."""
        return 0

    def target_temperature(self, num_observations: int, num_weights: int) -> float:
        """Temperature T of the target; 1 where a method has no choice of it.

        Parameters
        ----------
        num_observations
            N.
        num_weights
            D, the weights that get a spread.
        """
        return 1.0

    def deterministic(self, places: list[Slot]) -> list[bool]:
        """Say for each parameter whether it is kept without a spread: none, here."""
        return [False] * len(places)

    def optimizer(
        self,
        module: nn.Module,
        *,
        num_observations: int,
        total_steps: int | None = None,
        generator: torch.Generator | None = None,
    ) -> BayesianOptimizer:
        """Build the optimizer that infers the weights of ``module``.

        Parameters
        ----------
        module
            Any module; its present weights are the starting point. Posterior methods set its
            dropout rates to 0.
        num_observations
            N, the number of observed target values in the training data, each counted once.
        total_steps
            Number of ``step`` calls to come, if known: schedules follow it.
        generator
            Source of the weight noise. By default one of its own, seeded with
            ``torch.initial_seed()``; global random state is never touched.

        Raises
        ------
        ValueError
            For counts below 1, a module without trainable weights, batch normalisation under a
            posterior method, or no ``total_steps`` where the method plans with it.
        """
        return self.optimizer_class(module, self, num_observations, total_steps, generator)

    @property
    def optimizer_class(self) -> type[BayesianOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        raise NotImplementedError

    def replace(self, **settings: Any) -> InferenceMethod:
        """Return a copy with some settings changed.

        Raises
        ------
        ValueError
            As :meth:`from_settings`.
        """
        self._check_names(settings)
        return dataclasses.replace(self, **settings)

    def to_dict(self) -> dict[str, Any]:
        """Describe the method in JSON terms: its name and all settings."""
        settings: dict[str, Any] = {}
        for setting in dataclasses.fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, Prior):
                value = value.to_dict()
            settings[setting.name] = list(value) if isinstance(value, tuple) else value
        return {"name": self.name, "settings": settings}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> InferenceMethod:
        """Build the method from the settings of :meth:`to_dict`.

        Raises
        ------
        ValueError
            For settings that this method does not have, or values that do not fit.
        """
        cls._check_names(settings)
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }
        if isinstance(values.get("prior"), Mapping):
            values["prior"] = prior_from_dict(values["prior"])
        return cls(**values)

    @classmethod
    def _check_names(cls, settings: Mapping[str, Any]) -> None:
        known = [setting.name for setting in dataclasses.fields(cls)]
        for key in settings:
            require(key in known, f"setting of {cls.name!r}", key, f"one of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class PosteriorMethod(InferenceMethod):
    r"""Settings that all methods with a spread share.

    Parameters
    ----------
    temperature
        T of the target: 1 is Bayes' rule, below 1 sharpens the posterior. ``"auto"`` is
        :math:`\min(1, N/D)` with D the weights that get a spread: Bayes' rule, unless there are
        fewer observations than weights. There the divergence from the prior, which grows with D,
        outweighs what N observations can say, and independent Gaussians at T = 1 forecast worse
        than a point. The colder posterior forecasts better, and no longer says how little it
        knows.
    bayesian_parameters
        Shell-style patterns over parameter names, e.g. ``("param_proj.*",)``: only these get a
        posterior, the rest is trained to its most probable value. All are Bayesian by default.
    warm_start
        Share of ``total_steps``, from 0 to below 1, that first goes to the mean alone: plain
        gradient steps at one evaluation each, as MAP takes them. A posterior that spreads before
        the mean has found its place can settle where the network ignores its inputs. Without a
        known ``total_steps`` there is no warm start.
    """

    temperature: float | Literal["auto"] = 1.0
    bayesian_parameters: tuple[str, ...] | None = None
    warm_start: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        temperature = self.temperature
        good = temperature == "auto" or is_positive(temperature)
        require(good, "temperature", temperature, "positive or 'auto'")
        patterns = self.bayesian_parameters
        require(
            patterns is None or (patterns != () and are_texts(patterns)),
            "bayesian_parameters",
            patterns,
            "a tuple of name patterns or None",
        )
        share = self.warm_start
        require(is_share(share), "warm_start", share, "from 0 to below 1")

    def target_temperature(self, num_observations: int, num_weights: int) -> float:
        """T: the setting, or what ``"auto"`` is for N observations and D weights."""
        if self.temperature == "auto":
            return min(1.0, num_observations / max(1, num_weights))
        return self.temperature

    def deterministic(self, places: list[Slot]) -> list[bool]:
        """Say for each parameter whether ``bayesian_parameters`` leave it out."""
        if self.bayesian_parameters is None:
            return [False] * len(places)
        return [not match for match in match_names(list(self.bayesian_parameters), places)]

    @property
    def evaluations_per_warm_step(self) -> int:
        """How often a step of the warm start calls its closure."""
        return 1

    @property
    def evaluations_together(self) -> int:
        """Those of one component: a mixture's components come one after the other."""
        return self.evaluations_per_step // self.evaluations_per_warm_step

    def evaluations(self, steps: int) -> int:
        """Count those of the warm start, then :attr:`evaluations_per_step` for each step."""
        warm = self.warm_start_steps(steps)
        return warm * self.evaluations_per_warm_step + (steps - warm) * self.evaluations_per_step

    def warm_start_steps(self, total_steps: int | None) -> int:
        """How many steps the warm start takes."""
        return int(self.warm_start * total_steps) if total_steps is not None else 0
