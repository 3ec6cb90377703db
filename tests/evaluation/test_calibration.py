"""Coverage, PIT and its deviation: exact on finite samples, pointing the right way when wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tsbnn.evaluation import calibration


@pytest.fixture(scope="module")
def calibrated() -> tuple[np.ndarray, np.ndarray]:
    """20,000 labels from the distribution of their 39 samples each."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(2000, 10)), rng.normal(size=(2000, 39, 10))


@pytest.mark.parametrize("nominal", calibration.INTERVALS)
def test_coverage_of_a_calibrated_forecast_is_nominal(calibrated, nominal):
    found = calibration.coverage(*calibrated, nominal)
    error = np.sqrt(nominal * (1 - nominal) / 20_000)
    assert found.nominal == nominal
    assert abs(found.empirical - nominal) < 4 * error


def test_common_quantile_rules_cover_too_little(calibrated):
    labels, samples = calibrated
    lower, upper = np.quantile(samples, [0.025, 0.975], axis=1)
    assert calibration.inside(labels, lower, upper).mean() < 0.94


def test_width_is_that_of_the_gaussian(calibrated):
    labels = calibrated[0]
    many = np.random.default_rng(1).normal(size=(20, 4000, 10))
    found = calibration.coverage(labels[:20], many, 0.9).width
    assert found == pytest.approx(2 * stats.norm.ppf(0.95), rel=0.02)


def test_the_interval_of_19_samples_at_90_percent_is_their_range():
    samples = np.random.default_rng(0).normal(size=(19, 3))
    lower, upper = calibration.central_interval(samples, 0.9)
    np.testing.assert_allclose(lower, samples.min(axis=0))
    np.testing.assert_allclose(upper, samples.max(axis=0))
    lower, upper = calibration.central_interval(samples, 0.99)
    np.testing.assert_allclose(upper, samples.max(axis=0))


def test_unobserved_labels_count_neither_for_coverage_nor_for_width():
    samples = np.stack([np.array([-1.0, 1.0]), np.array([-100.0, 100.0])], axis=-1)
    found = calibration.coverage([0.0, np.nan], samples, 0.2)
    assert found.empirical == 1.0
    assert found.width == pytest.approx(1.2)


def test_the_randomised_pit_is_uniform_ties_and_few_samples_included():
    rng = np.random.default_rng(0)
    labels = rng.poisson(1.0, size=(4000, 5)).astype(float)
    samples = rng.poisson(1.0, size=(4000, 9, 5)).astype(float)
    values = calibration.pit(labels, samples)
    assert stats.kstest(values.ravel(), "uniform").pvalue > 0.01


def test_the_mid_rank_pit_is_its_formula():
    samples = np.array([[1.0], [2.0], [2.0], [3.0]])
    mid = [calibration.pit([y], samples, randomised=False)[0] for y in (0.0, 2.0, 9.0)]
    np.testing.assert_allclose(mid, [0.1, 0.5, 0.9])


def test_the_pit_is_reproducible_and_leaves_global_randomness(
    calibrated, unchanged_global_random_state
):
    labels, samples = calibrated
    first, second = (calibration.pit(labels, samples, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first != calibration.pit(labels, samples, seed=4)).any()


def test_the_pit_of_a_missing_label_is_nan():
    values = calibration.pit([np.nan, 0.0], np.zeros((3, 2)))
    assert np.isnan(values).tolist() == [True, False]


def test_the_histogram_has_mean_one_and_leans_the_right_way(calibrated):
    labels, samples = calibrated
    for factor, middle in ((1.0, "flat"), (0.4, "low"), (3.0, "high")):
        density, edges = calibration.pit_histogram(calibration.pit(labels, factor * samples))
        assert len(density) == 20
        assert len(edges) == 21
        assert density.mean() == pytest.approx(1.0)
        ratio = density[8:12].mean() / density[[0, -1]].mean()
        assert {"flat": 0.9 < ratio < 1.1, "low": ratio < 0.5, "high": ratio > 2}[middle]


def test_the_deviation_agrees_with_scipy():
    values = np.random.default_rng(0).beta(2, 3, size=500)
    found = calibration.pit_deviation(values, bins=10)
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert found.count == 500
    assert found.kolmogorov_smirnov == pytest.approx(stats.kstest(values, "uniform").statistic)
    assert found.chi_square == pytest.approx(stats.chisquare(counts).statistic)
    assert found.mean_absolute == pytest.approx(np.abs(counts / 50 - 1).mean())


def test_the_deviation_of_calibrated_forecasts_is_at_its_noise_floor(calibrated):
    values = calibration.pit(*calibrated)
    found = calibration.pit_deviation(values)
    floor = np.sqrt(2 * 20 / (np.pi * values.size))
    assert found.mean_absolute == pytest.approx(floor, rel=0.6)


def test_the_extremes_of_the_deviation():
    assert calibration.pit_deviation(np.full(7, 0.5), bins=20).mean_absolute == pytest.approx(1.9)
    middles = (np.arange(20) + 0.5) / 20
    assert calibration.pit_deviation(middles, bins=20).mean_absolute == pytest.approx(0.0)


def test_the_reliability_curve():
    nominal, empirical = calibration.reliability_curve([0.1, 0.3, 0.3, np.nan, 0.9], [0.2, 0.3, 1])
    assert nominal.tolist() == [0.2, 0.3, 1.0]
    assert empirical.tolist() == [0.25, 0.75, 1.0]
    assert len(calibration.reliability_curve([0.5])[0]) == 21


@pytest.mark.parametrize("nominal", [0.0, 1.0, 95])
def test_a_coverage_outside_its_range_is_named(nominal):
    with pytest.raises(ValueError, match=str(nominal)):
        calibration.central_interval(np.zeros((3, 2)), nominal)


@pytest.mark.parametrize(("values", "message"), [([np.nan], "no observed"), ([0.5, 1.5], "1.5")])
def test_values_that_are_no_pit_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        calibration.pit_deviation(values)
