"""Every score against an independent implementation: scoringrules, gluonts.ev, closed forms."""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
import properscoring
import pytest
import scoringrules
from gluonts.dataset.split import split
from gluonts.ev.metrics import MASE, MSIS, ND, RMSE, MeanWeightedSumQuantileLoss
from gluonts.model.evaluation import evaluate_forecasts
from gluonts.model.forecast import SampleForecast
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from tsbnn.evaluation import scores

LEVELS = scores.QUANTILE_LEVELS


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """Five windows of 7 labels, some of them missing, and 40 paths each."""
    rng = np.random.default_rng(1)
    labels = rng.normal(3, 2, size=(5, 7))
    labels[0, 2] = labels[3, 6] = np.nan
    labels[4] = np.nan
    return labels, rng.normal(2.5, 2.5, size=(5, 40, 7))


def test_crps_is_that_of_scoringrules(data):
    labels, samples = data
    expected = scoringrules.crps_ensemble(
        np.nan_to_num(labels), np.moveaxis(samples, 1, 2), estimator="nrg"
    )
    found = scores.crps_ensemble(labels, samples)
    known = ~np.isnan(labels)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-12)
    assert np.isnan(found[~known]).all()
    assert scores.crps(labels, samples) == pytest.approx(expected[known].mean())
    assert scores.normalised_crps(labels, samples) == pytest.approx(
        expected[known].sum() / np.abs(labels[known]).sum()
    )


def test_crps_of_a_gaussian_is_its_closed_form():
    paths = norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None]
    z = np.array([0.0, 1.0, -2.5])
    expected = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    found = scores.crps_ensemble(z, np.repeat(paths, 3, axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@given(
    samples=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8),
    label=st.floats(-1e3, 1e3),
)
@settings(max_examples=50, deadline=None)
def test_crps_is_its_definition_ties_included(samples: list[float], label: float):
    x = np.array([*samples, samples[0]])
    expected = np.abs(x - label).mean() - np.abs(x[:, None] - x).mean() / 2
    found = scores.crps_ensemble([label], x[:, None])
    np.testing.assert_allclose(found, [expected], atol=1e-9)


def test_crps_of_one_path_is_the_absolute_error():
    assert scores.crps_ensemble([1.0, 5.0], [[3.0, 4.5]]).tolist() == [2.0, 0.5]


def test_crps_of_many_labels_is_fast():
    rng = np.random.default_rng(0)
    labels, samples = rng.normal(size=(200, 100)), rng.normal(size=(200, 100, 100))
    scores.crps(labels, samples)
    started = time.perf_counter()
    scores.crps(labels, samples)
    # 0.02 s on a free core; the quadratic fallback takes 15 s.
    assert time.perf_counter() - started < 2.0


def test_without_numba_many_labels_are_refused_and_few_are_not(monkeypatch):
    monkeypatch.setattr(
        properscoring._crps,
        "_crps_ensemble_core",
        properscoring._crps._crps_ensemble_vectorized,
    )
    scores._properscoring.cache_clear()
    try:
        labels, samples = np.zeros((30, 100)), np.ones((30, 2, 100))
        with pytest.raises(RuntimeError, match="pip install numba"):
            scores.crps_ensemble(labels, samples)
        assert scores.crps_ensemble(labels[:1], samples[:1]).sum() == 100.0
    finally:
        scores._properscoring.cache_clear()


def test_importing_the_scores_does_not_compile():
    # In the running process properscoring is loaded: look at what the module itself imports.
    assert "properscoring" not in vars(scores)
    assert "numba" not in vars(scores)
    assert "properscoring" in sys.modules


def test_all_scores_that_gluonts_has_are_equal_to_gluonts_ev(data):
    rng = np.random.default_rng(3)
    labels, samples = data
    season, horizon = 4, labels.shape[1]
    history = rng.normal(5, 1, size=(len(labels), 30))
    history[1, 4:9] = np.nan
    start = pd.Period("2024-01-01", "h")
    dataset = [
        {"item_id": str(i), "start": start, "target": np.concatenate([history[i], labels[i]])}
        for i in range(len(labels))
    ]
    _, template = split(dataset, offset=-horizon)
    forecasts = [
        SampleForecast(x, start_date=start + 30, item_id=str(i)) for i, x in enumerate(samples)
    ]
    expected = evaluate_forecasts(
        forecasts,
        test_data=template.generate_instances(horizon),
        metrics=[MeanWeightedSumQuantileLoss(LEVELS), ND(), RMSE(), MASE(), MSIS(alpha=0.1)],
        seasonality=season,
    ).iloc[0]

    quantiles = np.stack([scores.sample_quantile(samples, q) for q in LEVELS], axis=-2)
    median = quantiles[:, 4]
    scale = np.array([scores.seasonal_error(h, season) for h in history])
    lower, upper = (scores.sample_quantile(samples, q) for q in (0.05, 0.95))
    interval = scores.interval_score(labels, lower, upper, 0.9) / scale[:, None]

    assert scores.mean_wql(labels, quantiles) == pytest.approx(
        expected["mean_weighted_sum_quantile_loss"], rel=1e-12
    )
    assert scores.nd(labels, median) == pytest.approx(expected["ND[0.5]"], rel=1e-12)
    assert scores.rmse(labels, samples.mean(axis=1)) == pytest.approx(expected["RMSE[mean]"])
    assert scores.mase(labels, median, scale) == pytest.approx(expected["MASE[0.5]"], rel=1e-12)
    assert np.nanmean(interval) == pytest.approx(expected["MSIS"], rel=1e-9)


def test_sample_quantiles_follow_gluonts_rule():
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 100):
        samples = rng.normal(size=(count, 3))
        forecast = SampleForecast(samples, start_date=pd.Period("2024", "D"))
        for level in (0.0, 0.025, 0.1, 0.5, 0.77, 1.0):
            np.testing.assert_array_equal(
                scores.sample_quantile(samples, level), forecast.quantile(level)
            )


def test_interval_score_is_that_of_scoringrules():
    labels = np.array([-3.0, 0.0, 0.2, 9.0])
    lower, upper = np.full(4, -1.0), np.full(4, 2.0)
    expected = scoringrules.interval_score(labels, lower, upper, 0.2)
    np.testing.assert_allclose(scores.interval_score(labels, lower, upper, 0.8), expected)


def test_quantile_loss_is_twice_that_of_scoringrules():
    labels, predicted = np.array([-1.0, 0.5, 2.0]), np.zeros(3)
    expected = 2 * scoringrules.quantile_score(labels, predicted, 0.3)
    np.testing.assert_allclose(scores.quantile_loss(labels, predicted, 0.3), expected)


def test_energy_score_is_that_of_scoringrules_on_the_observed_points(data):
    labels, samples = data
    found = scores.energy_score(labels, samples)
    for row in range(4):
        known = ~np.isnan(labels[row])
        expected = scoringrules.es_ensemble(
            labels[row, known], samples[row][:, known], estimator="nrg"
        )
        assert found[row] == pytest.approx(float(expected), rel=1e-9)
    assert np.isnan(found[4])


def test_energy_score_of_one_step_is_crps():
    rng = np.random.default_rng(0)
    labels, samples = 1e6 + rng.normal(size=(4, 1)), 1e6 + rng.normal(size=(4, 50, 1))
    np.testing.assert_allclose(
        scores.energy_score(labels, samples), scores.crps_ensemble(labels, samples)[:, 0]
    )


def test_energy_score_sees_dependence_that_crps_does_not():
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(300, 200, 20)).cumsum(axis=-1)
    labels = rng.normal(size=(300, 20)).cumsum(axis=-1)
    shuffled = rng.permuted(walks, axis=1)
    assert scores.crps(labels, walks) == pytest.approx(scores.crps(labels, shuffled))
    assert scores.energy_score(labels, walks).mean() < scores.energy_score(labels, shuffled).mean()


def test_unobserved_labels_are_excluded_not_zero(data):
    labels, samples = data
    full = labels[:3, 3:6]
    paths = samples[:3, :, 3:6]
    padded = np.concatenate([full, np.full((3, 2), np.nan)], axis=1)
    more = np.concatenate([paths, np.full((3, 40, 2), 1e9)], axis=2)
    assert scores.crps(padded, more) == scores.crps(full, paths)
    assert scores.normalised_crps(padded, more) == scores.normalised_crps(full, paths)
    np.testing.assert_allclose(scores.energy_score(padded, more), scores.energy_score(full, paths))
    median, wide = (scores.sample_quantile(x, 0.5) for x in (paths, more))
    assert scores.nd(padded, wide) == scores.nd(full, median)
    assert scores.rmse(padded, wide) == pytest.approx(scores.rmse(full, median))
    one = np.ones(3)
    assert scores.mase(padded, wide, one) == pytest.approx(scores.mase(full, median, one))
    np.testing.assert_array_equal(
        scores.mean_wql(padded, wide[:, None], (0.5,)), scores.nd(full, median)
    )


def test_labels_of_zero_have_no_normalised_score():
    assert np.isnan(scores.nd(np.zeros(3), np.ones(3)))
    assert np.isnan(scores.normalised_crps(np.zeros(3), np.ones((4, 3))))


def test_a_history_that_never_changes_is_left_out_of_mase():
    labels, point = np.ones((2, 3)), np.zeros((2, 3))
    assert scores.seasonal_error(np.ones(10), 2) == 0.0
    assert scores.mase(labels, point, [0.0, 2.0]) == 0.5
    assert np.isnan(scores.seasonal_error([1.0, np.nan, 2.0], 1))


def test_a_history_shorter_than_the_season_is_differenced_at_lag_one():
    assert scores.seasonal_error([1.0, 4.0, 5.0], 24) == 2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scores.sample_quantile(np.zeros((3, 2)), 1.5), "1.5"),
        (lambda: scores.interval_score([0.0], [0.0], [0.0], 1.0), "coverage"),
        (lambda: scores.seasonal_error([1.0, 2.0], 0), "season"),
        (lambda: scores.mean_wql(np.zeros(2), np.zeros((3, 2))), "9 levels, but 3"),
        (lambda: scores.mase(np.zeros((2, 3)), np.zeros((2, 3)), [1.0]), "scale"),
        (lambda: scores.mase(np.ones((2, 3)), np.zeros((2, 3)), [0.0, np.nan]), "seasonal error"),
        (lambda: scores.mase(np.full((1, 3), np.nan), np.zeros((1, 3)), [0.0]), "none of 3 labels"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
