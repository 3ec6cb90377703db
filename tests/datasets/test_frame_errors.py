"""Every way in which a frame can be wrong, and what the message says about it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsbnn.datasets import errors, from_frame


def shops() -> pd.DataFrame:
    """Two shops, ten days each, rows r0 to r19."""
    days = pd.date_range("2024-01-01", periods=10)
    return pd.DataFrame(
        {
            "shop": ["b"] * 10 + ["a"] * 10,
            "day": [*days, *days],
            "sold": np.arange(20.0),
            "price": np.arange(20.0) + 0.5,
            "town": ["x"] * 10 + ["y"] * 10,
        },
        index=[f"r{i}" for i in range(20)],
    )


def put(column: str, row: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return change


def put_day(row: str, value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, "day"] = pd.Timestamp(value)
        return frame

    return change


def days(values: list[Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(day=[*values, *values])


# change, arguments, error, words of the message, attributes
CASES: dict[str, tuple[Any, dict[str, Any], type[ValueError], list[str], dict[str, Any]]] = {
    "empty": (lambda f: f.iloc[:0], {}, errors.EmptyFrameError, ["no rows", "'shop'"], {}),
    "unknown column": (
        None,
        {"target": "solt"},
        errors.ColumnError,
        ["target='solt'", "did you mean 'sold'?", "'price'"],
        {"column": "solt"},
    ),
    "wide frame": (
        lambda f: f.pivot(index="day", columns="shop", values="sold").reset_index(),
        {"item_id": None},
        errors.ColumnError,
        ["'sold'", "melt"],
        {"column": "sold"},
    ),
    "unknown covariate": (
        None,
        {"known_covariates": ["prices"]},
        errors.ColumnError,
        ["known_covariates='prices'", "'price'"],
        {"column": "prices"},
    ),
    "column twice": (
        lambda f: f.rename(columns={"town": "price"}),
        {},
        errors.ColumnError,
        ["'price' twice"],
        {"column": "price"},
    ),
    "two roles": (
        None,
        {"known_covariates": ["sold"]},
        errors.ColumnError,
        ["'sold'", "target", "known_covariates"],
        {"column": "sold"},
    ),
    "named twice": (
        None,
        {"known_covariates": ["price", "price"]},
        errors.ColumnError,
        ["'price' twice"],
        {},
    ),
    "several targets": (
        None,
        {"target": ["sold", "price"]},
        errors.ColumnError,
        ["one column"],
        {},
    ),
    "missing id": (
        put("shop", "r2", None),
        {},
        errors.ItemIdError,
        ["row 'r2'", "'shop'"],
        {"row": "r2", "column": "shop"},
    ),
    "missing date": (
        put("day", "r2", None),
        {},
        errors.TimestampError,
        ["series 'b'", "row 'r2'", "column 'day'", "missing"],
        {"series": "b", "row": "r2", "column": "day"},
    ),
    "unparsable date": (
        lambda f: put("day", "r12", "2024-13-45")(f.assign(day=f["day"].astype(str))),
        {},
        errors.TimestampError,
        ["series 'a'", "row 'r12'", "column 'day'", "'2024-13-45'", "2012-01-31"],
        {"series": "a", "row": "r12", "column": "day", "value": "2024-13-45"},
    ),
    "date beyond nanoseconds": (
        lambda f: f.assign(day=[*pd.date_range("9001-01-01", periods=20, unit="s")]),
        {},
        errors.TimestampError,
        ["row 'r0'", "1677 and 2262"],
        {"row": "r0"},
    ),
    "ambiguous dates": (
        days([f"{day:02d}/01/2024" for day in range(1, 11)]),
        {},
        errors.TimestampError,
        ["'02/01/2024' may be 2024-02-01 or 2024-01-02", "dayfirst=True"],
        {"row": "r1", "value": "02/01/2024"},
    ),
    "years as numbers": (
        days(list(range(2000, 2010))),
        {},
        errors.TimestampError,
        ["2000 is a number", "format='%Y'"],
        {"row": "r0", "value": 2000},
    ),
    "zone with clock changes": (
        lambda f: f.assign(day=f["day"].dt.tz_localize("Europe/Berlin")),
        {},
        errors.TimestampError,
        ["Europe/Berlin", "df['day'].dt.tz_convert('UTC')", "df['day'].dt.tz_localize(None)"],
        {"column": "day", "value": "Europe/Berlin"},
    ),
    "mixed offsets": (
        lambda f: put("day", "r5", "2024-01-06T00:00+02:00")(
            f.assign(day=f["day"].astype(str) + "T00:00+01:00")
        ),
        {},
        errors.TimestampError,
        ["different offsets", "utc=True"],
        {"column": "day"},
    ),
    "duplicate": (
        put_day("r3", "2024-01-03"),
        {},
        errors.DuplicateTimestampError,
        ["series 'b'", "'r2'", "'r3'", "2024-01-03", "groupby"],
        {"series": "b", "row": "r3", "value": pd.Timestamp("2024-01-03")},
    ),
    "forgotten item_id": (
        None,
        {"item_id": None},
        errors.DuplicateTimestampError,
        ["item_id=", "10 such pairs"],
        {"row": "r10"},
    ),
    "off the grid": (
        put_day("r15", "2024-01-06 00:13"),
        {},
        errors.OffGridError,
        ["series 'a'", "row 'r15'", "2024-01-06 00:13:00", "freq='D'", "freq='min'"],
        {"series": "a", "row": "r15", "value": pd.Timestamp("2024-01-06 00:13")},
    ),
    "two rows in a step": (
        None,
        {"freq": "M"},
        errors.OffGridError,
        ["series 'a'", "'r10'", "'r11'", "freq='ME' (2024-01)", "resample"],
        {"series": "a", "row": "r11"},
    ),
    "out of step": (
        put_day("r19", "2024-01-11"),
        {"freq": "3D"},
        errors.OffGridError,
        ["row 'r11'", "2024-01-02", "freq='3D'"],
        {"series": "a", "row": "r11"},
    ),
    "weekend": (
        None,
        {"freq": "B"},
        errors.OffGridError,
        ["row 'r15'", "Saturday"],
        {"series": "a", "row": "r15"},
    ),
    "far future": (
        put_day("r9", "2224-01-01"),
        {},
        errors.OffGridError,
        ["row 'r9'", "2224-01-01", "73,040 steps"],
        {"series": "b", "row": "r9"},
    ),
    "unknown frequency": (
        None,
        {"freq": "fortnight"},
        errors.FrequencyError,
        ["'fortnight'", "W-MON"],
        {"value": "fortnight"},
    ),
    "text in target": (
        put("sold", "r3", "n/a"),
        {},
        errors.TargetError,
        ["series 'b'", "row 'r3'", "column 'sold'", "'n/a' is text", "pd.to_numeric"],
        {"series": "b", "row": "r3", "column": "sold", "value": "n/a"},
    ),
    "numbers as text": (
        lambda f: f.assign(sold=f["sold"].astype("string")),
        {},
        errors.TargetError,
        ["row 'r0'", "'0.0' is text"],
        {"value": "0.0"},
    ),
    "one word among numbers as text": (
        lambda f: put("sold", "r3", "many")(f.assign(sold=f["sold"].astype(str).astype(object))),
        {},
        errors.TargetError,
        ["row 'r3'", "'many' is text"],
        {"row": "r3", "value": "many"},
    ),
    "decimal commas": (
        put("sold", "r3", "1,5"),
        {},
        errors.TargetError,
        ["'1,5' is text", "decimal=','"],
        {"row": "r3"},
    ),
    "no dates": (
        None,
        {"timestamp": None},
        errors.ColumnError,
        ["timestamp='timestamp'", "Name the column of dates", "'day'"],
        {"column": "timestamp"},
    ),
    "dates as target": (
        lambda f: f.assign(sold=f["day"]),
        {},
        errors.TargetError,
        ["2024-01-01 is a Timestamp"],
        {"row": "r0"},
    ),
    "complex target": (
        lambda f: f.assign(sold=f["sold"] * 1j),
        {},
        errors.TargetError,
        ["complex"],
        {"row": "r0"},
    ),
    "infinite target": (
        put("sold", "r13", -np.inf),
        {},
        errors.TargetError,
        ["series 'a'", "row 'r13'", "column 'sold'", "-inf is infinite"],
        {"series": "a", "row": "r13", "column": "sold", "value": -np.inf},
    ),
    "too large for float32": (
        put("sold", "r13", 1e39),
        {},
        errors.TargetError,
        ["1e+39", "float32"],
        {"row": "r13", "value": 1e39},
    ),
    "all missing": (
        lambda f: f.assign(sold=f["sold"].where(f["shop"] == "b")),
        {},
        errors.MissingTargetError,
        ["series 'a'", "column 'sold'", "all 10", "2024-01-01", "2024-01-10"],
        {"series": "a", "column": "sold"},
    ),
    "missing covariate": (
        put("price", "r2", np.nan),
        {"known_covariates": "price"},
        errors.CovariateError,
        ["series 'b'", "column 'price'", "2024-01-03", "row 'r2'", "fill_covariates=True"],
        {"series": "b", "column": "price", "row": "r2"},
    ),
    "covariate in a gap": (
        lambda f: f.drop("r2"),
        {"known_covariates": "price"},
        errors.CovariateError,
        ["series 'b'", "'price'", "2024-01-03", "no row"],
        {"series": "b", "column": "price", "row": None},
    ),
    "covariate of text": (
        None,
        {"known_covariates": ["price", "town"]},
        errors.CovariateError,
        ["column 'town'", "'x' is text", "get_dummies"],
        {"column": "town"},
    ),
    "infinite covariate": (
        put("price", "r2", np.inf),
        {"known_covariates": "price"},
        errors.CovariateError,
        ["row 'r2'", "infinite"],
        {"row": "r2"},
    ),
    "no future covariates": (
        None,
        {"known_covariates": "price", "prediction_length": 2},
        errors.FutureCovariateError,
        ["series 'a'", "2024-01-10", "0 steps", "prediction_length=2", "2024-01-12"],
        {"series": "a", "value": 0},
    ),
    "future without covariates": (
        None,
        {"future_covariates": shops()},
        errors.ColumnError,
        ["known_covariates"],
        {},
    ),
    "static changes": (
        put("town", "r2", "z"),
        {"static_features": "town"},
        errors.StaticFeatureError,
        ["series 'b'", "row 'r2'", "'z'", "'x'", "'r0'"],
        {"series": "b", "column": "town", "row": "r2", "value": "z"},
    ),
    "static missing": (
        put("town", "r2", None),
        {"static_features": "town"},
        errors.StaticFeatureError,
        ["series 'b'", "row 'r2'", "missing"],
        {"series": "b", "column": "town", "row": "r2"},
    ),
    "static unknown": (
        None,
        {"static_features": "town", "static_categories": {"town": ["w", "x"]}},
        errors.StaticFeatureError,
        ["series 'a'", "'y'", "'w', 'x'"],
        {"series": "a", "column": "town", "value": "y"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_message_says_where_and_what_would_be_right(name: str) -> None:
    change, arguments, error, words, attributes = CASES[name]
    frame = shops() if change is None else change(shops())
    before = frame.copy(deep=True)
    settings = {"item_id": "shop", "timestamp": "day", "target": "sold", **arguments}
    with pytest.raises(error) as caught:
        from_frame(frame, **settings)
    assert type(caught.value) is error
    assert isinstance(caught.value, errors.FrameError)
    for word in words:
        assert word in str(caught.value)
    for attribute, value in attributes.items():
        assert getattr(caught.value, attribute) == value
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.row == caught.value.row
    pd.testing.assert_frame_equal(frame, before)


def test_every_error_class_has_a_case() -> None:
    raised = {case[2] for case in CASES.values()}
    known = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.FrameError)
    }
    elsewhere = {errors.MixedFrequencyError}  # test_inferring.py
    assert known - raised - elsewhere == {errors.FrameError}


@pytest.mark.parametrize("wrong", [[1, 2], None, {"target": [1]}, np.zeros(3)])
def test_not_a_frame(wrong: Any) -> None:
    with pytest.raises(TypeError, match="DataFrame"):
        from_frame(wrong)


@pytest.mark.parametrize("length", [0, -3])
def test_prediction_length(length: int) -> None:
    with pytest.raises(ValueError, match=f"prediction_length={length}"):
        from_frame(shops(), prediction_length=length)
