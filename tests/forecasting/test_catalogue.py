"""Networks by name fit the features of a dataset."""

from __future__ import annotations

from pathlib import Path

import gluonts.time_feature
import numpy as np
import pandas as pd
import pytest
from gluonts.time_feature import day_of_week, month_of_year
from gluonts.torch import DeepAREstimator as GluontsDeepAREstimator

from tsbnn.forecasting import BayesianEstimator, DeepAREstimator, load, save
from tsbnn.forecasting.catalogue import NETWORKS, network
from tsbnn.forecasting.time_features import TIME_FEATURES


@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("features", [False, True])
def test_every_network_trains_and_forecasts(name: str, features: bool) -> None:
    entry = {
        "start": pd.Period("2024-01-01", freq="D"),
        "target": np.sin(np.arange(60, dtype=np.float32)),
    }
    sizes = {}
    if features:
        entry |= {
            "feat_dynamic_real": np.ones((2, 60), dtype=np.float32),
            "feat_static_cat": np.array([2]),
            "feat_static_real": np.array([0.5, 1.5], dtype=np.float32),
        }
        sizes = {
            "num_feat_dynamic_real": 2,
            "num_feat_static_cat": 1,
            "num_feat_static_real": 2,
            "cardinality": [3],
        }
    estimator = BayesianEstimator(
        network(name, freq="D", prediction_length=3, context_length=4, **sizes),
        num_draws=2,
        gradient_evaluations=2,
    )
    predictor = estimator.train([entry])
    history = {**entry, "target": entry["target"][:-3]}
    (forecast,) = predictor.predict([history], num_samples=4)
    assert forecast.samples.shape == (4, 3)
    assert np.isfinite(forecast.samples).all()
    assert estimator.describe()["network"] == name


def test_further_settings_reach_the_estimator() -> None:
    for name, cls in (("deepar", DeepAREstimator), ("gluonts_deepar", GluontsDeepAREstimator)):
        built = network(name, freq="h", prediction_length=24, hidden_size=7)
        assert isinstance(built, cls)
        assert built.hidden_size == 7


def test_past_covariates_reach_the_networks_that_take_them() -> None:
    for name in NETWORKS:
        if name.startswith("gluonts_"):
            with pytest.raises(ValueError, match=r"gluonts_deepar takes no past cov.* there are 2"):
                network(name, freq="D", prediction_length=2, num_past_feat_dynamic_real=2)
        else:
            built = network(name, freq="D", prediction_length=2, num_past_feat_dynamic_real=2)
            assert built.num_past_feat_dynamic_real == 2


@pytest.mark.parametrize("name", list(NETWORKS))
def test_time_features_by_name(name: str) -> None:
    default = network(name, freq="D", prediction_length=2).time_features
    assert [one.__name__ for one in default] == ["day_of_week", "day_of_month", "day_of_year"]
    for given, expected in (
        (["month_of_year", day_of_week], [month_of_year, day_of_week]),
        ("day_of_week", [day_of_week]),
        ((), []),
    ):
        built = network(name, freq="D", prediction_length=2, time_features=given)
        assert built.time_features == expected


def test_every_time_feature_is_gluontss_of_that_name_between_minus_and_plus_a_half() -> None:
    times = pd.period_range("2024-01-01", "2024-12-31 23:59:59", freq="30min")
    for name, feature in TIME_FEATURES.items():
        assert feature is getattr(gluonts.time_feature, name)
        assert -0.5 <= feature(times).min() <= feature(times).max() <= 0.5


def test_time_features_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match="no time feature is named 'hour'; there are second_of_m"):
        network("deepar", freq="D", prediction_length=2, time_features=["hour"])
    with pytest.raises(ValueError, match="each can be there once"):
        network("deepar", freq="D", prediction_length=2, time_features=["day_of_week", day_of_week])


@pytest.mark.parametrize(
    ("name", "features"),
    [("deepar", ("month_of_year", "week_of_year")), ("gluonts_deepar", ())],
)
def test_time_features_reach_the_network_and_survive_on_disk(
    name: str, features: tuple[str, ...], tmp_path: Path
) -> None:
    entry = {
        "start": pd.Period("2024-01-01", freq="D"),
        "target": np.sin(np.arange(30, dtype=np.float32)),
    }
    tiny = {"hidden_size": 3, "num_layers": 1, "lags_seq": [1]}
    built = network(name, freq="D", prediction_length=2, time_features=features, **tiny)
    predictor = BayesianEstimator(built, num_draws=2, gradient_evaluations=2).train([entry])
    save(predictor, tmp_path / "model")
    again = load(tmp_path / "model")
    samples = [next(p.predict([entry], num_samples=4)).samples for p in (predictor, again)]
    np.testing.assert_array_equal(*samples)
    (window,) = again.input_transform([entry], is_train=False)
    # The place of the age is there in any case.
    assert window["future_time_feat"].shape == (2, len(features) + 1)


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="no network is named 'deeper'; there are deepar, tr"):
        network("deeper", freq="D", prediction_length=2)
