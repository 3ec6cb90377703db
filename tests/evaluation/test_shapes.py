"""Arrays that do not fit are refused with their shapes; sums leave NaN out."""

from __future__ import annotations

import numpy as np
import pytest

from tsbnn.evaluation.shapes import (
    labels_and_points,
    labels_and_samples,
    mean_of_observed,
    ratio_of_sums,
)


@pytest.mark.parametrize(
    ("observed", "samples"),
    [((3,), (3,)), ((3,), (10, 4)), ((2, 3), (10, 3)), ((2, 3), (3, 10, 3)), ((), (10,))],
)
def test_shapes_that_do_not_fit_are_named(observed: tuple[int, ...], samples: tuple[int, ...]):
    with pytest.raises(ValueError, match="batch x num_samples x time") as error:
        labels_and_samples(np.zeros(observed), np.zeros(samples))
    assert str(samples) in str(error.value)


def test_no_path_is_refused():
    with pytest.raises(ValueError, match="no path"):
        labels_and_samples(np.zeros(3), np.zeros((0, 3)))


def test_an_infinite_label_is_refused():
    with pytest.raises(ValueError, match="1 labels are infinite"):
        labels_and_samples([1.0, np.inf], np.zeros((5, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_forecast_is_refused_only_where_there_is_a_label(value: float):
    samples = np.zeros((5, 2))
    samples[3, 1] = value
    with pytest.raises(ValueError, match="diverged"):
        labels_and_samples([1.0, 1.0], samples)
    labels_and_samples([1.0, np.nan], samples)


def test_point_predictions_must_have_the_labels_shape_and_be_there():
    with pytest.raises(ValueError, match=r"\(2,\)"):
        labels_and_points(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="NaN"):
        labels_and_points(np.zeros(2), [0.0, np.nan])
    labels_and_points([0.0, np.nan], [0.0, np.nan])


def test_means_and_ratios_leave_nan_out():
    values = np.array([1.0, np.nan, 3.0])
    assert mean_of_observed(values, "x") == 2.0
    assert ratio_of_sums(values, np.array([1.0, 5.0, 1.0]), "x") == 2.0
    assert np.isnan(ratio_of_sums(values, np.zeros(3), "x"))


def test_nothing_observed_is_said():
    with pytest.raises(ValueError, match="crps: none of 2 labels"):
        mean_of_observed(np.full(2, np.nan), "crps")
    with pytest.raises(ValueError, match="nd: none of 2 labels"):
        ratio_of_sums(np.full(2, np.nan), np.ones(2), "nd")
