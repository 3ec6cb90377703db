"""One model of a backtest: trained under a seed, timed, and asked for its forecasts."""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tsbnn.evaluation.memory import PeakMemory
from tsbnn.evaluation.paths import check_forecasts, sample_forecast
from tsbnn.evaluation.randomness import stream
from tsbnn.evaluation.windows import Entry, RollingWindows
from tsbnn.foreign.names import network_name

#: Share of a run's progress that training takes; prediction takes the rest.
_TRAINING = 0.9


@dataclass(frozen=True)
class Run:
    """What one training and its forecasts gave.

    Attributes
    ----------
    forecasts
        Sample forecasts, one per window.
    gradient_evaluations
        Minibatch gradients computed; 0 where nothing was trained, None where nobody told.
    train_s, predict_s
        Wall time in seconds.
    peak_memory_mib, peak_cuda_memory_mib
        See :class:`tsbnn.evaluation.memory.PeakMemory`.
    summary
        The predictor's ``training_summary``; empty if it has none.
    """

    forecasts: list[Any]
    gradient_evaluations: int | None
    train_s: float
    predict_s: float
    peak_memory_mib: float
    peak_cuda_memory_mib: float | None
    summary: dict[str, Any] = field(default_factory=dict)


def run(
    estimator: Any,
    training: Sequence[Entry],
    windows: RollingWindows,
    seed: int,
    num_samples: int,
    report: Callable[[float], None],
) -> Run:
    """Train, then forecast all windows.

    ``with_seed`` is used where the estimator has it. In any case the global random state is
    seeded around both steps, and restored. Nothing of the estimator is changed.

    Parameters
    ----------
    estimator
        GluonTS estimator.
    training
        Entries without labels.
    windows
        What to forecast.
    seed
        At least 0.
    num_samples
        Paths per forecast, where the predictor takes that argument.
    report
        Called with the fraction done.
    """
    from tsbnn.evaluation.lightning_run import quiet, quiet_copy
    from tsbnn.foreign.random_state import RandomStream

    report(0.0)
    model = estimator.with_seed(seed) if hasattr(estimator, "with_seed") else estimator
    with (
        tempfile.TemporaryDirectory(prefix="tsbnn-") as folder,
        quiet(),
        PeakMemory() as memory,
    ):
        model, counter = quiet_copy(model, lambda share: report(_TRAINING * share), folder)
        started = time.perf_counter()
        with RandomStream(seed).active():
            predictor = model.train(training)
        trained = time.perf_counter()
        report(_TRAINING)
        with RandomStream(seed).active():
            forecasts = _forecast(predictor, windows, num_samples, seed, report)
        predicted = time.perf_counter()
    summary = dict(getattr(predictor, "training_summary", None) or {})
    evaluations = summary.get("gradient_evaluations")
    if evaluations is None and counter is not None:
        evaluations = counter.batches
    if evaluations is None and describe(estimator)["inference"] == "none":
        evaluations = 0
    report(1.0)
    return Run(
        forecasts=check_forecasts(forecasts, windows.index(), windows.prediction_length),
        gradient_evaluations=evaluations,
        train_s=trained - started,
        predict_s=predicted - trained,
        peak_memory_mib=memory.mib,
        peak_cuda_memory_mib=memory.cuda_mib,
        summary=summary,
    )


def _forecast(
    predictor: Any,
    windows: RollingWindows,
    num_samples: int,
    seed: int,
    report: Callable[[float], None],
) -> list[Any]:
    length = getattr(predictor, "prediction_length", windows.prediction_length)
    if length != windows.prediction_length:
        raise ValueError(
            f"the predictor forecasts {length} steps, the windows have {windows.prediction_length}"
        )
    parameters = inspect.signature(predictor.predict).parameters
    takes = "num_samples" in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    arguments = {"num_samples": num_samples} if takes else {}
    generator = stream(seed, "paths")
    forecasts = []
    step = max(1, len(windows) // 50)
    for count, forecast in enumerate(predictor.predict(windows, **arguments), start=1):
        forecasts.append(sample_forecast(forecast, num_samples, generator))
        if count % step == 0:
            report(_TRAINING + (1 - _TRAINING) * min(1.0, count / len(windows)))
    return forecasts


def describe(estimator: Any) -> dict[str, str]:
    """Network, inference and family of an estimator, for tables.

    By its ``describe()`` where it has one. Else a point estimate by Adam is assumed, and the
    network is named by its class: GluonTS's own by its package, as in ``gluonts_deepar``.
    """
    found: dict[str, str] = {
        "network": network_name(type(estimator)),
        "inference": "adam",
        "family": "point",
    }
    own = estimator.describe() if hasattr(estimator, "describe") else {}
    return {key: str(own.get(key, value)) for key, value in found.items()}
