"""Known covariates go through the horizon, past ones do not; static features keep their codes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsbnn.datasets import (
    ColumnError,
    CovariateError,
    DuplicateTimestampError,
    FrameError,
    FutureCovariateError,
    StaticFeatureError,
    TimestampError,
    from_frame,
)


def shops(length: int = 6) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=length)
    return pd.DataFrame(
        {
            "item_id": ["b"] * length + ["a"] * length,
            "timestamp": [*days, *days],
            "target": np.arange(2.0 * length),
            "price": np.arange(2.0 * length) + 100,
            "promo": [False, True] * length,
        }
    )


def later(steps: int, length: int = 6) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=length + steps)[length:]
    return pd.DataFrame(
        {
            "item_id": ["a"] * steps + ["b"] * steps,
            "timestamp": [*days, *days],
            "price": np.arange(2.0 * steps) + 200,
            "promo": True,
        }
    )


def build(frame: pd.DataFrame, **arguments: Any) -> Any:
    return from_frame(frame, item_id="item_id", known_covariates=["price", "promo"], **arguments)


def test_a_training_frame_ends_with_its_target() -> None:
    a, b = build(shops())
    np.testing.assert_array_equal(
        b["feat_dynamic_real"], [[100, 101, 102, 103, 104, 105], [0, 1, 0, 1, 0, 1]]
    )
    assert a["feat_dynamic_real"].dtype == np.float32
    assert a["feat_dynamic_real"].shape == (2, 6)


def test_future_frame_and_trailing_rows_are_the_same() -> None:
    by_frame = build(shops(), future_covariates=later(3), prediction_length=3)
    by_rows = build(pd.concat([shops(), later(3)]).sample(frac=1.0, random_state=1))
    for one, two in zip(by_frame, by_rows, strict=True):
        assert one["item_id"] == two["item_id"]
        np.testing.assert_array_equal(one["target"], two["target"])
        np.testing.assert_array_equal(one["feat_dynamic_real"], two["feat_dynamic_real"])
    assert by_frame[0]["feat_dynamic_real"][0, -3:].tolist() == [200.0, 201.0, 202.0]
    assert by_frame.lengths.tolist() == [6, 6]
    assert by_frame.horizons.tolist() == [3, 3]
    assert by_frame.training.horizons.tolist() == [0, 0]
    assert by_frame.training[0]["feat_dynamic_real"].shape == (2, 6)


def test_longer_futures_are_cut_to_the_prediction_length() -> None:
    dataset = build(shops(), future_covariates=later(5), prediction_length=2)
    assert dataset[1]["feat_dynamic_real"].shape == (2, 8)


def test_longer_rows_of_the_future_are_cut_at_their_end() -> None:
    """They begin where those of a frame of their own begin, however far they go."""
    by_frame = build(shops(), future_covariates=later(5), prediction_length=2)
    by_rows = build(pd.concat([shops(), later(5)]), prediction_length=2)
    assert by_rows.lengths.tolist() == [6, 6]
    for one, two in zip(by_frame, by_rows, strict=True):
        np.testing.assert_array_equal(one["feat_dynamic_real"], two["feat_dynamic_real"])
    frame = pd.concat([shops(), later(2)])
    frame.loc[frame["timestamp"] == "2024-01-06", "target"] = np.nan
    assert build(frame, prediction_length=2).lengths.tolist() == [5, 5]


@pytest.mark.parametrize("planned", [2, 3, 5])
def test_missing_targets_where_other_series_have_values_are_a_gap(planned: int) -> None:
    frame = pd.concat([shops(), later(planned)])
    dark = (frame["timestamp"] == "2024-01-06") & (frame["item_id"] == "a")
    frame["target"] = frame["target"].mask(dark)
    dataset = build(frame, prediction_length=2)
    assert dataset.lengths.tolist() == [6, 6]
    assert dataset.horizons.tolist() == [2, 2]
    assert np.isnan(dataset[0]["target"][-1])
    assert build(frame).lengths.tolist() == [5, 6]
    kept = build(
        frame[frame["timestamp"] < "2024-01-07"], future_covariates=later(2), prediction_length=2
    )
    assert kept.lengths.tolist() == [6, 6]


def test_series_whose_rows_end_at_different_times_have_their_own_horizons() -> None:
    frame = pd.concat([shops(), later(5)])
    early = (frame["item_id"] == "a") & (frame["timestamp"] >= "2024-01-04")
    frame["target"] = frame["target"].mask(early)
    frame = frame[(frame["item_id"] == "b") | (frame["timestamp"] <= "2024-01-08")]
    dataset = build(frame, prediction_length=2)
    assert dataset.lengths.tolist() == [3, 6]
    assert dataset.horizons.tolist() == [2, 2]


def test_a_short_future_names_the_series_and_the_end_it_needs() -> None:
    future = later(3).iloc[:-1]
    with pytest.raises(FutureCovariateError, match=r"series 'b'.* 2 steps.* 2024-01-09") as caught:
        build(shops(), future_covariates=future, prediction_length=3)
    assert (caught.value.series, caught.value.value) == ("b", 2)


def test_future_rows_must_be_of_known_series() -> None:
    with pytest.raises(
        FutureCovariateError, match=r"future_covariates, row 0.* no series 'c'"
    ) as caught:
        build(shops(), future_covariates=later(2).assign(item_id="c"))
    assert (caught.value.series, caught.value.row) == ("c", 0)


@pytest.mark.parametrize(
    ("column", "value", "error", "told"),
    [
        (
            "timestamp",
            "soon",
            TimestampError,
            "series 'a', row 1, column 'timestamp': 'soon' is",
        ),
        ("price", "dear", CovariateError, "series 'a', row 1, column 'price': 'dear' is text"),
        ("price", None, ColumnError, "known_covariates='price': future_covariates has no such"),
    ],
)
def test_what_is_wrong_with_future_rows_is_told_of_their_frame(
    column: str, value: str | None, error: type[FrameError], told: str
) -> None:
    future = later(2).astype({column: object})
    if value is None:
        future = future.drop(columns=column)
    else:
        future.loc[1, column] = value
        told = f"future_covariates, {told}"
    with pytest.raises(error, match=f"^{told}") as caught:
        build(shops(), future_covariates=future)
    assert caught.value.column == column


def test_future_rows_must_follow() -> None:
    early = later(2).assign(timestamp=pd.Timestamp("2023-12-01"))
    early["timestamp"] += pd.to_timedelta([0, 1, 0, 1], "D")
    with pytest.raises(FutureCovariateError, match=r"2023-12-01 .*last row in df, 2024-01-06"):
        build(shops(), future_covariates=early)
    again = later(2).assign(timestamp=lambda f: f["timestamp"] - pd.Timedelta(days=1))
    told = r"future_covariates, series 'a', row 0: .*2024-01-06 is in df already, in its row 11 \(2"
    with pytest.raises(DuplicateTimestampError, match=told):
        build(shops(), future_covariates=again)
    twice = pd.concat([later(2), later(2)])
    with pytest.raises(DuplicateTimestampError, match=r"future_covariates, series 'a', .*rows 0 "):
        build(shops(), future_covariates=twice)


def test_a_gap_before_the_future_is_missing() -> None:
    future = later(3)
    future = future[future["timestamp"] != pd.Timestamp("2024-01-07")]
    with pytest.raises(CovariateError, match=r"series 'a', column 'price', 2024-01-07"):
        build(shops(), future_covariates=future, prediction_length=2)


def test_fill_covariates_carries_values_on_within_each_series() -> None:
    frame = shops().drop([2, 8])
    frame.loc[[0, 6, 7], "price"] = np.nan
    a, b = build(frame, fill_covariates=True)
    assert b["feat_dynamic_real"][0].tolist() == [101, 101, 101, 103, 104, 105]
    assert a["feat_dynamic_real"][0].tolist() == [109, 109, 109, 109, 110, 111]
    assert np.isnan(a["target"][2])
    with pytest.raises(CovariateError, match="no row of the series has one"):
        build(
            frame.assign(price=frame["price"].where(frame["item_id"] == "a")), fill_covariates=True
        )


def build_past(frame: pd.DataFrame, **arguments: Any) -> Any:
    return from_frame(frame, item_id="item_id", past_covariates=["price", "promo"], **arguments)


def test_past_covariates_end_with_the_target() -> None:
    dataset = build_past(shops())
    b = dataset[1]
    np.testing.assert_array_equal(
        b["past_feat_dynamic_real"], [[100, 101, 102, 103, 104, 105], [0, 1, 0, 1, 0, 1]]
    )
    assert b["past_feat_dynamic_real"].dtype == np.float32
    assert "feat_dynamic_real" not in b
    assert dataset.past_covariates == ("price", "promo")
    assert (dataset.num_feat_dynamic_real, dataset.num_past_feat_dynamic_real) == (0, 2)
    assert "past_covariates=['price', 'promo']" in repr(dataset)
    assert from_frame(shops(), item_id="item_id").num_past_feat_dynamic_real == 0


@pytest.mark.parametrize("as_rows", [False, True])
def test_rows_of_the_future_need_no_past_covariates_and_lend_none(as_rows: bool) -> None:
    """Whatever stands there, NaN or garbage, is in no entry, not even by filling."""
    frame, ahead = shops().astype({"promo": float}), later(3).drop(columns="promo")
    frame.loc[[10, 11], "promo"] = np.nan
    entries = []
    for garbage in (np.nan, 1e9, -7.0):
        arguments: dict[str, Any] = {"df": frame, "future_covariates": ahead.assign(promo=garbage)}
        if as_rows:
            arguments = {"df": pd.concat([frame, arguments["future_covariates"]])}
        dataset = from_frame(
            item_id="item_id",
            known_covariates="price",
            past_covariates="promo",
            prediction_length=3,
            fill_covariates=True,
            **arguments,
        )
        assert [entry["feat_dynamic_real"].shape for entry in dataset] == [(1, 9)] * 2
        entries.append([entry["past_feat_dynamic_real"] for entry in dataset])
    for found in entries:
        assert found[0].tolist() == [[0, 1, 0, 1, 1, 1]]
        assert found[1].tolist() == [[0, 1, 0, 1, 0, 1]]
    bare = from_frame(
        frame.drop(index=[10, 11]),
        item_id="item_id",
        known_covariates="price",
        past_covariates="promo",
        future_covariates=ahead[ahead["item_id"] == "b"],
    )
    assert bare[1]["past_feat_dynamic_real"].shape == (1, 6)


def test_missing_past_covariates_are_named() -> None:
    frame = shops().astype({"promo": float})
    frame.loc[2, "promo"] = np.nan
    words = r"series 'b', column 'promo', 2024-01-03, row 2: .*a past covariate needs a value"
    with pytest.raises(CovariateError, match=words) as caught:
        build_past(frame)
    assert (caught.value.series, caught.value.column, caught.value.row) == ("b", "promo", 2)
    with pytest.raises(CovariateError, match=r"series 'a', column 'price', 2024-01-04, there is"):
        build_past(shops().drop(9))
    frame.loc[2, "promo"] = np.inf
    with pytest.raises(CovariateError, match="past covariate"):
        build_past(frame)


def test_past_covariates_are_carried_on_but_never_back() -> None:
    """A history that ends before the first value would hold it otherwise."""
    frame = shops()
    frame.loc[[2, 3], "price"] = np.nan
    assert build_past(frame, fill_covariates=True)[1]["past_feat_dynamic_real"][0].tolist() == [
        *(100, 101, 101, 101, 104, 105)
    ]
    frame.loc[[0, 1], "price"] = np.nan
    with pytest.raises(CovariateError, match=r"'price', 2024-01-01, .*no earlier row"):
        build_past(frame, fill_covariates=True)
    known = from_frame(frame, item_id="item_id", known_covariates="price", fill_covariates=True)
    assert known[1]["feat_dynamic_real"][0, 0] == 104


def test_past_covariates_are_cut_with_the_target() -> None:
    dataset = build_past(shops())
    shorter = dataset.without_last(2)
    assert shorter[1]["past_feat_dynamic_real"][0].tolist() == [100, 101, 102, 103]
    ahead = from_frame(
        shops(),
        item_id="item_id",
        known_covariates="promo",
        past_covariates="price",
        future_covariates=later(2),
    )
    assert ahead[0]["past_feat_dynamic_real"].shape == (1, 6)
    assert ahead.training[0]["past_feat_dynamic_real"].shape == (1, 6)


def test_wrong_columns_of_past_covariates_are_named() -> None:
    with pytest.raises(ColumnError, match="past_covariates='prise': df has no such column; did"):
        from_frame(shops(), item_id="item_id", past_covariates="prise")
    with pytest.raises(ColumnError, match="named as known_covariates and as past_covariates"):
        build(shops(), past_covariates="price")
    with pytest.raises(ColumnError, match="future_covariates is about known covariates"):
        build_past(shops(), future_covariates=later(2))
    with pytest.raises(ColumnError, match="fill_covariates is about covariates"):
        from_frame(shops(), item_id="item_id", fill_covariates=True)


def statics(**arguments: Any) -> Any:
    frame = shops().assign(
        town=["oslo"] * 6 + ["bergen"] * 6,
        size=[3] * 6 + [5] * 6,
        open=[True] * 6 + [False] * 6,
        kind=pd.Categorical(["m"] * 6 + ["s"] * 6, categories=["s", "m", "l"]),
    )
    names = ["town", "size", "open", "kind"]
    return from_frame(frame, item_id="item_id", static_features=names, **arguments)


def test_static_features_by_type() -> None:
    """Text and booleans in sorted order, categoricals in their own, numbers as they are."""
    dataset = statics()
    a, b = dataset
    assert a["feat_static_cat"].tolist() == [0, 0, 0]
    assert b["feat_static_cat"].tolist() == [1, 1, 1]
    assert (a["feat_static_real"].tolist(), b["feat_static_real"].tolist()) == ([5.0], [3.0])
    assert dataset.static_categories == {
        "town": ("bergen", "oslo"),
        "open": (False, True),
        "kind": ("s", "m", "l"),
    }
    assert dataset.cardinality == [2, 2, 3]
    assert (dataset.num_feat_static_cat, dataset.num_feat_static_real) == (3, 1)
    assert dataset.static_reals == ("size",)


def test_later_frames_get_the_same_codes() -> None:
    known = statics().static_categories
    frame = shops().iloc[:6].assign(town="oslo", open=True, kind="m")
    later_frame = from_frame(
        frame,
        item_id="item_id",
        static_features=["town", "open", "kind"],
        static_categories=known,
    )
    assert later_frame[0]["feat_static_cat"].tolist() == [1, 1, 1]
    assert later_frame.cardinality == [2, 2, 3]


def test_numbers_can_be_categories() -> None:
    frame = shops().assign(region=[7] * 6 + [3] * 6)
    real = from_frame(frame, item_id="item_id", static_features="region")
    assert real[0]["feat_static_real"].tolist() == [3.0]
    codes = from_frame(
        frame.astype({"region": "category"}), item_id="item_id", static_features="region"
    )
    assert codes[1]["feat_static_cat"].tolist() == [1]
    assert codes.static_categories == {"region": (3, 7)}


def test_the_item_id_can_be_a_static_feature() -> None:
    dataset = from_frame(shops(), item_id="item_id", static_features="item_id")
    assert [entry["feat_static_cat"].tolist() for entry in dataset] == [[0], [1]]


def test_static_numbers_are_constant_and_finite() -> None:
    frame = shops().assign(size=1.0)
    frame.loc[3, "size"] = 2.0
    with pytest.raises(StaticFeatureError, match=r"series 'b', row 3, .*2\.0 differs from 1\.0"):
        from_frame(frame, item_id="item_id", static_features="size")
    frame.loc[3, "size"] = np.inf
    with pytest.raises(StaticFeatureError, match="infinite"):
        from_frame(frame, item_id="item_id", static_features="size")


def test_gluonts_trains_and_forecasts_with_every_feature() -> None:
    """The training view trains a DeepAR, the dataset with its horizon is forecast."""
    from gluonts.torch import DeepAREstimator

    frame = pd.concat([shops(30), later(3, length=30)])
    frame["town"] = np.where(frame["item_id"] == "a", "oslo", "bergen")
    dataset = build(frame, static_features="town", prediction_length=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of GluonTS and Lightning
        estimator = DeepAREstimator(
            freq=dataset.freq,
            prediction_length=3,
            context_length=4,
            lags_seq=[1, 2],
            hidden_size=4,
            batch_size=4,
            num_feat_dynamic_real=dataset.num_feat_dynamic_real,
            num_feat_static_cat=dataset.num_feat_static_cat,
            cardinality=dataset.cardinality,
        )
        module = estimator.create_lightning_module()
        transformation = estimator.create_transformation()
        transformed = transformation.apply(dataset.training, is_train=True)
        batch = next(iter(estimator.create_training_data_loader(transformed, module)))
        assert np.isfinite(module.training_step(batch, 0).item())
        predictor = estimator.create_predictor(transformation, module)
        forecasts = list(predictor.predict(dataset, num_samples=5))
    assert [forecast.item_id for forecast in forecasts] == ["a", "b"]
    assert forecasts[0].samples.shape == (5, 3)
    assert forecasts[0].start_date == pd.Period("2024-01-31", "D")
