"""A forecast that knows its draws, and is still a GluonTS forecast."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from gluonts.model.forecast import SampleForecast

from tsbnn.forecasting import BayesianForecast

START = pd.Period("2024-01-01", freq="D")
INDEX = np.repeat(np.arange(4), 5)


def forecast(samples: np.ndarray | None = None, **arguments: object) -> BayesianForecast:
    if samples is None:
        samples = np.random.default_rng(1).normal(size=(20, 3)) + INDEX[:, None]
    return BayesianForecast(
        **{
            "samples": samples,
            "start_date": START,
            "draw_index": INDEX,
            "item_id": "a",
            **arguments,
        }
    )


def test_gluonts_sees_a_sample_forecast() -> None:
    one = forecast(info={"x": 1})
    plain = SampleForecast(one.samples, START, "a")
    np.testing.assert_array_equal(one.quantile(0.9), plain.quantile("0.9"))
    np.testing.assert_array_equal(one.mean, plain.mean)
    assert (one.item_id, one.info, one.num_samples, one.prediction_length) == ("a", {"x": 1}, 20, 3)
    assert one.index.equals(plain.index)
    np.testing.assert_array_equal(
        one.to_quantile_forecast(["0.1", "0.5"]).quantile(0.1), plain.quantile(0.1)
    )


def test_paths_of_a_draw() -> None:
    one = forecast()
    assert one.num_draws == 4
    np.testing.assert_array_equal(one.draw_samples(2), one.samples[10:15])
    with pytest.raises(ValueError, match=r"no path of draw 9; draws are \[0, 1, 2, 3\]"):
        one.draw_samples(9)


def test_standard_deviations_belong_together() -> None:
    one = forecast()
    assert (one.epistemic_variance > 0).all()
    np.testing.assert_allclose(one.epistemic_std**2, one.epistemic_variance)
    np.testing.assert_allclose(one.total_std**2, one.epistemic_variance + one.aleatoric_std**2)
    assert (one.epistemic_variance_se > 0).all()


def test_only_the_standard_deviation_is_floored() -> None:
    samples = np.tile(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), 4)[:, None]
    one = forecast(samples)
    assert one.epistemic_variance[0] == pytest.approx(-2.5 / 5)
    assert one.epistemic_std[0] == 0.0


def test_exact_moments_replace_paths_where_float32_holds_them() -> None:
    means, variances = np.arange(12.0).reshape(4, 3), np.full((4, 3), 9.0)
    one = forecast(draw_mean=means, draw_variance=variances)
    np.testing.assert_allclose(one.epistemic_variance, means.var(axis=0, ddof=1))
    np.testing.assert_allclose(one.aleatoric_std, 3.0)
    # Heavy tails, and what float32 cannot hold.
    for beyond in (np.inf, 0.0):
        variances[0, 0] = beyond
        other = forecast(draw_mean=means, draw_variance=variances)
        np.testing.assert_allclose(other.epistemic_variance, forecast().epistemic_variance)


def test_a_point_posterior_has_no_epistemic_part_at_all() -> None:
    one = forecast(draw_index=np.zeros(20, int), num_atoms=1)
    np.testing.assert_array_equal(one.epistemic_variance, 0.0)
    np.testing.assert_array_equal(one.epistemic_variance_se, 0.0)
    np.testing.assert_allclose(one.total_std, one.samples.std(axis=0, ddof=1))


def test_a_posterior_of_a_few_weight_vectors_is_all_there_is() -> None:
    means, variances = np.arange(12.0).reshape(4, 3) ** 2, np.ones((4, 3))
    members = forecast(draw_mean=means, draw_variance=variances, num_atoms=4)
    # The law of total variance of the mixture of the four.
    np.testing.assert_allclose(members.epistemic_variance, means.var(axis=0))
    np.testing.assert_array_equal(members.epistemic_variance_se, 0.0)
    assert members.copy_dim(0).num_atoms == 4
    with pytest.raises(ValueError, match="4 draws of a posterior of num_atoms=3"):
        forecast(num_atoms=3)


def test_one_path_a_draw_warns_and_is_nan() -> None:
    one = forecast(draw_index=np.arange(20))
    with pytest.warns(RuntimeWarning, match="no weight draw has two paths"):
        assert np.isnan(one.epistemic_variance).all()
    with pytest.warns(RuntimeWarning, match="aleatoric variance"):
        assert np.isnan(one.aleatoric_std).all()
    assert np.isfinite(one.total_std).all()
    with pytest.warns(RuntimeWarning, match="single weight draw") as warned:
        assert np.isnan(forecast(draw_index=np.zeros(20, int)).epistemic_std).all()
    assert warned[0].filename == __file__, "the warning points at the caller's line"


def test_copies_keep_the_draws() -> None:
    samples = np.random.default_rng(2).normal(size=(20, 3, 2)) + INDEX[:, None, None]
    moments = np.random.default_rng(3).normal(size=(4, 3, 2)) ** 2
    both = forecast(samples, draw_mean=moments, draw_variance=moments)
    assert both.epistemic_variance.shape == (3, 2)
    second = both.copy_dim(1)
    np.testing.assert_array_equal(second.samples, samples[..., 1])
    np.testing.assert_allclose(second.epistemic_variance, both.epistemic_variance[:, 1])
    total = both.copy_aggregate(np.sum)
    np.testing.assert_array_equal(total.draw_index, INDEX)
    assert total.draw_mean is None
    assert total.epistemic_variance.shape == (3,)
    with pytest.raises(ValueError, match=r"dim must lie in 0\.\.1"):
        both.copy_dim(2)
    one = forecast(draw_mean=moments[..., 0], draw_variance=moments[..., 0])
    np.testing.assert_allclose(one.copy_dim(0).epistemic_variance, one.epistemic_variance)


def test_it_pickles_and_has_a_readable_repr() -> None:
    one = forecast(draw_mean=np.ones((4, 3)), draw_variance=np.ones((4, 3)))
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.samples, one.samples)
    np.testing.assert_array_equal(again.epistemic_variance, one.epistemic_variance)
    assert "BayesianForecast(" in repr(one)


def test_draws_must_match_the_paths() -> None:
    with pytest.raises(ValueError, match="one integer for each of the 20 paths"):
        forecast(draw_index=np.arange(19))
