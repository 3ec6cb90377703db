"""Metrics kept by window add up to the scores of the whole, whatever the choice of windows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tsbnn.evaluation import calibration, metrics, scores
from tsbnn.evaluation.epistemic import epistemic_share


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    labels = rng.normal(4, 1, size=(6, 5))
    labels[1] = np.nan
    labels[2, 3] = np.nan
    samples = rng.normal(4, 1, size=(6, 30, 5))
    forecasts = [SimpleNamespace(samples=x) for x in samples]
    scales = np.array([1.0, 1.0, 2.0, 0.0, np.nan, 0.5])
    return labels, samples, scales, *metrics.score_windows(labels, forecasts, scales)


def test_every_metric_is_the_score_of_that_name(scored):
    labels, samples, scales, _, values = scored
    quantiles = np.stack([scores.sample_quantile(samples, q) for q in scores.QUANTILE_LEVELS], 1)
    low, high = calibration.central_interval(samples, 0.9)
    found = calibration.coverage(labels, samples, 0.9)
    expected = {
        "crps": scores.crps(labels, samples),
        "normalised_crps": scores.normalised_crps(labels, samples),
        "mean_wql": scores.mean_wql(labels, quantiles),
        "nd": scores.nd(labels, quantiles[:, 4]),
        "mase": scores.mase(labels, quantiles[:, 4], scales),
        "rmse": scores.rmse(labels, samples.mean(axis=1)),
        "energy_score": np.nanmean(scores.energy_score(labels, samples)),
        "coverage_90": found.empirical,
        "width_90": found.width,
        "interval_score_90": np.nanmean(scores.interval_score(labels, low, high, 0.9)),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-12), name


def test_all_metrics_of_the_protocol_are_there(scored):
    expected = {"crps", "normalised_crps", "mean_wql", "nd", "mase", "rmse", "energy_score"}
    expected |= {
        f"{name}_{level}"
        for name in ("coverage", "width", "interval_score")
        for level in (50, 80, 90, 95)
    }
    assert set(scored[-1]) == expected | {"pit_deviation", "pit_ks"}
    assert all(np.isfinite(value) for value in scored[-1].values())


def test_weights_count_windows(scored):
    labels, samples, scales, sums, _ = scored
    weights = np.array([[2.0, 1.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    chosen = [0, 0, 1, 3]
    forecasts = [SimpleNamespace(samples=x) for x in samples[chosen]]
    _, expected = metrics.score_windows(labels[chosen], forecasts, scales[chosen])
    for name in sums.numerators:
        found = sums.value(name, weights)
        assert found[0] == pytest.approx(expected[name], rel=1e-12), name
        assert np.isnan(found[1]), name


def test_chunks_change_nothing(scored, monkeypatch):
    labels, samples, scales, _, values = scored
    monkeypatch.setattr(metrics, "_CHUNK", 4)
    forecasts = [SimpleNamespace(samples=x) for x in samples]
    _, again = metrics.score_windows(labels, forecasts, scales)
    assert again == pytest.approx(values, rel=1e-12)


def test_unknown_metrics_are_answered_with_the_known_ones(scored):
    with pytest.raises(ValueError, match=r"'crsp'.*crps"):
        scored[3].value("crsp")


def test_the_epistemic_share_is_not_floored_and_counts_what_is_known():
    def forecast(epistemic: float, total: float) -> SimpleNamespace:
        return SimpleNamespace(
            samples=np.zeros((4, 2)),
            epistemic_variance=np.full(2, epistemic),
            total_std=np.full(2, total),
        )

    labels, scales = np.zeros((3, 2)), np.ones(3)
    forecasts = [forecast(-0.1, 1.0), forecast(50.0, 10.0), forecast(0.0, 0.0)]
    _, values = metrics.score_windows(labels, forecasts, scales)
    assert values["epistemic_share"] == pytest.approx((-0.1 + 0.5) / 2)
    forecasts[0] = SimpleNamespace(samples=np.zeros((4, 2)))
    _, values = metrics.score_windows(labels, forecasts, scales)
    assert values["epistemic_share"] == pytest.approx(0.5)
    forecasts[1] = forecast(np.nan, 10.0)
    _, values = metrics.score_windows(labels, forecasts, scales)
    assert "epistemic_share" not in values


def test_the_epistemic_share_is_one_in_table_and_plot_and_has_no_scale():
    rng = np.random.default_rng(3)

    def forecasts(size: float, item: str) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                samples=np.zeros((4, 1)),
                epistemic_variance=size * rng.normal(0.3, 0.2, 1),
                total_std=np.sqrt(size * rng.uniform(0.5, 4.0, 1)),
                num_draws=20,
                item_id=item,
            )
            for _ in range(5)
        ]

    groups = {"small": forecasts(1.0, "small"), "large": forecasts(1e6, "large")}
    both = groups["small"] + groups["large"]
    sums, values = metrics.score_windows(np.zeros((10, 1)), both, np.ones(10))
    share, _ = epistemic_share(both)
    assert values["epistemic_share"] == pytest.approx(float(share[0]))
    # Of one series it is a ratio of means, and each series counts alike.
    expected = [
        np.sum([f.epistemic_variance for f in group])
        / np.sum([np.square(f.total_std) for f in group])
        for group in groups.values()
    ]
    assert values["epistemic_share"] == pytest.approx(np.mean(expected))
    one = np.r_[np.ones(5), np.zeros(5)]
    assert sums.value("epistemic_share", one) == pytest.approx(expected[0])
