"""Every kind of GluonTS forecast becomes sample paths; what does not fit its window is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from gluonts.model.forecast import QuantileForecast, SampleForecast
from gluonts.torch.model.forecast import DistributionForecast

from tsbnn.evaluation.paths import check_forecasts, sample_forecast
from tsbnn.foreign.random_state import RandomStream

START = pd.Period("2024-01-01", "D")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_sample_forecast_stays_itself():
    forecast = SampleForecast(np.zeros((7, 3)), START, "a")
    assert sample_forecast(forecast, 100, rng()) is forecast


def test_a_distribution_is_sampled():
    mean = torch.tensor([0.0, 50.0])
    forecast = DistributionForecast(torch.distributions.Normal(mean, 2.0), START, "a")
    with RandomStream(0).active():
        found = sample_forecast(forecast, 4000, rng())
    assert found.samples.shape == (4000, 2)
    np.testing.assert_allclose(found.samples.mean(axis=0), mean, atol=0.2)
    np.testing.assert_allclose(found.samples.std(axis=0), 2.0, rtol=0.05)
    assert found.item_id == "a"


def test_quantiles_give_paths_with_these_quantiles_and_no_dependence():
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    values = np.array([[q * 10, q * 100] for q in levels])
    forecast = QuantileForecast(values, START, [str(q) for q in levels], "a", info="text")
    found = sample_forecast(forecast, 1000, rng())
    for level in levels:
        expected = [level * 10, level * 100]
        np.testing.assert_allclose(np.quantile(found.samples, level, axis=0), expected, rtol=0.02)
    assert abs(np.corrcoef(found.samples.T)[0, 1]) < 0.1
    assert (found.start_date, found.item_id, found.info) == (START, "a", "text")


def test_what_has_no_paths_is_refused():
    with pytest.raises(ValueError, match=r"shape \(7, 3, 2\)"):
        sample_forecast(SampleForecast(np.zeros((7, 3, 2)), START), 10, rng())
    with pytest.raises(ValueError, match="object has none"):
        sample_forecast(object(), 10, rng())


def index() -> pd.DataFrame:
    return pd.DataFrame({"item_id": ["a", "b"], "window": [0, 0], "start": [START, START]})


def test_forecasts_that_fit_pass():
    forecasts = [SampleForecast(np.zeros((7, 3)), START, name) for name in ("a", None)]
    assert check_forecasts(iter(forecasts), index(), 3) == forecasts


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (SampleForecast(np.zeros((7, 3)), START, "a"), "'b'.*of series 'a'"),
        (SampleForecast(np.zeros((7, 3)), START + 3, "b"), "'b'.*starts at 2024-01-04"),
        (SampleForecast(np.zeros((7, 4)), START, "b"), "'b'.*4 steps.* 3"),
        (SampleForecast(np.full((7, 3), np.nan), START, "b"), "'b'.*diverged"),
    ],
)
def test_a_forecast_that_does_not_fit_its_window_is_named(second, message):
    with pytest.raises(ValueError, match=message):
        check_forecasts([SampleForecast(np.zeros((7, 3)), START, "a"), second], index(), 3)


def test_missing_forecasts_are_counted():
    with pytest.raises(ValueError, match="1 forecasts for 2 windows"):
        check_forecasts([SampleForecast(np.zeros((7, 3)), START, "a")], index(), 3)
