"""Holidays as a covariate: which day is one, how many a longer step has, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from tsbnn.datasets import ColumnError, add_holidays, from_frame


def dates(start: str, periods: int, freq: str) -> pd.DataFrame:
    return pd.DataFrame({"ds": pd.date_range(start, periods=periods, freq=freq)})


def test_days_of_several_series_in_any_order() -> None:
    df = pd.concat(
        [
            dates("2024-12-24", 4, "D").assign(unique_id="a"),
            dates("2024-07-03", 4, "D").assign(unique_id="b"),
        ],
        ignore_index=True,
    ).sample(frac=1, random_state=0)
    before = df.copy()
    result = add_holidays(df, "US")
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(result.drop(columns="holiday"), df)
    days = result.loc[result["holiday"] == 1, "ds"].dt.strftime("%m-%d")
    assert sorted(days) == ["07-04", "12-25"]
    assert set(result["holiday"]) == {0.0, 1.0}


def test_all_steps_of_a_holiday_wherever_they_begin() -> None:
    for freq, steps in (("h", 24), ("15min", 96), ("12h", 2)):
        frame = add_holidays(dates("2024-12-24 06:00", 3 * steps, freq), "US")
        found = frame.loc[frame["holiday"] == 1, "ds"].dt.date.astype(str)
        assert len(found) == steps
        assert set(found) == {"2024-12-25"}


# In 2023 New Year and Veterans Day fell on weekends: two further days off.
COUNTS = [
    ("W-SUN", "2024-12-22", [0, 1, 1]),
    ("MS", "2024-11-01", [2, 1, 2]),
    ("ME", "2024-11-30", [2, 1, 2]),
    ("QS", "2024-07-01", [2, 4, 3]),
    ("YS", "2023-01-01", [13, 11, 11]),
    ("2D", "2024-12-22", [0, 1, 0]),
]


@pytest.mark.parametrize(("freq", "start", "counts"), COUNTS)
def test_longer_steps_count_their_holidays(freq: str, start: str, counts: list[int]) -> None:
    frame = add_holidays(dates(start, 3, freq), "US", freq=freq)
    assert frame["holiday"].tolist() == counts


def test_every_holiday_falls_in_one_step() -> None:
    days = add_holidays(dates("2023-01-01", 366 + 365, "D"), "DE")["holiday"].sum()
    for freq, periods in (("MS", 24), ("YS", 2), ("h", 24 * (366 + 365))):
        hours = 24 if freq == "h" else 1
        frame = add_holidays(dates("2023-01-01", periods, freq), "DE", freq=freq)
        assert frame["holiday"].sum() / hours == days == 18


def test_weeks_that_are_told_by_their_first_day() -> None:
    mondays = dates("2024-12-23", 2, "W-MON")
    assert add_holidays(mondays, "DE", freq="W-SUN")["holiday"].tolist() == [2, 1]
    # The week that ends on the 23rd has none.
    assert add_holidays(mondays, "DE", freq="W-MON")["holiday"].tolist() == [0, 2]


def test_business_days_do_not_see_weekends() -> None:
    # Christmas on a Friday, its second day on the Saturday.
    christmas = dates("2020-12-24", 3, "B")
    assert add_holidays(christmas, "DE", freq="B")["holiday"].tolist() == [0, 1, 0]
    assert add_holidays(dates("2024-05-17", 2, "B"), "DE", freq="B")["holiday"].tolist() == [0, 1]


def test_parts_of_a_country() -> None:
    epiphany = dates("2025-01-06", 1, "D")
    assert add_holidays(epiphany, "DE", freq="D")["holiday"].tolist() == [0]
    assert add_holidays(epiphany, "DE", "BY", freq="D")["holiday"].tolist() == [1]


def test_the_index_may_hold_the_dates() -> None:
    sales = pd.DataFrame({"target": 1.0}, index=pd.date_range("2024-12-24", periods=3))
    frame = add_holidays(sales, "US", column="off")
    assert frame["off"].tolist() == [0, 1, 0]
    entry = next(iter(from_frame(frame, known_covariates="off")))
    assert entry["feat_dynamic_real"].tolist() == [[0, 1, 0]]


def test_what_does_not_fit_is_named() -> None:
    days = dates("2024-12-24", 3, "D")
    with pytest.raises(ValueError, match=r"country='XX'.*'US' and its 'CA'"):
        add_holidays(days, "XX")
    with pytest.raises(ValueError, match=r"subdivision='XX'.*one of .*BY"):
        add_holidays(days, "DE", "XX")
    with pytest.raises(ColumnError, match="column 'ds' already: name another one in column="):
        add_holidays(days, "US", column="ds")
    with pytest.raises(ColumnError, match="timestamp='day': df has no such column"):
        add_holidays(days, "US", timestamp="day")
    with pytest.raises(ValueError, match="Pass freq="):
        add_holidays(days[:1], "US")
    with pytest.raises(TypeError, match="DataFrame, not ndarray"):
        add_holidays(np.zeros(3), "US")  # type: ignore[arg-type]


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(ImportError, match=r"pip install 'tsbnn\[holidays\]'"):
        add_holidays(dates("2024-12-24", 3, "D"), "US")
