"""What is no dataset is said to be none before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsbnn.forecasting import BayesianEstimator


class WithoutLength:
    """Can be read again and again, and does not say how long it is."""

    def __iter__(self) -> Any:
        return iter([{"start": pd.Period("2024-01-01", "h"), "target": np.arange(20.0)}])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"target": [1.0]}), r"is a pandas DataFrame.*tsbnn\.datasets\.from_frame"),
        (pd.Series([1.0]), r"is a pandas Series.*tsbnn\.datasets\.from_frame"),
        (({"target": [1.0]} for _ in range(2)), r"is a generator.*once only.*list\("),
        (WithoutLength(), "must have a length.*WithoutLength"),
        ({"target": [1.0]}, "a list of dicts with start and target, not dict"),
        ("co2", "a list of dicts with start and target, not str"),
        (3, "a list of dicts with start and target, not int"),
        (np.ones((2, 3)), "entries of a GluonTS dataset are dicts.*not ndarray"),
    ],
)
def test_training_data(given, message, tiny, series) -> None:
    estimator = BayesianEstimator(tiny("simple_feedforward"))
    with pytest.raises(TypeError, match=f"^training_data.*{message}"):
        estimator.train(given)
    with pytest.raises(TypeError, match=f"^validation_data.*{message}"):
        estimator.train(series, given)


@pytest.mark.parametrize("name", ["deepar", "tft", "wavenet", "tide", "our_deepar"])
def test_another_frequency_than_the_estimators_is_told(name, tiny) -> None:
    daily = [{"start": pd.Period("2021", "D"), "target": np.arange(40.0), "item_id": "a"}]
    estimator = BayesianEstimator(tiny(name), "map")
    with pytest.raises(ValueError, match="series 'a': start has frequency 'D'; expected 'h'"):
        estimator.train(daily)
    with pytest.raises(ValueError, match="series 'a': start has frequency 'D'; expected 'h'"):
        estimator.train([{**daily[0], "start": pd.Period("2021", "60min")}], daily)


@pytest.mark.parametrize("name", ["deepar", "tft", "wavenet", "tide", "our_deepar"])
def test_categories_beyond_the_cardinality_are_told_before_training(name, tiny) -> None:
    entry = {"start": pd.Period("2021", "h"), "target": np.arange(40.0), "item_id": "a"}
    argument = "static_cardinalities" if name == "tft" else "cardinality"
    told = {argument: [3, 2]} if name == "tft" else {argument: [3, 2], "num_feat_static_cat": 2}
    estimator = BayesianEstimator(tiny(name, **told), "map")
    right = {**entry, "feat_static_cat": np.array([2, 1])}
    assert estimator.train([right]).training_summary["steps"] == 6
    message = rf"'a': feat_static_cat has 2 at position 1; .* 0..1, by {argument}=\[3, 2\]"
    with pytest.raises(ValueError, match=message):
        estimator.train([right, {**entry, "feat_static_cat": np.array([2, 2])}])
    with pytest.raises(ValueError, match=r"shape \(1,\); expected \(2,\)"):
        estimator.train([right, {**entry, "feat_static_cat": np.array([2])}])
