"""Networks by name fit the features of a dataset."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gluonts.torch import DeepAREstimator as GluontsDeepAREstimator

from tsbnn.forecasting import BayesianEstimator, DeepAREstimator
from tsbnn.forecasting.catalogue import NETWORKS, network


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


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="no network is named 'deeper'; there are deepar, tr"):
        network("deeper", freq="D", prediction_length=2)
