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
