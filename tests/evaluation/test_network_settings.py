"""What a report says a network was told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from gluonts.torch import SimpleFeedForwardEstimator

from tests.evaluation.doubles import Fake
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.evaluation.network_settings import network_settings
from tsbnn.evaluation.section import _networks


def deepar(**more: Any) -> DeepAREstimator:
    trainer = {"max_steps": 7, "max_epochs": -1, "enable_progress_bar": False}
    return DeepAREstimator(
        freq="D", prediction_length=3, hidden_size=5, trainer_kwargs=trainer, **more
    )


def test_settings_are_settled_ones_in_json_terms() -> None:
    found = network_settings(deepar(num_feat_static_cat=1, cardinality=[4]))
    expected = {"context_length": 3, "hidden_size": 5, "lr": 0.001, "distr_output": "StudentT"}
    assert expected.items() <= found.items()
    assert found["time_features"] == ["day_of_week", "day_of_month", "day_of_year"]
    assert found["lags_seq"][:3] == [1, 2, 3]
    assert found["max_steps"] == 7
    others = {"freq", "prediction_length", "cardinality", "num_feat_static_cat", "train_sampler"}
    assert not set(found) & (others | {"trainer_kwargs", "max_epochs", "enable_progress_bar"})
    assert network_settings(SimpleFeedForwardEstimator(prediction_length=2))[
        "hidden_dimensions"
    ] == [20, 20]
    assert network_settings(Fake(5, 2.0)) == {"spread": 2.0}


def test_defaults_that_follow_the_data_are_shown_as_they_were() -> None:
    """A week of days teaches no time feature, and half of it knows lags up to 3."""
    data = [{"start": pd.Period("2024-01-01", "D"), "target": np.ones(7)}]
    for estimator in (deepar(), BayesianEstimator(deepar())):
        found = network_settings(estimator, data)
        assert found["lags_seq"] == [1, 2, 3]
        assert "time_features" not in found
    assert network_settings(Fake(5, 2.0), data) == {"spread": 2.0}


def test_a_posterior_does_not_use_the_optimizer_of_its_network() -> None:
    plain, bayesian = network_settings(deepar()), network_settings(BayesianEstimator(deepar()))
    assert bayesian.items() <= plain.items()
    assert set(plain) - set(bayesian) == {
        *("lr", "weight_decay", "patience", "max_steps"),
    } | ({"gradient_clip_val"} & set(plain))


def test_models_of_one_network_share_a_row() -> None:
    told: list[dict[str, Any]] = [
        {"hidden_size": 5, "lags_seq": [*range(1, 10)]},
        {"hidden_size": 6},
        {"hidden_size": 5, "lags_seq": [*range(1, 10)]},
        {},
    ]
    settings = {
        model: {"network": "deepar", "network_settings": found}
        for model, found in zip("abcd", told, strict=True)
    }
    backtest: Any = SimpleNamespace(models="abcd", settings=settings)
    assert _networks(backtest) == [
        ("a, c", "hidden_size=5, lags_seq=[1, 2, 3, 4, 5, 6, …, 9]"),
        ("b", "hidden_size=6"),
    ]
