"""Rolling windows lie where they should, and their histories hold nothing of the labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.doubles import series
from tsbnn.evaluation.windows import RollingWindows


def test_windows_roll_to_the_very_end_series_by_series():
    data = [
        {"item_id": "a", "start": pd.Period("2024-01-01", "D"), "target": np.arange(10.0)},
        {"item_id": "b", "start": pd.Period("2024-02-01", "D"), "target": np.arange(100.0, 112.0)},
    ]
    windows = RollingWindows.of(data, prediction_length=3, count=2, stride=2)
    assert len(windows) == 4
    assert windows.labels().tolist() == [
        [5, 6, 7],
        [7, 8, 9],
        [107, 108, 109],
        [109, 110, 111],
    ]
    assert [entry["target"].tolist()[-1] for entry in windows] == [4, 6, 106, 108]
    index = windows.index()
    assert index["item_id"].tolist() == ["a", "a", "b", "b"]
    assert index["window"].tolist() == [0, 1, 0, 1]
    assert index["start"].astype(str).tolist() == [
        "2024-01-06",
        "2024-01-08",
        "2024-02-08",
        "2024-02-10",
    ]
    assert [entry["target"].tolist()[-1] for entry in windows.training()] == [4, 106]


def test_windows_can_be_iterated_again_and_indexed():
    windows = RollingWindows.of(iter(series()), 5, 2, 5)
    first, second = list(windows), list(windows)
    assert len(first) == len(second) == 6
    np.testing.assert_array_equal(windows[-1]["target"], first[5]["target"])
    with pytest.raises(IndexError):
        windows[6]


def test_known_covariates_reach_through_the_window_and_past_ones_do_not():
    data = series(1, 20)
    steps = np.arange(20.0)[None]
    data[0] |= {
        "feat_dynamic_real": np.concatenate([steps, steps + 100]),
        "past_feat_dynamic_real": steps,
        "feat_static_cat": np.array([2]),
        "feat_static_real": np.array([0.5]),
    }
    windows = RollingWindows.of(data, 4, 2, 4)
    entry = windows[0]
    assert entry["target"].shape == (12,)
    assert entry["feat_dynamic_real"].shape == (2, 16)
    assert entry["past_feat_dynamic_real"].shape == (1, 12)
    assert entry["feat_static_cat"].tolist() == [2]
    training = windows.training()[0]
    assert training["feat_dynamic_real"].shape == (2, 12)


def test_what_may_know_the_labels_is_left_out():
    data = series(1, 20, info={"missing": 3}, mask=np.ones(20), sum=7.0)
    assert set(RollingWindows.of(data, 4, 2, 4)[0]) == {"item_id", "start", "target"}


def test_histories_are_copies_without_a_way_back_to_the_labels():
    data = series(1, 20, feat_dynamic_real=np.ones((1, 20)))
    before = data[0]["target"].copy()
    entry = RollingWindows.of(data, 4, 2, 4)[0]
    assert entry["target"].base is None
    assert entry["feat_dynamic_real"].base is None
    entry["target"][:] = -1
    np.testing.assert_array_equal(data[0]["target"], before)


def test_series_without_id_are_named_by_their_place():
    data = [{k: v for k, v in entry.items() if k != "item_id"} for entry in series(2)]
    assert RollingWindows.of(data, 5, 1, 5).index()["item_id"].tolist() == ["0", "1"]


def test_steps_of_the_future_have_no_window():
    data = series(2, 20, feat_dynamic_real=np.arange(24.0)[None])
    ahead = [{**entry, "target": np.r_[entry["target"], [np.nan] * 4]} for entry in data]
    ahead[1]["target"][19] = np.nan  # missing, not of the future: the other series has a value
    windows = RollingWindows.of(ahead, 4, 2, 4)
    expected = RollingWindows.of(data, 4, 2, 4)
    pd.testing.assert_frame_equal(windows.index(), expected.index())
    labels = expected.labels()
    labels[-1, -1] = np.nan
    np.testing.assert_array_equal(windows.labels(), labels)
    assert windows[1]["feat_dynamic_real"].shape == (1, 20)


def changed(**fields: object) -> list[dict[str, object]]:
    data = series(2, 20)
    data[1] |= fields
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "no series"),
        (changed(item_id="s0"), "item_id 's0'"),
        (changed(target=np.ones(12)), r"'s1' has 12 points.*need 13"),
        (changed(target=np.ones((2, 20))), r"'s1'.*one dimension"),
        (changed(target=np.array([1.0] * 3 + [np.inf] + [1.0] * 16)), "'s1'.*infinite at step 3"),
        (changed(target=np.array([np.nan] * 8 + [1.0] * 12)), r"'s1' has no observed.* 8 points"),
        (changed(feat_dynamic_real=np.ones((1, 19))), r"'s1': feat_dynamic_real has 19.*20"),
        (
            [{**e, "target": np.full(20, np.nan)} for e in series(2, 20)],
            "'s0' has no observed value among the 8 points",
        ),
    ],
    ids=[
        "empty",
        "double",
        "short",
        "matrix",
        "infinite",
        "unobserved",
        "covariates",
        "unlabelled",
    ],
)
def test_bad_series_are_named_with_what_they_need(data, message):
    with pytest.raises(ValueError, match=message):
        RollingWindows.of(data, 4, 3, 4)


@pytest.mark.parametrize("name", ["prediction_length", "count", "stride"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_lengths_must_be_whole_and_positive(name, value):
    arguments = {"prediction_length": 4, "count": 2, "stride": 4, name: value}
    with pytest.raises(ValueError, match="windows" if name == "count" else name):
        RollingWindows.of(series(), **arguments)


def test_training_data_of_ones_own_must_end_before_the_first_label():
    data = series(2, 20)
    windows = RollingWindows.of(data, 4, 2, 4)
    shorter = [{**entry, "target": entry["target"][:12]} for entry in data]
    assert len(windows.check_training(shorter)) == 2
    assert len(windows.check_training([{**data[0], "item_id": "another"}])) == 1
    longer = [shorter[0], {**data[1], "target": data[1]["target"][:13]}]
    with pytest.raises(ValueError, match=r"'s1'.*2024-01-13.*trained on labels"):
        windows.check_training(longer)
    with pytest.raises(ValueError, match="no series"):
        windows.check_training([])


def test_training_series_that_cannot_be_matched_with_the_test_series_are_refused():
    data = series(2, 20)
    nameless = [{k: v for k, v in entry.items() if k != "item_id"} for entry in data]
    with pytest.raises(ValueError, match=r"place 0 has no item_id.*trained on labels.*Give it"):
        RollingWindows.of(data, 4, 2, 4).check_training(nameless)
    with pytest.raises(ValueError, match="'s0' has an item_id, but the dataset's series have none"):
        RollingWindows.of(nameless, 4, 2, 4).check_training(data)
    shorter = [{**entry, "target": entry["target"][:12]} for entry in nameless]
    assert len(RollingWindows.of(nameless, 4, 2, 4).check_training(shorter)) == 2
    with pytest.raises(ValueError, match="series '0' ends before"):
        RollingWindows.of(nameless, 4, 2, 4).check_training(nameless)
