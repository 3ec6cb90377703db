"""Training within a time limit: a few steps are timed first, and the plan is cut to what fits.

Schedules, warm starts and burn-ins are shares of the planned steps. A training that is broken off
in the middle would end with a learning rate that has not decayed, so the steps that the limit pays
for are planned beforehand, from the time of a few steps of a copy that is thrown away. Where the
guess was too bold (another process wakes up), Lightning stops training at the limit all the same.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable
from typing import Any

import lightning.pytorch as pl

from tsbnn.forecasting.lightning_module import BayesianLightningModule
from tsbnn.inference import InferenceMethod

# The trial takes this share of the limit, and the plan leaves the second one unused.
_TRIAL, _SPARE = 0.05, 0.1
_LEAST_STEPS, _MOST_STEPS = 4, 60


class _Clock(pl.Callback):
    """Times steps, the first ones apart, and ends the trial."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.perf_counter()
        self.ends: list[tuple[float, int]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *args: Any) -> None:
        """Note when the step ended, and after how many evaluations."""
        now = time.perf_counter()
        self.ends.append((now, module.bayesian_optimizer.gradient_evaluations))
        if len(self.ends) >= _LEAST_STEPS and now - self.started > self.seconds:
            trainer.should_stop = True

    @property
    def seconds_per_evaluation(self) -> float:
        """Without the first half of the steps, in which much is done for the first time."""
        (begin, before), (end, after) = self.ends[(len(self.ends) - 1) // 2], self.ends[-1]
        return (end - begin) / max(1, after - before)


def check_time_limit(time_limit: Any) -> float | None:
    """Return a time limit in seconds, or None.

    Raises
    ------
    ValueError
        If it is no positive number.
    """
    if time_limit is None:
        return None
    is_number = isinstance(time_limit, int | float) and not isinstance(time_limit, bool)
    if not is_number or not 0 < time_limit < float("inf"):
        raise ValueError(f"time_limit must be a positive number of seconds, not {time_limit!r}")
    return float(time_limit)


def plan_time(
    settings: dict[str, Any],
    trial: BayesianLightningModule,
    batches: Iterable[Any],
    method: InferenceMethod,
    planned: int | None,
    deadline: float,
) -> int:
    """Number of steps to come that fit into the time; written into ``settings``.

    Parameters
    ----------
    settings
        The trainer's arguments; changed.
    trial
        A module to time steps of, thrown away afterwards. Its plan has as many steps as the trial
        at most.
    batches
        Training batches, to be had again and again; the training's own are others.
    method
        Knows how many steps a number of evaluations pays for.
    planned
        Steps that there would be without a limit, or None for no end.
    deadline
        When training must end, in the clock of ``time.perf_counter``.

    Raises
    ------
    ValueError
        If the time does not pay for a single step.
    """
    begin = time.perf_counter()
    clock = _Clock(_TRIAL * (deadline - begin))
    silent = {
        "max_steps": _MOST_STEPS,
        "max_epochs": -1,
        "callbacks": [clock],
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    pl.Trainer(**{**settings, **silent}).fit(trial, train_dataloaders=batches)
    left = deadline - time.perf_counter()
    paid = (1 - _SPARE) * left / clock.seconds_per_evaluation
    steps = method.steps_within(int(max(0.0, paid)))
    if steps < 1:
        raise ValueError(
            f"time_limit: {max(0.0, left):.3g} s are left for training, and one gradient "
            f"evaluation takes {clock.seconds_per_evaluation:.3g} s: give it more time"
        )
    steps = steps if planned is None else min(steps, planned)
    settings |= {"max_steps": steps, "max_time": datetime.timedelta(seconds=left)}
    return steps


#: Steps of the plan of the module that is timed.
TRIAL_STEPS = _MOST_STEPS
