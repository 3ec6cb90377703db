"""Whatever kind of forecast a predictor gives: as sample paths, checked against their window."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from gluonts.model.forecast import Forecast, QuantileForecast, SampleForecast


def sample_forecast(
    forecast: Forecast, num_samples: int, generator: np.random.Generator
) -> SampleForecast:
    """Return a forecast with ``samples``, ``num_samples x prediction_length``.

    A sample forecast is returned as it is, draws and all. Of a distribution, independent samples
    are taken (torch's global random state decides them); of a quantile forecast, its quantile
    function at levels (i + ½)/num_samples, shuffled at each time. These two know nothing of
    dependence along the path, and their paths have none.

    Parameters
    ----------
    forecast
        Of GluonTS: samples, quantiles, or a distribution.
    num_samples
        Paths where the forecast has none of its own.
    generator
        Shuffles quantiles.

    Raises
    ------
    ValueError
        If the forecast is of another kind, or has more than one target dimension.
    """
    if isinstance(forecast, QuantileForecast):
        levels = (np.arange(num_samples) + 0.5) / num_samples
        values = np.stack([forecast.quantile(float(level)) for level in levels])
        paths = SampleForecast(
            samples=generator.permuted(values, axis=0),
            start_date=forecast.start_date,
            item_id=forecast.item_id,
        )
        # The constructor takes dictionaries only, quantile forecasts take anything.
        paths.info = forecast.info
        forecast = paths
    elif not hasattr(forecast, "samples") and hasattr(forecast, "to_sample_forecast"):
        forecast = forecast.to_sample_forecast(num_samples)
    samples: Any = getattr(forecast, "samples", None)
    if np.ndim(samples) != 2:
        raise ValueError(
            f"a forecast must have samples of shape num_samples x prediction_length; "
            f"{type(forecast).__name__} has "
            + ("none" if samples is None else f"shape {np.shape(samples)}")
        )
    return forecast


def check_forecasts(
    forecasts: Iterable[Any], index: pd.DataFrame, prediction_length: int
) -> list[SampleForecast]:
    """Make sure that there is one finite forecast per window, in order and starting with it.

    Parameters
    ----------
    forecasts
        Sample forecasts.
    index
        One row per window: ``item_id``, ``window``, ``start``.
    prediction_length
        Steps of a window.

    Raises
    ------
    ValueError
        Naming the series and the window's start.
    """
    found = list(forecasts)
    if len(found) != len(index):
        raise ValueError(f"{len(found)} forecasts for {len(index)} windows")
    rows = index[["item_id", "start"]].itertuples(index=False, name=None)
    for forecast, (item, start) in zip(found, rows, strict=True):
        where = f"series {item!r}, window of {start}"
        if forecast.item_id is not None and str(forecast.item_id) != item:
            raise ValueError(f"{where}: the forecast is of series {forecast.item_id!r}")
        if forecast.start_date != start:
            raise ValueError(f"{where}: the forecast starts at {forecast.start_date}")
        if forecast.samples.shape[1] != prediction_length:
            raise ValueError(
                f"{where}: the forecast has {forecast.samples.shape[1]} steps, "
                f"the window {prediction_length}"
            )
        if not np.isfinite(forecast.samples).all():
            raise ValueError(f"{where}: the forecast is NaN or infinite, the model has diverged")
    return found
