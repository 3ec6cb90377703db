"""Seasonal naive with Gaussian width: its law, gaps, short series, and the published figures."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gluonts.model.predictor import Predictor
from scipy.stats import kstest, norm

from tsbnn.evaluation.naive import (
    SeasonalNaiveGaussian,
    SeasonalNaiveGaussianPredictor,
    naive_paths,
    seasonal_naive,
)
from tsbnn.evaluation.scores import QUANTILE_LEVELS, mean_wql
from tsbnn.evaluation.windows import RollingWindows


def test_the_law_is_its_formula():
    history = np.array([1.0, 2.0, 3.0, 5.0, 2.0, 4.0])
    law = seasonal_naive(history, prediction_length=7, season=3)
    step = np.sqrt(np.mean([16.0, 0.0, 1.0]))
    np.testing.assert_allclose(law.mean, [5, 2, 4, 5, 2, 4, 5])
    np.testing.assert_allclose(law.std, step * np.sqrt([1, 1, 1, 2, 2, 2, 3]))


def test_the_width_comes_from_the_latest_differences():
    history = np.concatenate([np.arange(50) * 100.0, np.zeros(20), [3.0]])
    assert seasonal_naive(history, 1, 1, window=10).std[0] == pytest.approx(np.sqrt(9 / 10))


def test_a_gap_takes_the_last_value_of_its_phase_with_a_greater_width():
    history = np.array([1.0, 2.0, 2.0, 4.0, 3.0, np.nan, 4.0, np.nan])
    law = seasonal_naive(history, 4, 2)
    step = np.sqrt(np.mean([1.0, 4.0, 1.0, 1.0]))
    np.testing.assert_allclose(law.mean, [4, 4, 4, 4])
    np.testing.assert_allclose(law.std, step * np.sqrt([1, 3, 2, 4]))


def test_a_phase_that_was_never_seen_gets_what_was_seen_elsewhere():
    history = np.array([1.0, np.nan, 2.0, np.nan, 4.0, np.nan])
    law = seasonal_naive(history, 2, 2)
    assert law.mean[0] == 4.0
    assert law.mean[1] == pytest.approx(7 / 3)
    assert law.std[1] == pytest.approx(np.std([1.0, 2.0, 4.0]))
    paths = naive_paths(law, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(paths.std(axis=0), law.std, rtol=0.03)


def test_a_series_shorter_than_two_seasons_is_a_random_walk():
    law = seasonal_naive([1.0, 2.0, 4.0, 3.0], 3, season=24)
    np.testing.assert_allclose(law.mean, [3, 3, 3])
    np.testing.assert_allclose(law.std, np.sqrt(2.0) * np.sqrt([1, 2, 3]))


def test_two_points_give_their_mean_and_spread_and_one_point_itself():
    law = seasonal_naive([1.0, np.nan, 3.0], 2, 7)
    np.testing.assert_allclose([law.mean, law.std], [[2, 2], [1, 1]])
    law = seasonal_naive([5.0], 2, 7)
    np.testing.assert_allclose([law.mean, law.std], [[5, 5], [0, 0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([np.nan, np.nan], 2, 1), "one observed value"),
        (([], 2, 1), "one observed value"),
        (([1.0], 0, 1), "prediction_length"),
        (([1.0], 1, 0), "season"),
        (([1.0], 1, 1, 0), "window"),
    ],
)
def test_what_cannot_be_forecast_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        seasonal_naive(*arguments)


def test_paths_have_the_law_and_depend_on_the_season_before():
    law = seasonal_naive([1.0, 5.0, 2.0, 7.0, 2.5, np.nan], 5, 2)
    paths = naive_paths(law, 20_000, np.random.default_rng(0))
    for step in range(5):
        z = (paths[:, step] - law.mean[step]) / law.std[step]
        assert kstest(z, norm.cdf).pvalue > 1e-3
    correlation = np.corrcoef(paths.T)
    assert correlation[0, 2] == pytest.approx(np.sqrt(1 / 2), abs=0.02)
    assert correlation[1, 3] == pytest.approx(np.sqrt(2 / 3), abs=0.02)
    assert abs(correlation[0, 1]) < 0.03


def test_the_estimator_is_one_of_gluonts(tmp_path: Path, unchanged_global_random_state):
    start = pd.Period("2024-01-01", "D")
    data = [
        {"item_id": str(i), "start": start, "target": np.arange(9.0) ** i, "info": {"kept": 1}}
        for i in (1, 2)
    ]
    estimator = SeasonalNaiveGaussian(prediction_length=4, season_length=2).with_seed(3)
    predictor = estimator.train(data)
    forecasts = list(predictor.predict(data, num_samples=7))
    assert [f.item_id for f in forecasts] == ["1", "2"]
    assert forecasts[0].samples.shape == (7, 4)
    assert forecasts[0].start_date == start + 9
    assert forecasts[0].info == {"kept": 1}
    predictor.serialize(tmp_path)
    again = Predictor.deserialize(tmp_path)
    assert isinstance(again, SeasonalNaiveGaussianPredictor)
    for one, two in zip(again.predict(data, num_samples=7), forecasts, strict=True):
        np.testing.assert_array_equal(one.samples, two.samples)
    other = next(estimator.with_seed(4).train(data).predict(data, num_samples=7))
    assert (other.samples != forecasts[0].samples).all()


@pytest.mark.parametrize("name", ["prediction_length", "season_length", "window"])
def test_lengths_below_one_are_refused(name):
    arguments = {"prediction_length": 2, "season_length": 2, name: 0}
    with pytest.raises(ValueError, match=name):
        SeasonalNaiveGaussian(**arguments)


def exact_mean_wql(series: list[np.ndarray], horizon: int, windows: int, season: int) -> float:
    start = pd.Period("2000-01-01", "h")
    rolling = RollingWindows.of(
        [{"start": start, "target": y} for y in series], horizon, windows, horizon
    )
    laws = [seasonal_naive(entry["target"], horizon, season) for entry in rolling]
    quantiles = [[law.mean + law.std * norm.ppf(q) for q in QUANTILE_LEVELS] for law in laws]
    return mean_wql(rolling.labels(), np.array(quantiles))


def test_exchange_rate_gives_the_published_figure(data_dir: Path):
    with gzip.open(data_dir / "exchange_rate" / "exchange_rate.txt.gz") as file:
        rates = np.loadtxt(file, delimiter=",")[:6221].T
    assert exact_mean_wql(list(rates), 30, 5, 1) == pytest.approx(0.00815, abs=5e-6)


def test_etth1_gives_the_published_figure(data_dir: Path):
    channels = pd.read_csv(data_dir / "ett" / "ETTh1.csv").iloc[:14400, 1:].to_numpy().T
    assert exact_mean_wql(list(channels), 24, 120, 24) == pytest.approx(0.258, abs=5e-4)


def test_m4_hourly_gives_the_published_figure(data_dir: Path):
    train, test = (
        pd.read_csv(data_dir / "m4" / f"Hourly-{part}.csv").iloc[:, 1:].to_numpy(float)
        for part in ("train", "test")
    )
    series = [
        np.concatenate([a[~np.isnan(a)], b[~np.isnan(b)]]) for a, b in zip(train, test, strict=True)
    ]
    assert exact_mean_wql(series, 48, 1, 24) == pytest.approx(0.0376, abs=5e-5)
