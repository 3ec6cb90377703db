"""Frequencies inferred from timestamps: with gaps, over several series, refused when unclear."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsbnn.datasets import FrequencyError, MixedFrequencyError, OffGridError, from_frame
from tsbnn.datasets.frequencies import Frequency

INFERRED = {
    "s": Frequency("s"),
    "10s": Frequency("s", 10),
    "min": Frequency("min"),
    "30min": Frequency("min", 30),
    "h": Frequency("h"),
    "4h": Frequency("h", 4),
    "D": Frequency("D"),
    "2D": Frequency("D", 2),
    "B": Frequency("B"),
    "W-MON": Frequency("W", 1, 0),
    "W-SAT": Frequency("W", 1, 5),
    "2W-WED": Frequency("W", 2, 2),
    "MS": Frequency("M"),
    "ME": Frequency("M"),
    "BME": Frequency("M"),
    "BMS": Frequency("M"),
    "2MS": Frequency("M", 2),
    "QS": Frequency("Q", 1, 12),
    "QE": Frequency("Q", 1, 12),
    "QS-FEB": Frequency("Q", 1, 1),
    "QE-FEB": Frequency("Q", 1, 2),
    "YS": Frequency("Y", 1, 12),
    "YE": Frequency("Y", 1, 12),
    "YS-APR": Frequency("Y", 1, 3),
    "YE-MAR": Frequency("Y", 1, 3),
    "2YE": Frequency("Y", 2, 12),
}


def series(stamps: pd.DatetimeIndex | list[pd.Timestamp]) -> pd.Series:
    return pd.Series(np.arange(float(len(stamps))), index=pd.DatetimeIndex(stamps))


def long(**items: pd.DatetimeIndex) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame({"item_id": name, "timestamp": stamps, "target": 1.0})
            for name, stamps in items.items()
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize("freq", INFERRED)
def test_regular_rows(freq: str) -> None:
    stamps = pd.date_range("2012-01-06", periods=24, freq=freq)
    dataset = from_frame(series(stamps))
    assert dataset.frequency == INFERRED[freq]
    assert dataset.lengths.tolist() == [24]


@given(
    freq=st.sampled_from(sorted(INFERRED)),
    dropped=st.sets(st.integers(1, 58), max_size=10),
    seed=st.integers(0, 5),
)
def test_gaps_and_order_change_nothing(freq: str, dropped: set[int], seed: int) -> None:
    stamps = pd.date_range("2012-01-06", periods=60, freq=freq).delete(sorted(dropped))
    frame = series(stamps).sample(frac=1.0, random_state=seed)
    dataset = from_frame(frame)
    assert dataset.frequency == INFERRED[freq]
    assert dataset.lengths.tolist() == [60]
    assert np.isnan(dataset[0]["target"]).sum() == len(dropped)


def test_mid_month_rows_are_monthly() -> None:
    dataset = from_frame(series([pd.Timestamp(2024, month, 15) for month in range(1, 9)]))
    assert dataset.frequency == Frequency("M")


def test_mid_quarter_rows_make_calendar_quarters() -> None:
    stamps = [pd.Timestamp(year, month, 15) for year in (2023, 2024) for month in (2, 5, 8, 11)]
    assert from_frame(series(stamps)).frequency == Frequency("Q", 1, 12)


def test_short_series_follow_the_others() -> None:
    frame = long(
        a=pd.date_range("2024-01-01", periods=9, freq="D"),
        single=pd.date_range("2024-01-05", periods=1),
        pair=pd.DatetimeIndex(["2024-01-02", "2024-01-09"]),
    )
    dataset = from_frame(frame, item_id="item_id")
    assert dataset.freq == "D"
    assert dict(zip(dataset.item_ids, dataset.lengths.tolist(), strict=True)) == {
        "a": 9,
        "pair": 8,
        "single": 1,
    }


def test_one_week_of_workdays_follows_the_others() -> None:
    week = pd.bdate_range("2024-01-01", periods=5)
    assert from_frame(series(week)).freq == "D"
    frame = long(week=week, month=pd.bdate_range("2024-01-01", periods=20))
    assert from_frame(frame, item_id="item_id").freq == "B"
    frame = long(week=week, month=pd.date_range("2024-01-01", periods=20))
    assert from_frame(frame, item_id="item_id").freq == "D"


@pytest.mark.parametrize(
    ("freqs", "aliases"),
    [
        (("D", "h"), ("D", "h")),
        (("W-SUN", "W-MON"), ("W-SUN", "W-MON")),
        (("D", "B"), ("D", "B")),
        (("QS", "MS"), ("QE-DEC", "ME")),
    ],
)
def test_disagreement_names_both_series_and_frequencies(
    freqs: tuple[str, str], aliases: tuple[str, str]
) -> None:
    first, second = (pd.date_range("2024-01-01", periods=12, freq=freq) for freq in freqs)
    with pytest.raises(MixedFrequencyError) as caught:
        from_frame(long(a=first, b=second, c=first), item_id="item_id")
    message = str(caught.value)
    for part in ("'a'", "'b'", *(repr(alias) for alias in aliases), "2 of 3"):
        assert part in message
    assert caught.value.series == "b"
    assert caught.value.row == 12


def test_a_named_frequency_settles_disagreement() -> None:
    frame = long(
        a=pd.date_range("2024-01-01", periods=8, freq="D"),
        b=pd.date_range("2024-01-01", periods=3, freq="W-MON"),
    )
    dataset = from_frame(frame, item_id="item_id", freq="D")
    assert dataset.lengths.tolist() == [8, 15]
    assert np.isnan(dataset[1]["target"]).sum() == 12


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_rows(count: int) -> None:
    with pytest.raises(FrequencyError, match=r"no frequency can be inferred.*Pass freq="):
        from_frame(series(pd.date_range("2024-01-01", periods=count, freq="D")))


def test_events_are_not_a_series() -> None:
    seconds = np.sort(np.random.default_rng(0).choice(5000, 60, replace=False))
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, "s")
    with pytest.raises(FrequencyError, match="no step between its 60 rows is the usual one"):
        from_frame(series(stamps))


def test_some_weekdays_only() -> None:
    """Monday, Wednesday, Friday: most steps are two days, some are three."""
    stamps = pd.date_range("2024-01-01", periods=28)
    frame = series(stamps[stamps.weekday.isin([0, 2, 4])])
    with pytest.raises(OffGridError, match=r"2024-01-08 .* freq='2D'.* pass freq='D'"):
        from_frame(frame)
    assert from_frame(frame, freq="D").lengths.tolist() == [26]


def test_a_slip_among_months_gets_advice_that_finds_it() -> None:
    stamps = [*pd.date_range("2024-01-01", periods=7, freq="MS"), pd.Timestamp("2024-08-02")]
    with pytest.raises(FrequencyError, match="For months pass freq='ME'"):
        from_frame(series(stamps))
    with pytest.raises(OffGridError, match="2024-08-02") as caught:
        from_frame(series(stamps), freq="ME")
    assert caught.value.row == pd.Timestamp("2024-08-02")


def test_fractions_of_a_second() -> None:
    with pytest.raises(FrequencyError, match="below a second"):
        from_frame(series(pd.date_range("2024-01-01", periods=9, freq="100ms")))
