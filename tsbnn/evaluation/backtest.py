"""Backtests: every model, under every seed, on the same rolling windows, beside the baselines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from tsbnn.evaluation.baselines import (
    GLUONTS_DEEPAR,
    SEASONAL_NAIVE,
    default_season,
    frequency,
    gluonts_deepar,
)
from tsbnn.evaluation.metrics import score_windows
from tsbnn.evaluation.naive import SeasonalNaiveGaussian
from tsbnn.evaluation.network_settings import network_settings
from tsbnn.evaluation.result import Backtest, BacktestError
from tsbnn.evaluation.scores import seasonal_error
from tsbnn.evaluation.shapes import Array
from tsbnn.evaluation.training import describe, run
from tsbnn.evaluation.windows import Entry, RollingWindows

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, float], None]


def backtest(
    models: Mapping[str, Any],
    dataset: Iterable[Entry],
    *,
    prediction_length: int,
    windows: int,
    seeds: Sequence[int] = (0,),
    stride: int | None = None,
    season: int | None = None,
    training_data: Iterable[Entry] | None = None,
    num_samples: int = 100,
    baselines: bool | Mapping[str, Any] = True,
    dataset_name: str = "",
    progress: Progress | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    keep_forecasts: bool = True,
) -> Backtest:
    """Train every model under every seed, forecast rolling windows, and score the forecasts.

    The windows lie at the end of every series, ``stride`` apart, the last one at its very end.
    Models never see a label: they train on data that end before the first window, and forecast
    from copies of the series that end where the window starts (known covariates go on through it).

    Parameters
    ----------
    models
        GluonTS estimators by the name that they get in tables. If one has ``with_seed(seed)``,
        that is used; in any case the global random state is seeded around training and
        prediction, and restored. The estimators themselves are not changed.
    dataset
        GluonTS dataset of full series, through the last test label; iterated once. Steps at the end
        at which no series has a value are left out.
    prediction_length
        Labels per window.
    windows
        Windows per series.
    seeds
        Of training and prediction; at least 0, without repetition.
    stride
        Steps from one window's start to the next; ``prediction_length`` if None.
    season
        Steps of a season, for the seasonal naive and MASE; by default GluonTS's for the
        frequency (1 for days and weeks).
    training_data
        What models are trained on; by default every series up to its first window. Series of the
        same ``item_id`` must end there too.
    num_samples
        Paths per forecast.
    baselines
        True puts ``seasonal_naive`` (:class:`SeasonalNaiveGaussian`) and ``gluonts_deepar``
        (:func:`gluonts_deepar`, GluonTS's defaults) into the table, after the models. The latter
        trains on as many batches as the largest of ``models`` took gradient evaluations, or on
        GluonTS's 5,000 if none was counted; it is left out where every one of ``models`` failed.
        A mapping of estimators takes their place; False leaves them out. A model that has a
        baseline's name replaces it.
    dataset_name
        For the table; the dataset's ``name`` if it has one and this is empty.
    progress
        Called with a model's name, the seed, and the fraction of this run that is done, from 0
        to 1. Steps between depend on what the estimator tells: those of GluonTS, alone or wrapped
        by another, tell every half percent.
    on_error
        What to do when a model fails: both go on with the others; ``"raise"`` raises
        :class:`BacktestError` at the end, with all that was finished; ``"skip"`` logs a warning
        and returns, with the errors in ``failures``.
    keep_forecasts
        Keep the forecasts: ``num_samples x prediction_length`` numbers per window, seed and model.

    Returns
    -------
    Backtest
        ``results`` is the tidy table, ``summary()`` one to print.

    Raises
    ------
    ValueError, TypeError
        For bad arguments and data, before anything is trained; series are named.
    BacktestError
        If a model failed; its ``backtest`` has the results of the others.
    """
    entries = list(dataset)
    rolling = RollingWindows.of(
        entries, prediction_length, windows, prediction_length if stride is None else stride
    )
    data = rolling.training() if training_data is None else rolling.check_training(training_data)
    _check_arguments(models, baselines, seeds, num_samples, prediction_length, on_error)
    freq = frequency(dataset, rolling.series)
    season = default_season(freq) if season is None else season
    scales = _scales(rolling, season)
    result = Backtest(
        dataset=dataset_name or str(getattr(dataset, "name", "") or ""),
        freq=freq,
        season=season,
        entries=rolling,
        labels=rolling.labels(),
        windows=rolling.index().assign(seasonal_error=scales),
    )
    deepar = partial(gluonts_deepar, [*rolling.series, *data], freq, prediction_length)
    if baselines is True and GLUONTS_DEEPAR not in models:
        deepar(None)  # what it does not take is found before anything is trained

    def measure(name: str, estimator: Any) -> None:
        """Run one model under every seed; enter the results or the errors."""
        for seed in seeds:

            def report(share: float, seed: int = seed) -> None:
                if progress is not None:
                    progress(name, seed, share)

            try:
                done = run(estimator, data, rolling, seed, num_samples, report)
                scores, values = score_windows(result.labels, done.forecasts, scales)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other runs count
                logger.warning("%s with seed %d failed: %s", name, seed, error)
                result.failures[name, seed] = error
                continue
            told = network_settings(estimator, data)
            about = {**describe(estimator), "network_settings": told}
            result.add(name, seed, about, done, scores, values, keep_forecasts=keep_forecasts)

    for name, estimator in models.items():
        measure(name, estimator)
    nothing_to_compare = bool(models) and not result.models
    if baselines is True:
        if SEASONAL_NAIVE not in models:
            measure(SEASONAL_NAIVE, SeasonalNaiveGaussian(prediction_length, season))
        if GLUONTS_DEEPAR not in models and not nothing_to_compare:
            budget = max(result.results["gradient_evaluations"].dropna(), default=0)
            measure(GLUONTS_DEEPAR, deepar(int(budget) or None))
    elif baselines:
        for name, estimator in baselines.items():
            if name not in models:
                measure(name, estimator)
    if result.failures and on_error == "raise":
        raise BacktestError(result) from next(iter(result.failures.values()))
    return result


def _check_arguments(
    models: Mapping[str, Any],
    baselines: bool | Mapping[str, Any],
    seeds: Sequence[int],
    num_samples: int,
    prediction_length: int,
    on_error: str,
) -> None:
    if not isinstance(models, Mapping):
        raise TypeError(
            f"models must be a dict of estimators by name, not {type(models).__name__}: "
            "{'my model': estimator}"
        )
    extra = {} if isinstance(baselines, bool) else dict(baselines)
    if not models and not extra and baselines is not True:
        raise ValueError("there is no model to test: models is empty and baselines are left out")
    for name, estimator in {**extra, **models}.items():
        if not hasattr(estimator, "train"):
            raise TypeError(f"model {name!r}: {type(estimator).__name__} is no GluonTS estimator")
        length = getattr(estimator, "prediction_length", prediction_length)
        if length != prediction_length:
            raise ValueError(
                f"model {name!r} has prediction_length={length}, the backtest {prediction_length}"
            )
    if isinstance(seeds, int):
        raise ValueError(f"seeds must be several, such as ({seeds},), not {seeds}")
    wrong = [seed for seed in seeds if not isinstance(seed, int | np.integer) or seed < 0]
    if wrong or not len(seeds) or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be different integers of at least 0, not {list(seeds)}")
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, not {num_samples!r}")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")


def _scales(rolling: RollingWindows, season: int) -> Array:
    """Seasonal error of each window's history."""
    scales = np.empty(len(rolling))
    for index in range(len(rolling)):
        entry, start = rolling.start(index)
        scales[index] = seasonal_error(entry["target"][:start], season)
    return scales
