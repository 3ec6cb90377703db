"""GluonTS's DeepAR fits the data: frequency, features, and just as many batches as it is given."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.doubles import series
from tsbnn.evaluation.baselines import default_season, frequency, gluonts_deepar
from tsbnn.evaluation.training import run
from tsbnn.evaluation.windows import RollingWindows


@pytest.mark.parametrize("batches", [2, 53])
def test_the_budget_is_met_exactly(batches, empty_working_directory):
    data = series(
        2,
        70,
        feat_dynamic_real=np.ones((1, 70), np.float32),
        feat_static_real=np.ones(2, np.float32),
    )
    for code, entry in enumerate(data):
        entry["feat_static_cat"] = np.array([code * 3])
    rolling = RollingWindows.of(data, 3, 1, 3)
    estimator = gluonts_deepar(data, "D", 3, batches, hidden_size=4, num_layers=1, batch_size=2)
    estimator.trainer_kwargs["accelerator"] = "cpu"
    assert estimator.num_feat_dynamic_real == 1
    assert estimator.num_feat_static_real == 2
    assert estimator.num_feat_static_cat == 1
    assert estimator.cardinality == [4]
    found = run(estimator, rolling.training(), rolling, 0, 10, lambda share: None)
    assert found.gradient_evaluations == batches
    assert found.forecasts[0].samples.shape == (10, 3)


def test_without_a_budget_gluonts_defaults_hold():
    estimator = gluonts_deepar(series(), "D", 3)
    assert estimator.num_batches_per_epoch == 50
    assert estimator.trainer_kwargs["max_epochs"] == 100
    assert estimator.num_feat_dynamic_real == 0


def test_settings_of_the_caller_win():
    estimator = gluonts_deepar(series(), "D", 3, 10, context_length=21)
    assert estimator.context_length == 21


def test_features_that_only_some_series_have_are_not_used():
    data = series(2, feat_dynamic_real=np.ones((1, 60)))
    del data[1]["feat_dynamic_real"]
    assert gluonts_deepar(data, "D", 3).num_feat_dynamic_real == 0


def test_no_batches_are_refused():
    with pytest.raises(ValueError, match="gradient_evaluations"):
        gluonts_deepar(series(), "D", 3, 0)


@pytest.mark.parametrize("alias", ["D", "h", "30min", "M", "Q-SEP", "W-SUN", "Y"])
def test_the_frequency_of_every_calendar_builds_a_deepar(alias):
    data = series(1, 20, freq=alias)
    freq = frequency(data, data)
    assert gluonts_deepar(data, freq, 2).prediction_length == 2
    assert default_season(freq) >= 1


@pytest.mark.parametrize("alias", ["2QE", "nonsense"])
def test_a_frequency_that_gluonts_does_not_take_is_named(alias):
    with pytest.raises(ValueError, match=f"does not take .*{alias}"):
        gluonts_deepar(series(), alias, 3)


def test_the_datasets_own_alias_is_preferred():
    class Dataset(list):
        freq = "MS"

    data = Dataset(series(1, freq="M"))
    assert frequency(data, data) == "MS"


def test_two_frequencies_are_named():
    data = [series(1)[0], {**series(1, freq="h")[0], "item_id": "hourly"}]
    with pytest.raises(ValueError, match=r"D \(series 's0'\), [hH] \(series 'hourly'\)"):
        frequency(data, data)


def test_seasons():
    assert [default_season(freq) for freq in ("h", "30min", "MS", "QS", "B", "D")] == [
        24,
        48,
        12,
        4,
        5,
        1,
    ]
