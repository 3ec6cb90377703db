"""Constructors that GluonTS can write: whole numbers are taken as they are, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from gluonts.core import serde

from tsbnn import BayesianEstimator, DeepAREstimator


def network(**arguments: object) -> DeepAREstimator:
    return DeepAREstimator(**{"freq": "D", "prediction_length": 3, **arguments})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prediction_length", 7.5),
        ("prediction_length", "7"),
        ("num_layers", True),
        ("hidden_size", np.float64(20)),
        ("lags_seq", [1, 2.5]),
    ],
)
def test_what_is_no_whole_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*: expected (a )?whole number"):
        network(**{name: value})


@pytest.mark.parametrize("name", ["seed", "num_draws", "gradient_evaluations", "num_samples"])
def test_nor_is_it_rounded_in_what_trains(name: str) -> None:
    for value in (2.5, "2", True):
        with pytest.raises(ValueError, match=f"{name}=.*: expected a whole number"):
            BayesianEstimator(network(), **{name: value})


def test_whole_numbers_of_numpy_are_written_and_read() -> None:
    estimator = BayesianEstimator(network(context_length=np.int64(5)), seed=np.int32(2))
    again = serde.decode(serde.encode(estimator))
    assert (again.seed, again.estimator.context_length) == (2, 5)
    assert BayesianEstimator(network(), seed=None).seed is None


def test_positions_count_as_names_and_unknown_names_are_told() -> None:
    with pytest.raises(ValueError, match=r"prediction_length=2\.5: expected a whole number"):
        DeepAREstimator("D", 2.5)
    with pytest.raises(Exception, match="hidden_sise"):
        network(hidden_sise=3)
