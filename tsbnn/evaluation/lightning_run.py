"""A copy of a GluonTS torch estimator that trains quietly, tells its progress, leaves no files."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Callback, LightningModule, Trainer

from tsbnn.foreign.notices import without_foreign_warnings


class BatchCounter(Callback):
    """Count training batches and report the share of those planned.

    Parameters
    ----------
    report
        Called with a fraction of 1, some hundred times at most. Not called where the trainer does
        not say when it will end.
    batches_per_epoch
        For loaders without length; None if unknown.
    """

    def __init__(self, report: Callable[[float], None], batches_per_epoch: int | None) -> None:
        self.batches = 0
        self._report = report
        self._per_epoch = batches_per_epoch
        self._planned: float | None = None
        self._told = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Work out how many batches there will be."""
        limits = [trainer.max_steps] if trainer.max_steps > 0 else []
        if self._per_epoch is not None and (trainer.max_epochs or -1) > 0:
            limits.append(int(trainer.max_epochs or 0) * self._per_epoch)
        self._planned = min(limits) if limits else None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count, and report."""
        self.batches += 1
        if self._planned is None:
            return
        share = min(1.0, self.batches / self._planned)
        if share - self._told >= 0.005 or share == 1.0:
            self._told = share
            self._report(share)


def trains_with_lightning(estimator: object) -> bool:
    """Whether an estimator has ``trainer_kwargs``, as all of GluonTS's torch estimators."""
    return isinstance(getattr(estimator, "trainer_kwargs", None), dict)


def quiet_copy(
    estimator: Any, report: Callable[[float], None], folder: str
) -> tuple[Any, BatchCounter | None]:
    """Return an estimator that trains as this one does, and the counter of its batches.

    Progress bar and model summary are off; checkpoints and logs go to ``folder`` unless the
    estimator's ``trainer_kwargs`` name a ``default_root_dir``. Callbacks are copied: one run does
    not see another's state, and the estimator keeps those that GluonTS would take from it. An
    estimator around such a one (in its ``estimator`` attribute) is copied with it; it looks after
    its own files.

    Parameters
    ----------
    estimator
        Any; without ``trainer_kwargs`` it is returned as it is, with None.
    report
        See :class:`BatchCounter`.
    folder
        For what Lightning writes.
    """
    if trains_with_lightning(estimator):
        return _quiet(estimator, report, {"default_root_dir": folder, "logger": False})
    inner = getattr(estimator, "estimator", None)
    if trains_with_lightning(inner):
        outer = copy.copy(estimator)
        outer.estimator, counter = _quiet(inner, report, {})
        return outer, counter
    return estimator, None


def _quiet(
    estimator: Any, report: Callable[[float], None], defaults: dict[str, Any]
) -> tuple[Any, BatchCounter]:
    counter = BatchCounter(report, getattr(estimator, "num_batches_per_epoch", None))
    arguments = getattr(estimator, "__init_args__", {})
    # GluonTS takes the callbacks out of `trainer_kwargs` at the first training.
    given = dict(arguments.get("trainer_kwargs") or {})
    callbacks = given.get("callbacks") or estimator.trainer_kwargs.get("callbacks") or []
    callbacks = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    forced = {
        "callbacks": [*copy.deepcopy(list(callbacks)), counter],
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    twin = copy.copy(estimator)
    twin.trainer_kwargs = {**defaults, **estimator.trainer_kwargs, **forced}
    twin.__init_args__ = {**arguments, "trainer_kwargs": {**given, **forced}}
    return twin, counter


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' notices about devices, data loaders and themselves off the terminal."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with without_foreign_warnings():
        # Advice on worker processes and log intervals.
        warnings.simplefilter("ignore", PossibleUserWarning)
        try:
            for logger in loggers:
                logger.setLevel(logging.WARNING)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
