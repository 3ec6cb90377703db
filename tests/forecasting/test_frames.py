"""Tidy frames of forecasts: the numbers of the forecasts, each series after its own end."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import tsbnn
from tsbnn import BayesianEstimator, from_frame
from tsbnn.datasets import FutureCovariateError, StaticFeatureError
from tsbnn.evaluation import central_interval
from tsbnn.forecasting.frames import FrameColumns
from tsbnn.forecasting.prediction.prediction import Predicted

from .conftest import HORIZON

LENGTHS = {"b": 30, "a": 44}
BUDGET = {"num_draws": 3, "num_samples": 11}


def sales(**more: object) -> pd.DataFrame:
    """Two series of month ends of different length, in a frame of Nixtla's columns."""
    rng = np.random.default_rng(3)
    parts = [
        pd.DataFrame(
            {
                "unique_id": item,
                "ds": pd.date_range("2018-01-31", periods=length, freq="ME"),
                "y": 20 + rng.normal(size=length),
                "price": rng.normal(size=length),
                "kind": f"kind {item}",
            }
        )
        for item, length in LENGTHS.items()
    ]
    return pd.concat(parts, ignore_index=True).assign(**more)


def horizon(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the next months, without a target."""
    ends = frame.groupby(["unique_id", "kind"])["ds"].max()
    parts = [
        pd.DataFrame({"unique_id": item, "kind": kind, "ds": stamps, "price": 0.5})
        for (item, kind), end in ends.items()
        for stamps in [pd.date_range(end, periods=HORIZON + 1, freq="ME")[1:]]
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def plain(tiny):
    return BayesianEstimator(tiny("our_deepar", freq="ME"), **BUDGET).train(from_frame(sales()))


@pytest.fixture(scope="module")
def with_features(tiny):
    dataset = from_frame(sales(), known_covariates="price", static_features="kind")
    network = tiny(
        "our_deepar",
        freq="ME",
        num_feat_dynamic_real=1,
        num_feat_static_cat=1,
        cardinality=dataset.cardinality,
    )
    return BayesianEstimator(network, **BUDGET).train(dataset.training)


def test_rows_follow_each_series_own_end(plain) -> None:
    frame = plain.predict_frame(sales(), quantiles=(0.05, 0.5), levels=(50, 97.5))
    assert list(frame.columns) == [
        *("unique_id", "ds", "mean", "median", "0.05", "0.5"),
        *("lo-50", "hi-50", "lo-97.5", "hi-97.5", "epistemic_std", "aleatoric_std"),
    ]
    assert frame["unique_id"].tolist() == ["a"] * HORIZON + ["b"] * HORIZON
    for item, part in frame.groupby("unique_id"):
        full = pd.date_range("2018-01-31", periods=LENGTHS[item] + HORIZON, freq="ME")
        assert part["ds"].tolist() == full[-HORIZON:].tolist()


def test_values_are_those_of_the_forecasts(plain) -> None:
    frame = plain.predict_frame(sales(), levels=(80,))
    forecasts = list(plain.predict(from_frame(sales())))
    for forecast, (item, part) in zip(forecasts, frame.groupby("unique_id"), strict=True):
        assert forecast.item_id == item
        np.testing.assert_allclose(part["mean"], forecast.mean, rtol=1e-6)
        np.testing.assert_allclose(part["median"], np.median(forecast.samples, axis=0), rtol=1e-6)
        lower, upper = central_interval(forecast.samples, 0.8)
        np.testing.assert_allclose(part["lo-80"], lower, rtol=1e-6)
        np.testing.assert_allclose(part["hi-80"], upper, rtol=1e-6)
        np.testing.assert_allclose(part["epistemic_std"], forecast.epistemic_std, rtol=1e-5)
        np.testing.assert_allclose(part["aleatoric_std"], forecast.aleatoric_std, rtol=1e-5)
    assert frame["0.5"].equals(frame["median"].rename("0.5"))
    assert frame["0.1"].equals(frame["lo-80"].rename("0.1"))
    assert frame["0.9"].equals(frame["hi-80"].rename("0.9"))


def test_exact_moments_are_used_where_there_are_any(tiny) -> None:
    network = tiny("our_patch_transformer", freq="ME")
    predictor = BayesianEstimator(network, **BUDGET).train(from_frame(sales()))
    frame = predictor.predict_frame(sales())
    forecasts = list(predictor.predict(from_frame(sales())))
    assert forecasts[0].draw_mean is not None
    expected = np.concatenate([forecast.epistemic_std for forecast in forecasts])
    np.testing.assert_allclose(frame["epistemic_std"], expected, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_quantiles_never_cross(count: int) -> None:
    # Neighbours in single precision, where interpolation could overshoot.
    values = np.nextafter(np.float32(1e7), np.float32(np.inf)) + np.arange(count, dtype=np.float32)
    samples = np.random.default_rng(0).permuted(np.tile(values, (5, 3, 1)), axis=-1).swapaxes(1, 2)
    levels = np.linspace(0.001, 0.999, 777)
    columns = FrameColumns(quantiles=levels, levels=())
    found = columns.of(Predicted(samples, None, None), np.zeros(count, dtype=int), num_atoms=1)[
        2:-2
    ]
    assert len(found) == len(levels)
    assert (np.diff(np.stack(found).astype(np.float32), axis=0) >= 0).all()


def test_paths_in_a_second_frame(plain) -> None:
    frame, paths = plain.predict_frame(sales(), return_samples=True, num_samples=7)
    assert list(paths.columns) == ["unique_id", "ds", "draw", "path", "value"]
    assert len(paths) == 2 * 7 * HORIZON
    means = paths.groupby(["unique_id", "ds"])["value"].mean().to_numpy()
    np.testing.assert_allclose(frame["mean"], means, rtol=1e-5)
    forecast = next(plain.predict(from_frame(sales()), num_samples=7))
    first = paths[paths["unique_id"] == "a"]
    values = first.pivot(index="path", columns="ds", values="value").to_numpy()
    np.testing.assert_array_equal(values, forecast.samples)
    draws = first.drop_duplicates("path")["draw"].tolist()
    assert draws == forecast.draw_index.tolist()


def test_covariates_of_the_horizon_from_either_place(with_features) -> None:
    ahead = horizon(sales())
    apart = with_features.predict_frame(sales(), future_covariates=ahead)
    below = with_features.predict_frame(pd.concat([sales(), ahead]))
    pd.testing.assert_frame_equal(apart, below)
    other = with_features.predict_frame(sales(), future_covariates=ahead.assign(price=50.0))
    assert (other["mean"] != apart["mean"]).any()
    with pytest.raises(FutureCovariateError, match=r"series 'a'.*future_covariates="):
        with_features.predict_frame(sales())


def test_unseen_series_are_forecast_and_unseen_categories_refused(with_features) -> None:
    new = sales()
    new = new[new["unique_id"] == "b"].assign(unique_id="new")
    ahead = horizon(new)
    frame = with_features.predict_frame(new, future_covariates=ahead)
    assert set(frame["unique_id"]) == {"new"}
    # The code of its category is that of training, although it comes alone.
    known = new.assign(unique_id="b")
    old = with_features.predict_frame(known, future_covariates=horizon(known))
    np.testing.assert_array_equal(frame["mean"], old["mean"])
    strange = new.assign(kind="kind c")
    with pytest.raises(StaticFeatureError, match=r"series 'new'.*'kind c' is not among"):
        with_features.predict_frame(strange, future_covariates=horizon(strange))


def test_a_saved_model_makes_the_same_frames(with_features, tmp_path) -> None:
    tsbnn.save(with_features, tmp_path / "model")
    again = tsbnn.load(tmp_path / "model", device="cpu")
    assert again.frame_schema == with_features.frame_schema
    ahead = horizon(sales())
    pd.testing.assert_frame_equal(
        again.predict_frame(sales(), future_covariates=ahead),
        with_features.predict_frame(sales(), future_covariates=ahead),
    )


def test_other_column_names_and_no_ids(plain) -> None:
    expected = plain.predict_frame(sales())
    names = {"unique_id": "shop", "ds": "month", "y": "sold"}
    frame = plain.predict_frame(
        sales().rename(columns=names), item_id="shop", timestamp="month", target="sold"
    )
    pd.testing.assert_frame_equal(frame, expected.rename(columns=names))


def test_a_single_series_with_dates_as_its_index(tiny) -> None:
    series = sales().query("unique_id == 'a'").set_index("ds")["y"].rename_axis(None)
    predictor = BayesianEstimator(tiny("our_deepar", freq="ME"), **BUDGET).train(from_frame(series))
    frame = predictor.predict_frame(series)
    assert list(frame.columns[:2]) == ["timestamp", "mean"]
    assert len(frame) == HORIZON


def test_series_that_end_in_the_dark_are_told(plain) -> None:
    frame = sales()
    left = frame.groupby("unique_id").cumcount(ascending=False)
    for steps, is_told in ((HORIZON - 1, False), (HORIZON, True)):
        dark = (frame["unique_id"] == "b") & (left < steps)
        open_end = frame.assign(y=frame["y"].mask(dark))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            plain.predict_frame(open_end)
        told = [str(one.message) for one in caught if "missing targets or more" in str(one.message)]
        assert bool(told) == is_told
    assert told[0].startswith(f"1 of 2 series end in {HORIZON} missing targets or more, 'b' first")


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("zone", ["UTC", "+02:00"])
def test_time_zones_come_back(tiny, zone: str, as_text: bool) -> None:
    stamps = pd.date_range("2024-01-01 00:30", periods=40, freq="h", tz=zone)
    given = stamps.map(str) if as_text else stamps
    frame = pd.DataFrame({"timestamp": given, "target": np.sin(np.arange(40.0))})
    predictor = BayesianEstimator(tiny("our_deepar"), **BUDGET).train(from_frame(frame))
    found = predictor.predict_frame(frame)["timestamp"]
    assert found.tolist() == pd.date_range(stamps[-1], periods=HORIZON + 1, freq="h")[1:].tolist()


def test_progress_and_batches(tiny) -> None:
    parts = [sales().query("unique_id == 'a'").assign(unique_id=f"{i:02}") for i in range(10)]
    frame = pd.concat(parts)
    network = tiny("our_deepar", freq="ME", batch_size=4)
    predictor = BayesianEstimator(network, **BUDGET).train(from_frame(frame))
    shares: list[float] = []
    found = predictor.predict_frame(frame, progress=shares.append)
    assert shares == [0.4, 0.8, 1.0]
    assert found["unique_id"].nunique() == 10
    assert not found.isna().any(axis=None)


def test_too_few_paths_are_told_once(plain) -> None:
    with pytest.warns(RuntimeWarning, match="num_samples of at least twice") as caught:
        frame = plain.predict_frame(sales(), num_samples=3)
    assert len(caught) == 2
    assert caught[0].filename == __file__
    assert frame["epistemic_std"].isna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain.predict_frame(sales(), num_samples=6)


def test_what_is_asked_for_is_checked(plain, tiny, series) -> None:
    with pytest.raises(ValueError, match=r"quantiles=\[90\] must be numbers between 0 and 1, such"):
        plain.predict_frame(sales(), quantiles=[90])
    for wrong in ([100], 80, "95", None, [0.8, 0.95]):
        with pytest.raises(ValueError, match=r"levels=.* between 1 and 100, such as percents"):
            FrameColumns(levels=wrong)
    with pytest.raises(ValueError, match=r"2 of them are called '0\.123457', by six digits"):
        FrameColumns(quantiles=[0.12345678, 0.12345679])
    with pytest.raises(TypeError, match="must be a ConformalCalibration, not float"):
        plain.predict_frame(sales(), calibration=0.9)
    assert FrameColumns(quantiles=[0.1, 0.1]).names.count("0.1") == 1
    renamed = sales().rename(columns={"unique_id": "path"})
    plain.predict_frame(renamed, item_id="path")
    with pytest.raises(ValueError, match="column 'path' is called like a column of forecasts"):
        plain.predict_frame(renamed, item_id="path", return_samples=True)
    other = BayesianEstimator(tiny("our_deepar"), **BUDGET).train(series)
    with pytest.raises(ValueError, match=r"not trained on a dataset of tsbnn\.from_frame"):
        other.predict_frame(sales())
