"""Timestamps beyond a frame's end: pandas' own, in the way in which the frame writes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsbnn.datasets import OffGridError, from_frame

TICKS = ("30s", "15min", "h", "6h")
DAYS = ("D", "3D", "B", "2W-WED", "W-SUN")
MONTHS = ("MS", "ME", "BME", "BMS", "2MS", "QS-FEB", "QE-NOV", "BQE-DEC", "BQS-JAN")
YEARS = ("YS-APR", "YE-FEB", "BYE-DEC")


def long(stamps: dict[str, pd.DatetimeIndex]) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"item_id": item, "timestamp": index, "target": 1.0})
        for item, index in stamps.items()
    )


@pytest.mark.parametrize("freq", [*TICKS, *DAYS, *MONTHS, *YEARS])
@settings(max_examples=10, deadline=None)
@given(
    begin=st.dates(pd.Timestamp("1990-01-01").date(), pd.Timestamp("2030-01-01").date()),
    length=st.integers(12, 40),
    clock=st.integers(0, 23),
)
def test_timestamps_go_on_as_pandas_would_write_them(freq: str, begin, length, clock) -> None:
    hours = pd.Timedelta(hours=0 if freq in TICKS else clock)
    full = {
        "a": pd.date_range(begin, periods=length + 9, freq=freq) + hours,
        "b": pd.date_range(begin, periods=length + 20, freq=freq) + hours,
    }
    dataset = from_frame(long({item: index[:-9] for item, index in full.items()}), freq=freq)
    expected = np.stack([index[-9:].to_numpy() for index in full.values()])
    np.testing.assert_array_equal(dataset.timestamps(0, 9), expected)
    last = np.stack([index[-10:-9].to_numpy() for index in full.values()])
    np.testing.assert_array_equal(dataset.timestamps(-1, 1), last)


@pytest.mark.parametrize("day", [29, 30, 31])
@pytest.mark.parametrize("freq", [None, "ME"])
def test_the_last_day_stands_for_days_that_a_month_does_not_have(freq, day: int) -> None:
    """Bills of the 30th come on 28 February, and on 30 March again."""
    months = pd.date_range("2022-11-01", periods=20, freq="MS")
    last = months + pd.offsets.MonthEnd(0)
    stamps = pd.DatetimeIndex(np.minimum(months + pd.Timedelta(days=day - 1), last))
    for cut in (6, 16):
        dataset = from_frame(long({"a": stamps[:cut], "b": months[:cut]}), freq=freq)
        assert dataset.freq == "ME"
        expected = np.stack([stamps[cut : cut + 4], months[cut : cut + 4]])
        np.testing.assert_array_equal(dataset.timestamps(0, 4), expected)


def test_months_on_any_day_are_told_to_become_periods() -> None:
    stamps = pd.to_datetime(["2024-01-12", "2024-02-15", "2024-03-13", "2024-04-14", "2024-05-13"])
    frame = long({"a": stamps})
    dated = frame.set_index("timestamp")
    for column_or_index in (frame, dated):
        with pytest.raises(OffGridError, match=r"dt\.to_period\('M'\), or index\.to_period\('M'\)"):
            from_frame(column_or_index, freq="ME")
    frame["timestamp"] = frame["timestamp"].dt.to_period("M")
    dated.index = dated.index.to_period("M")
    assert from_frame(frame).lengths.tolist() == from_frame(dated).lengths.tolist() == [5]


def test_each_series_keeps_its_own_place() -> None:
    ends = pd.date_range("2023-01-31", periods=6, freq="ME")
    stamps = {
        "on the 15th": ends.to_period("M").to_timestamp() + pd.Timedelta(days=14),
        "on the 31st": ends,
        "on the 1st at nine": ends.to_period("M").to_timestamp() + pd.Timedelta(hours=9),
        "on the last business day": pd.date_range("2023-01-31", periods=4, freq="BME"),
    }
    dataset = from_frame(long(stamps), freq="ME")
    ahead = dict(zip(dataset.item_ids, dataset.timestamps(0, 2).astype(str).tolist(), strict=True))
    assert {item: [stamp[:13] for stamp in found] for item, found in ahead.items()} == {
        "on the 15th": ["2023-07-15T00", "2023-08-15T00"],
        "on the 31st": ["2023-07-31T00", "2023-08-31T00"],
        "on the 1st at nine": ["2023-07-01T09", "2023-08-01T09"],
        "on the last business day": ["2023-05-31T00", "2023-06-30T00"],
    }


def test_the_30th_in_february_is_its_last_day() -> None:
    stamps = pd.to_datetime(["2022-10-30", "2022-11-30", "2022-12-30"])
    dataset = from_frame(pd.Series([1.0, 2.0, 3.0], index=stamps), freq="ME")
    assert dataset.timestamps(0, 3).astype("datetime64[D]").astype(str).tolist() == [
        ["2023-01-30", "2023-02-28", "2023-03-30"]
    ]


def test_names_that_need_not_be_told() -> None:
    stamps = pd.date_range("2024-01-01", periods=5)
    ours = long({"a": stamps, "b": stamps})
    nixtla = ours.rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    for frame, names in (
        (ours, ("item_id", "timestamp", "target")),
        (nixtla, ("unique_id", "ds", "y")),
        (nixtla.set_index("unique_id"), ("unique_id", "ds", "y")),
        (nixtla.set_index(["unique_id", "ds"]), ("unique_id", "ds", "y")),
    ):
        dataset = from_frame(frame)
        assert dataset.item_ids == ["a", "b"]
        schema = dataset.schema
        assert (schema.item_id, schema.timestamp, schema.target) == names
        assert schema.freq == "D"
    single = from_frame(pd.Series(1.0, index=stamps)).schema
    assert (single.item_id, single.timestamp, single.target) == (None, None, "target")


def test_the_schema_makes_a_dataset_of_the_same_kind() -> None:
    days = pd.date_range("2024-01-01", periods=6)
    frame = pd.concat(
        pd.DataFrame(
            {"shop": shop, "day": days, "sold": 1.0, "price": 2.0, "rain": 3.0, "kind": kind, 7: 1}
        )
        for shop, kind in (("a", "big"), ("b", "small"))
    )
    names = {"item_id": "shop", "timestamp": "day", "target": "sold"}
    features = {"known_covariates": "price", "past_covariates": ["rain"]}
    schema = from_frame(frame, **names, **features, static_features=[7, "kind"]).schema
    again = type(schema).from_dict(schema.to_dict())
    assert again == schema
    assert set(again.static_features) == {7, "kind"}
    small = from_frame(frame[frame["shop"] == "b"], **again.arguments())
    assert small[0]["feat_static_cat"].tolist() == [1]
    assert small.schema == schema


def test_targets_after_a_cut_are_the_ones_left_out() -> None:
    stamps = pd.date_range("2024-01-01", periods=6)
    frame = long({"a": stamps, "b": stamps[:4]})
    frame["target"] = np.arange(10.0)
    cut = from_frame(frame).without_last(2)
    assert cut.targets(0, 2).tolist() == [[4.0, 5.0], [8.0, 9.0]]
    assert cut.targets(-1, 1).tolist() == [[3.0], [7.0]]
    assert np.isnan(cut.targets(2, 1)).all()
    assert cut.timestamps(0, 1).astype("datetime64[D]").astype(str).tolist() == [
        ["2024-01-05"],
        ["2024-01-03"],
    ]


def test_a_subset_is_the_same_series() -> None:
    stamps = pd.date_range("2024-01-01", periods=6)
    frame = long({"a": stamps, "b": stamps[:4], "c": stamps[2:]})
    frame["target"] = np.arange(14.0)
    frame["kind"] = frame["item_id"]
    dataset = from_frame(frame, static_features=["kind"])
    some = dataset.subset(np.array([2, 0]))
    assert some.item_ids == ["c", "a"]
    for entry, expected in zip(some, (dataset[2], dataset[0]), strict=True):
        assert entry.keys() == expected.keys()
        assert entry["start"] == expected["start"]
        np.testing.assert_array_equal(entry["target"], expected["target"])
        np.testing.assert_array_equal(entry["feat_static_cat"], expected["feat_static_cat"])
    np.testing.assert_array_equal(some.timestamps(0, 2), dataset.timestamps(0, 2)[[2, 0]])
    assert some.without_last(1).targets(0, 2)[:, 0].tolist() == [13.0, 5.0]


def test_a_cut_may_keep_covariates_of_the_horizon() -> None:
    frame = long({"a": pd.date_range("2024-01-01", periods=6)}).assign(price=np.arange(6.0))
    dataset = from_frame(frame, known_covariates="price")
    entry = dataset.without_last(3, horizon=2)[0]
    assert len(entry["target"]) == 3
    assert entry["feat_dynamic_real"].tolist() == [[0, 1, 2, 3, 4]]
    with pytest.raises(ValueError, match="horizon=4 must be between 0 and steps=3"):
        dataset.without_last(3, horizon=4)
