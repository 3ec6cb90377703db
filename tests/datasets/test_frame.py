"""Frames to datasets: the values arrive where they belong, whatever the frame looks like."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsbnn.datasets import FrameDataset, from_frame

FREQS = ["30min", "h", "D", "B", "W-TUE", "MS", "ME", "QS", "QE", "YS", "YE"]


@st.composite
def long_frames(draw: st.DrawFn) -> tuple[str, pd.DataFrame, dict[str, pd.Series]]:
    """A shuffled frame with gaps, and each series as pandas would lay it on its grid."""
    freq = draw(st.sampled_from(FREQS))
    expected, parts = {}, []
    for item in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)):
        start = pd.Timestamp("2015-03-02") + pd.Timedelta(days=draw(st.integers(0, 500)))
        length = draw(st.integers(3, 30))
        grid = pd.date_range(start, periods=length, freq=freq)
        values = draw(
            st.lists(st.none() | st.floats(-1e6, 1e6, width=32), min_size=length, max_size=length)
        )
        values[0] = 1.0
        full = pd.Series(np.array(values, dtype=float), index=grid)
        gaps = draw(st.sets(st.integers(1, length - 2), max_size=length - 2))
        kept = full.drop(grid[sorted(gaps)])
        expected[item] = kept.asfreq(freq)
        parts.append(pd.DataFrame({"shop": item, "when": kept.index, "sold": kept.to_numpy()}))
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.sample(frac=1.0, random_state=draw(st.integers(0, 99)))
    return freq, frame, expected


@given(long_frames())
def test_equals_pandas_asfreq(case: tuple[str, pd.DataFrame, dict[str, pd.Series]]) -> None:
    freq, frame, expected = case
    before = frame.copy(deep=True)
    dataset = from_frame(frame, item_id="shop", timestamp="when", target="sold", freq=freq)
    pd.testing.assert_frame_equal(frame, before)
    assert dataset.item_ids == sorted(expected)
    for entry in dataset:
        series = expected[entry["item_id"]]
        assert entry["target"].dtype == np.float32
        np.testing.assert_array_equal(entry["target"], series.to_numpy(dtype=np.float32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of business-day periods
            start, end = entry["start"].start_time, entry["start"].end_time
        assert start <= series.index[0] <= end
        assert entry["start"].freq == dataset.frequency.offset
        assert entry["info"]["missing"] == series.isna().sum()


def daily(**columns: object) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01", periods=4)
    return pd.DataFrame({"timestamp": stamps, "target": [1.0, 2.0, 3.0, 4.0], **columns})


@pytest.mark.parametrize(
    "frame",
    [
        daily(),
        daily().set_index("timestamp"),
        daily().set_index("timestamp").rename_axis(None),
        daily().set_index("timestamp")["target"],
        daily().set_index("timestamp").to_period("D"),
        daily().assign(timestamp=lambda f: f["timestamp"].astype(str)),
        daily().assign(timestamp=lambda f: f["timestamp"].astype("string")),
        daily().assign(timestamp=lambda f: f["timestamp"].dt.date),
        daily().assign(timestamp=lambda f: f["timestamp"].dt.to_period("D")),
        daily().assign(timestamp=lambda f: f["timestamp"].dt.tz_localize("UTC")),
        daily().assign(timestamp=lambda f: f["timestamp"].astype("datetime64[s]")),
        daily().assign(timestamp=lambda f: f["timestamp"].astype(str).astype("category")),
        daily().assign(timestamp=lambda f: f["timestamp"] + pd.Timedelta(hours=9)),
        daily().assign(target=[1, 2, 3, 4]),
        daily().assign(target=pd.array([1, 2, 3, 4], dtype="Int64")),
        daily().assign(target=pd.Series([1, 2, 3, 4], dtype=object)),
        daily().iloc[::-1],
        daily().set_index([pd.Index(list("dcba"))]),
    ],
    ids=range(18),
)
def test_every_way_to_write_one_series(frame: pd.DataFrame) -> None:
    dataset = from_frame(frame)
    assert len(dataset) == 1
    (entry,) = dataset
    assert entry["start"] == pd.Period("2024-01-01", "D")
    np.testing.assert_array_equal(entry["target"], np.array([1, 2, 3, 4], dtype=np.float32))
    assert "item_id" not in entry


@pytest.mark.parametrize("timestamp", [None, "timestamp"])
def test_a_multiindex(timestamp: str | None) -> None:
    frame = pd.concat([daily(item=name) for name in ("b", "a")]).set_index(["item", "timestamp"])
    dataset = from_frame(frame, item_id="item", timestamp=timestamp)
    assert dataset.item_ids == ["a", "b"]
    assert dataset.lengths.tolist() == [4, 4]


@pytest.mark.parametrize(
    ("ids", "order"),
    [
        (["z", "é", "a"], ["a", "z", "é"]),
        ([10, 9, 2], [2, 9, 10]),
        (pd.Categorical(["u", "v", "w"], categories=["w", "v", "u", "t"]), ["w", "v", "u"]),
    ],
)
def test_item_ids_keep_their_type_and_are_sorted(ids: object, order: list[object]) -> None:
    items = pd.Series(ids).repeat(4).reset_index(drop=True)
    frame = pd.concat([daily()] * 3, ignore_index=True).assign(shop=items)
    assert [entry["item_id"] for entry in from_frame(frame, item_id="shop")] == order


def test_missing_targets_at_both_ends_stay_unobserved_without_covariates() -> None:
    frame = daily().assign(target=[np.nan, 2.0, 3.0, np.nan])
    target = from_frame(frame)[0]["target"]
    np.testing.assert_array_equal(target, np.array([np.nan, 2, 3, np.nan], dtype=np.float32))


def test_entries_are_fresh_copies() -> None:
    dataset = from_frame(daily(price=[1.0, 2.0, 3.0, 4.0]), known_covariates="price")
    first = dataset[0]
    first["target"][:] = -1.0
    first["feat_dynamic_real"][:] = -1.0
    del first["start"]
    again = dataset[0]
    assert again["target"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert again["feat_dynamic_real"].tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_it_is_a_dataset() -> None:
    dataset = from_frame(pd.concat([daily(item=n) for n in "ab"]), item_id="item")
    assert len(dataset) == len(list(dataset)) == len(list(dataset)) == 2
    assert dataset[-1]["item_id"] == "b"
    with pytest.raises(IndexError):
        dataset[2]
    copy = pickle.loads(pickle.dumps(dataset))
    assert isinstance(copy, FrameDataset)
    np.testing.assert_array_equal(copy[1]["target"], dataset[1]["target"])
    assert repr(dataset) == "FrameDataset(2 series, 8 steps, freq='D')"


def test_without_last_cuts_targets_and_covariates() -> None:
    dataset = from_frame(
        daily(price=[1.0, 2.0, 3.0, 4.0], target=[1.0, 2.0, 3.0, np.nan]),
        known_covariates=["price"],
    )
    assert dataset.lengths.tolist() == [3]
    assert dataset.horizons.tolist() == [1]
    shorter = dataset.without_last(2)
    assert shorter[0]["target"].tolist() == [1.0]
    assert shorter[0]["feat_dynamic_real"].tolist() == [[1.0]]
    assert dataset.lengths.tolist() == [3]
    for steps in (3, -1):
        with pytest.raises(ValueError, match=f"steps={steps}.* 3 steps"):
            dataset.without_last(steps)


def test_gluonts_split_takes_it() -> None:
    from gluonts.dataset.split import split

    dataset = from_frame(daily(price=[1.0, 2.0, 3.0, 4.0]), known_covariates="price")
    _, template = split(dataset, offset=-2)
    ((given, label),) = template.generate_instances(prediction_length=2)
    assert given["target"].tolist() == [1.0, 2.0]
    assert given["feat_dynamic_real"].tolist() == [[1.0, 2.0, 3.0, 4.0]]
    assert label["target"].tolist() == [3.0, 4.0]


def test_importing_datasets_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, tsbnn.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arrow_columns() -> None:
    pytest.importorskip("pyarrow")
    frame = pd.concat([daily(item=name, price=2.0) for name in "ba"], ignore_index=True)
    frame.loc[2, "target"] = np.nan
    arguments: dict[str, Any] = {
        "item_id": "item",
        "known_covariates": "price",
        "static_features": "item",
    }
    plain = from_frame(frame, **arguments)
    arrow = from_frame(frame.convert_dtypes(dtype_backend="pyarrow"), **arguments)
    for one, two in zip(plain, arrow, strict=True):
        assert one.keys() == two.keys()
        for key in ("target", "feat_dynamic_real", "feat_static_cat"):
            np.testing.assert_array_equal(one[key], two[key])
