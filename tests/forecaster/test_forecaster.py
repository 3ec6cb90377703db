"""The forecaster: from frame to frame, as one would call it, and scikit-learn's manners."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gluonts.torch import DeepAREstimator as GluontsDeepAREstimator
from gluonts.torch import SimpleFeedForwardEstimator, TemporalFusionTransformerEstimator
from gluonts.torch.distributions import NormalOutput, StudentTOutput

import tsbnn
from tsbnn import ConformalCalibration, DeepAREstimator, Forecaster
from tsbnn.datasets import (
    DuplicateTimestampError,
    FutureCovariateError,
    ItemIdError,
    TimestampError,
)
from tsbnn.forecaster import NotFittedError
from tsbnn.forecasting import ModelFormatError
from tsbnn.inference import ProximalScoreVI

HORIZON = 3
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}
TINY = {"hidden_size": 3, "num_layers": 1, "lags_seq": [1], "batch_size": 4}
SETTINGS: dict[str, Any] = {
    "freq": "D",
    "prediction_length": HORIZON,
    "gradient_evaluations": 8,
    "num_draws": 3,
    "num_samples": 12,
    "model_kwargs": {**TINY, "trainer_kwargs": QUIET},
}


def tiny(**more: Any) -> Forecaster:
    return Forecaster(**{**SETTINGS, **more})


def sales(days: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    parts = [
        pd.DataFrame(
            {
                "unique_id": item,
                "ds": pd.date_range("2024-01-01", periods=length),
                "y": rng.poisson(5, size=length).astype(float),
                "price": rng.normal(size=length),
                "rain": rng.normal(size=length),
                "kind": kind,
            }
        )
        for item, kind, length in (("a", "big", days), ("b", "small", days - 7))
    ]
    return pd.concat(parts, ignore_index=True)


def ahead(frame: pd.DataFrame, days: int = HORIZON) -> pd.DataFrame:
    """Rows after each series' end without a target."""
    ends = frame.groupby(["unique_id", "kind"])["ds"].max()
    parts = [
        pd.DataFrame({"unique_id": item, "kind": kind, "ds": stamps, "price": 0.1})
        for (item, kind), end in ends.items()
        for stamps in [pd.date_range(end, periods=days + 1)[1:]]
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def plain() -> Forecaster:
    return tiny().fit(sales())


def test_forecasts_go_beyond_the_fitted_data(plain: Forecaster) -> None:
    frame = plain.predict()
    assert frame.groupby("unique_id")["ds"].min().astype(str).tolist() == [
        "2024-02-10",
        "2024-02-03",
    ]
    pd.testing.assert_frame_equal(frame, plain.predict(sales()))
    pd.testing.assert_frame_equal(frame, tiny().fit(sales()).predict())
    earlier = plain.predict(sales(30), levels=(50,), quantiles=())
    assert list(earlier.columns[2:]) == [
        *("mean", "median", "lo-50", "hi-50", "epistemic_std", "aleatoric_std"),
    ]
    assert earlier["ds"].max() == pd.Timestamp("2024-02-02")


def test_fitting_keeps_a_copy_of_the_frame() -> None:
    frame = sales()
    forecaster = tiny().fit(frame)
    before = forecaster.predict()
    frame["y"] = 1e6
    pd.testing.assert_frame_equal(forecaster.predict(), before)


def test_all_kinds_of_features() -> None:
    forecaster = tiny(covariates="price", past_covariates=["rain"], static_features=["kind"])
    forecaster.fit(pd.concat([sales(), ahead(sales())]))
    schema = forecaster.predictor_.frame_schema
    assert (schema.known_covariates, schema.past_covariates) == (("price",), ("rain",))
    assert schema.static_categories == {"kind": ("big", "small")}
    # The frame's own rows of the future, or other ones.
    pd.testing.assert_frame_equal(
        forecaster.predict(), forecaster.predict(sales(), future_covariates=ahead(sales()))
    )
    with pytest.raises(FutureCovariateError, match="series 'a'"):
        forecaster.predict(sales())


def test_gaps_with_covariates_are_filled_if_asked() -> None:
    frame = sales().drop(index=[5, 6, 50])
    with pytest.raises(ValueError, match=r"2024-01-06.*fill_covariates=True"):
        tiny(covariates="price").fit(frame)
    forecaster = tiny(covariates="price", fill_covariates=True).fit(frame)
    assert len(forecaster.predict(future_covariates=ahead(frame))) == 2 * HORIZON


@pytest.mark.parametrize("model", ["transformer", "patch_transformer", "gluonts_deepar"])
def test_networks_by_name(model: str) -> None:
    small = {"d_model": 4, "nhead": 2, "num_layers": 1, "dim_feedforward": 4}
    own = {"hidden_size": 3, "num_layers": 1} if model == "gluonts_deepar" else small
    forecaster = tiny(model=model, model_kwargs={**own, "trainer_kwargs": QUIET})
    assert len(forecaster.fit(sales()).predict()) == 2 * HORIZON


@pytest.mark.parametrize("cls", [DeepAREstimator, GluontsDeepAREstimator])
def test_estimators_as_models(cls: type) -> None:
    network = cls(freq="D", prediction_length=HORIZON, **TINY, trainer_kwargs=QUIET)
    forecaster = tiny(model=network, model_kwargs=None, prediction_length=None)
    assert len(forecaster.fit(sales()).predict()) == 2 * HORIZON
    with pytest.raises(ValueError, match=r"was told num_feat_dynamic_real=0, and .* make it 1"):
        tiny(model=network, model_kwargs=None, covariates="price").fit(sales())
    with pytest.raises(ValueError, match=r"was told prediction_length=3, and .* make it 4"):
        tiny(model=network, model_kwargs=None, prediction_length=4).fit(sales())
    with pytest.raises(ValueError, match="model_kwargs are for a network by name"):
        tiny(model=network).fit(sales())
    with pytest.raises(ValueError, match="support='count' is for a network by name"):
        tiny(model=network, model_kwargs=None, support="count").fit(sales())
    with pytest.raises(ValueError, match="time_features are for a network by name"):
        tiny(model=network, model_kwargs=None, time_features=()).fit(sales())


def test_columns_that_an_estimator_does_not_read_are_told() -> None:
    def fit(network: Any, **columns: str) -> Forecaster:
        return tiny(model=network, model_kwargs=None, **columns).fit(sales())

    length: dict[str, Any] = {
        "prediction_length": HORIZON,
        "batch_size": 4,
        "trainer_kwargs": QUIET,
    }
    feedforward = SimpleFeedForwardEstimator(**length)
    with pytest.raises(ValueError, match=r"Estimator has no num_feat_dynamic_real, and .* it 1: "):
        fit(feedforward, covariates="price")
    with pytest.raises(ValueError, match="SimpleFeedForwardEstimator has no num_feat_static_cat"):
        fit(feedforward, static_features="kind")
    deepar = GluontsDeepAREstimator(freq="D", **length)
    with pytest.raises(ValueError, match="DeepAREstimator has no num_past_feat_dynamic_real"):
        fit(deepar, past_covariates="rain")
    sizes = {"hidden_dim": 4, "variable_dim": 4, "num_heads": 1}
    head = {"distr_output": StudentTOutput(), "freq": "D", **sizes, **length}
    fusion = TemporalFusionTransformerEstimator(dynamic_dims=[1], **head)
    fit(fusion, covariates="price")
    with pytest.raises(ValueError, match=r"was told num_feat_dynamic_real=1, and .* make it 0"):
        fit(fusion)
    with pytest.raises(ValueError, match=r"was told num_past_feat_dynamic_real=0, and .* it 1"):
        fit(fusion, covariates="price", past_covariates="rain")
    with pytest.raises(ValueError, match=r"was told num_feat_static_cat=2, and .* make it 1"):
        fit(
            TemporalFusionTransformerEstimator(static_cardinalities=[2, 2], **head),
            static_features="kind",
        )


def test_time_features_by_name(tmp_path) -> None:
    features = ("month_of_year", "day_of_year")
    forecaster = tiny(time_features=features).fit(sales())
    assert "time_features=('month_of_year', 'day_of_year')" in repr(forecaster)
    forecaster.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    assert again.get_params()["time_features"] == features
    pd.testing.assert_frame_equal(again.predict(sales()), forecaster.predict())
    # Of GluonTS's three for a day, these data can teach the day of the week alone. The other one is
    # the place of the age.
    networks = [f.predictor_.network.network for f in (forecaster, tiny().fit(sales()))]
    assert [one.num_feat_dynamic_real for one in networks] == [3, 2]
    with pytest.raises(ValueError, match="no time feature is named 'day'; there are second_of"):
        tiny(time_features="day").fit(sales())


def test_what_targets_can_be() -> None:
    _, paths = tiny(support="count").fit(sales()).predict(return_samples=True)
    assert (paths["value"] >= 0).all()
    assert (paths["value"] % 1 == 0).all()
    low = sales().assign(y=lambda frame: frame["y"] / 100)
    _, real = tiny().fit(low).predict(return_samples=True)
    _, cut = tiny(support="nonnegative").fit(low).predict(return_samples=True)
    assert (real["value"] < 0).any()
    assert (cut["value"] >= 0).all()
    with pytest.raises(ValueError, match="support='whole' must be one of real, nonneg"):
        tiny(support="whole").fit(sales())


@pytest.mark.parametrize(
    ("support", "value", "right"),
    [
        ("count", -1.0, "whole numbers from 0 on"),
        ("count", 2.5, "whole numbers from 0 on"),
        ("nonnegative", -0.5, "numbers from 0 on"),
    ],
)
def test_targets_that_contradict_the_support(support: str, value: float, right: str) -> None:
    frame = sales()
    frame.loc[(frame["unique_id"] == "b") & (frame["ds"] == "2024-01-04"), "y"] = value
    message = f"'b' has the target {value:g} at position 3, outside of support='{support}', {right}"
    with pytest.raises(ValueError, match=message):
        tiny(support=support).fit(frame)
    forecaster = tiny(support=support).fit(sales())
    after = ahead(sales(), 10).assign(y=value, price=0.0)
    with pytest.raises(ValueError, match=f"position 0, outside of support='{support}'"):
        forecaster.update(after)


def test_arguments_that_contradict_the_support() -> None:
    def fit(support: str, **own: Any) -> None:
        tiny(support=support, model_kwargs={**TINY, **own, "trainer_kwargs": QUIET}).fit(sales())

    with pytest.raises(
        ValueError,
        match=r"'count' means distr_output=NegativeBinomialOutput\(\), and model_kwargs say "
        r"distr_output=NormalOutput\(\): leave one out",
    ):
        fit("count", distr_output=NormalOutput())
    with pytest.raises(ValueError, match="means nonnegative_pred_samples=True, and model_kwargs"):
        fit("nonnegative", nonnegative_pred_samples=False)
    fit("nonnegative", distr_output=NormalOutput())


@pytest.mark.parametrize("model", ["deepar", "patch_transformer"])
def test_small_units(model: str) -> None:
    own = TINY if model == "deepar" else {"d_model": 4, "nhead": 1, "batch_size": 4}
    unit = 1e-30
    frame = sales().assign(y=lambda frame: frame["y"] * unit)
    settings = {"model_kwargs": {**own, "trainer_kwargs": QUIET}, "gradient_evaluations": 100}
    found = tiny(model=model, **settings).fit(frame).predict()
    for column in ("mean", "median"):
        assert (found[column].abs() < 100 * unit).all()
    assert (found["aleatoric_std"] > 0.1 * unit).all()


def test_silence(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    forecaster = tiny(model_kwargs=TINY, verbose=False, time_limit=60)
    forecaster.fit(sales()).update(ahead(sales(), 12).assign(y=4.0, price=0.0))
    forecaster.predict()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    loud = tiny(model_kwargs=TINY).fit(sales()).predict()
    assert "Epoch" in capfd.readouterr().out
    pd.testing.assert_frame_equal(tiny(verbose=False).fit(sales()).predict(), loud)


def rising(shares: list[float]) -> bool:
    """From near nothing to all, in several steps and never back."""
    return len(shares) > 3 and shares[0] < 0.5 and shares[-1] == 1 and shares == sorted(shares)


def test_progress_takes_the_place_of_lightnings_bar(capfd: pytest.CaptureFixture[str]) -> None:
    fitting, updating, crossing, predicting = [], [], [], []
    forecaster = tiny(model_kwargs=TINY).fit(sales(), progress=fitting.append)
    forecaster.update(ahead(sales(), 12).assign(y=4.0), progress=updating.append)
    forecaster.cross_validation(sales(), n_windows=3, refit=2, progress=crossing.append)
    forecaster.predict(progress=predicting.append)
    assert rising(fitting)
    assert rising(updating)
    assert rising(crossing)
    assert predicting[-1] == 1
    # Two trainings of nine and three windows of one part each.
    assert {9, 10, 20} <= {round(21 * share, 6) for share in crossing}
    assert capfd.readouterr().out == ""
    alone = tiny().fit(sales())
    again = tiny().fit(sales(), progress=fitting.append)
    pd.testing.assert_frame_equal(alone.predict(), again.predict())


def test_a_time_limit() -> None:
    assert tiny(time_limit=600).fit(sales()).predictor_.training_summary["steps"] > 0
    with pytest.raises(ValueError, match="time_limit must be a positive number"):
        tiny(time_limit=0).fit(sales())
    with pytest.raises(ValueError, match=r"time_limit: .* give it more time"):
        tiny(time_limit=1e-4).fit(sales())


def test_nothing_is_checked_or_done_before_fit() -> None:
    with pytest.raises(ValueError, match="prediction_length is missing"):
        Forecaster().fit(sales())
    with pytest.raises(ValueError, match=r"prediction_length=.*: expected a whole number"):
        tiny(prediction_length=0).fit(sales())
    with pytest.raises(ValueError, match="no network is named 'lstm'"):
        tiny(model="lstm").fit(sales())
    with pytest.raises(NotFittedError, match=r"not fitted: call fit\(df\) first"):
        tiny().predict(sales())
    assert issubclass(NotFittedError, ValueError)
    assert issubclass(NotFittedError, AttributeError)


def test_parameters_as_in_scikit_learn(plain: Forecaster) -> None:
    assert plain.get_params() == Forecaster(**plain.get_params()).get_params()
    assert plain.get_params()["num_draws"] == 3
    other = tiny()
    assert other.set_params(num_draws=5, model="transformer") is other
    assert (other.num_draws, other.model) == (5, "transformer")
    with pytest.raises(ValueError, match="no parameter 'draws'; it has freq, prediction_length"):
        other.set_params(draws=5)
    assert other.num_draws == 5
    assert repr(Forecaster("D", 7, inference="elbo", covariates=["price"])) == (
        "Forecaster(freq='D', prediction_length=7, inference='elbo', covariates=['price'])"
    )


def test_clones_of_scikit_learn(plain: Forecaster) -> None:
    base = pytest.importorskip("sklearn.base")
    forecaster = tiny(
        model=DeepAREstimator(freq="D", prediction_length=HORIZON), inference=ProximalScoreVI()
    )
    for original in (plain, forecaster):
        again = base.clone(original)
        assert type(again) is Forecaster
        assert not hasattr(again, "predictor_")
        assert repr(again) == repr(original)
        assert again.model_kwargs is not original.model_kwargs


def test_copies_by_hand(plain: Forecaster) -> None:
    again = Forecaster(**copy.deepcopy(plain.get_params()))
    assert again.get_params() == plain.get_params()
    pd.testing.assert_frame_equal(again.fit(sales()).predict(), plain.predict())


def test_a_forecaster_on_disk(tmp_path, plain: Forecaster) -> None:
    forecaster = tiny(inference=ProximalScoreVI(learning_rate=0.01), static_features=("kind",))
    forecaster.fit(sales()).save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model", device="cpu")
    assert repr(again) == repr(forecaster)
    pd.testing.assert_frame_equal(again.predict(sales()), forecaster.predict())
    with pytest.raises(NotFittedError, match="holds no data: pass df"):
        again.predict()
    pd.testing.assert_frame_equal(
        tsbnn.load(tmp_path / "model", device="cpu").predict_frame(sales()), forecaster.predict()
    )
    new = ahead(sales(), 12).assign(y=4.0)
    assert len(again.update(new).predict(pd.concat([sales(), new]))) == 2 * HORIZON
    tsbnn.save(plain.predictor_, tmp_path / "predictor")
    with pytest.raises(ModelFormatError, match=r"no forecaster: use tsbnn\.load"):
        Forecaster.load(tmp_path / "predictor")
    with pytest.raises(NotFittedError):
        tiny().save(tmp_path / "nothing")


def test_an_estimator_as_model_on_disk(tmp_path) -> None:
    network = DeepAREstimator(freq="D", prediction_length=HORIZON, **TINY, trainer_kwargs=QUIET)
    forecaster = tiny(model=network, model_kwargs=None).fit(sales())
    forecaster.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model", device="cpu")
    pd.testing.assert_frame_equal(again.fit(sales()).predict(), forecaster.predict())


def test_parameters_that_cannot_be_written_are_named(tmp_path) -> None:
    forecaster = tiny().fit(sales())
    forecaster.set_params(model_kwargs={"trainer_kwargs": {"callbacks": [object()]}})
    with pytest.raises(TypeError, match=r"forecaster: cannot be written to manifest\.json"):
        forecaster.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_update_learns_from_new_rows_and_goes_on_from_their_end() -> None:
    full = sales(60)
    frame = full[full["ds"] < "2024-02-05"]
    forecaster = tiny(covariates="price", static_features="kind", inference="map")
    forecaster.fit(pd.concat([frame, ahead(frame)]))
    before = forecaster.predictor_.posterior.mean.clone()
    new = full[(full["ds"] >= "2024-02-05") & (full["unique_id"] == "a")]
    assert forecaster.update(new) is forecaster
    assert (forecaster.predictor_.posterior.mean != before).any()
    updated = full["unique_id"] == "a"
    frames = [full[updated], full[~updated & (full["ds"] < "2024-02-05")]]
    found = forecaster.predict(future_covariates=pd.concat(ahead(frame) for frame in frames))
    assert found.groupby("unique_id")["ds"].min().astype(str).tolist() == [
        "2024-03-01",
        "2024-02-05",
    ]
    told = r"series 'a', row 0: the timestamp 2024-01-01 is among the rows that fit or update had"
    with pytest.raises(DuplicateTimestampError, match=told) as caught:
        forecaster.update(full)
    assert "(95 such rows)" in str(caught.value)
    assert "pass new ones only, for this series those after 2024-02-29" in str(caught.value)
    assert (caught.value.series, caught.value.column, caught.value.row) == ("a", "ds", 0)


def test_a_loaded_model_that_is_updated_still_wants_the_histories(tmp_path) -> None:
    frame = sales()
    tiny().fit(frame).save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    new = frame[frame["unique_id"] == "a"].assign(ds=lambda t: t["ds"] + pd.Timedelta(days=40))
    loaded.update(new)
    with pytest.raises(NotFittedError, match="holds no data: pass df"):
        loaded.predict()
    assert set(loaded.predict(pd.concat([frame, new]))["unique_id"]) == {"a", "b"}


def test_ids_of_another_kind_are_no_new_series() -> None:
    frame = sales()
    new = frame.assign(unique_id=1, ds=lambda table: table["ds"] + pd.Timedelta(days=90))
    with pytest.raises(ItemIdError, match=r"of kind integer \(1\), and those .* of kind string"):
        tiny().fit(frame).update(new.drop_duplicates("ds"))


def test_a_future_replaces_the_one_that_fitting_had() -> None:
    frame = sales()
    forecaster = tiny(covariates="price").fit(pd.concat([frame, ahead(frame)]))
    as_text = ahead(frame).assign(price=0.5, ds=lambda table: table["ds"].astype(str))
    expected = forecaster.predict(frame, future_covariates=ahead(frame).assign(price=0.5))
    pd.testing.assert_frame_equal(forecaster.predict(future_covariates=as_text), expected)
    passed = pd.concat([frame, ahead(frame)], ignore_index=True)
    found = forecaster.predict(passed, future_covariates=as_text)
    pd.testing.assert_frame_equal(found, expected)
    names = {"unique_id": "shop", "ds": "day", "y": "sold"}
    found = forecaster.predict(
        passed.rename(columns=names),
        as_text.rename(columns=names),
        item_id="shop",
        timestamp="day",
        target="sold",
    )
    pd.testing.assert_frame_equal(found, expected.rename(columns=names))
    first = as_text.groupby("unique_id").head(1)
    with pytest.raises(FutureCovariateError, match="go on for 1 steps, but prediction_length=3"):
        forecaster.predict(future_covariates=first)


def test_a_future_leaves_the_rows_before_it() -> None:
    """Missing targets before the horizon are a gap whose covariates are known."""
    frame = sales()
    frame["y"] = frame["y"].mask((frame["unique_id"] == "b") & (frame["ds"] == "2024-02-02"))
    forecaster = tiny(covariates="price").fit(frame)
    found = forecaster.predict(future_covariates=ahead(frame))
    assert found.groupby("unique_id")["ds"].min().astype(str).tolist() == [
        "2024-02-10",
        "2024-02-03",
    ]
    pd.testing.assert_frame_equal(found, forecaster.predict(frame, ahead(frame)))


def test_a_bad_date_is_told_by_series_and_row_beside_a_future_too() -> None:
    frame = sales().assign(ds=lambda table: table["ds"].dt.strftime("%Y-%m-%d"))
    forecaster = tiny(covariates="price").fit(frame)
    frame.index += 1000
    frame.loc[1003, "ds"] = "2024-13-45"
    where = f"series {frame.loc[1003, 'unique_id']!r}, row 1003"
    with pytest.raises(TimestampError, match=where) as told:
        forecaster.predict(frame, future_covariates=ahead(sales()))
    assert told.value.row == 1003
    future = ahead(sales()).astype({"ds": object}).reset_index(drop=True)
    future.loc[2, "ds"] = "2024-13-45"
    with pytest.raises(TimestampError, match=r"^future_covariates, series 'a', row 2") as told:
        forecaster.predict(future_covariates=future)
    assert told.value.row == 2


@pytest.mark.parametrize("name", ["mean", "step", "cutoff", "lo-80"])
def test_columns_called_like_those_of_forecasts_are_told_before_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecaster = tiny(target=name)
    monkeypatch.setattr(Forecaster, "_train", lambda *given: pytest.fail("trained"))
    with pytest.raises(ValueError, match=f"column '{name}' is called like a column of forecasts"):
        forecaster.cross_validation(sales().rename(columns={"y": name}))
    with pytest.raises(ValueError, match="column 'mean' is called like a column of forecasts"):
        tiny(item_id="mean").fit(sales().rename(columns={"unique_id": "mean"}))
    with pytest.raises(ValueError, match="levels"):
        tiny().cross_validation(sales(), levels=[0.8])


def test_cross_validation_is_what_one_would_do_by_hand() -> None:
    frame = sales()
    found = tiny(covariates="price").cross_validation(frame, n_windows=2, step=2, refit=True)
    assert list(found.columns[:6]) == ["unique_id", "ds", "cutoff", "step", "y", "mean"]
    assert len(found) == 2 * 2 * HORIZON
    actual = found.merge(frame, on=["unique_id", "ds"], suffixes=("", "_known"))
    assert len(actual) == len(found)
    np.testing.assert_array_equal(actual["y"], actual["y_known"])
    ends = frame.groupby("unique_id")["ds"].max()
    for behind in (HORIZON + 2, HORIZON):
        cutoff = frame["unique_id"].map(ends) - pd.Timedelta(days=behind)
        past = frame[frame["ds"] <= cutoff]
        until = cutoff + pd.Timedelta(days=HORIZON)
        known = frame[(frame["ds"] > cutoff) & (frame["ds"] <= until)]
        expected = tiny(covariates="price").fit(past).predict(future_covariates=known)
        window = found[found["cutoff"] == found["unique_id"].map(ends - pd.Timedelta(days=behind))]
        assert window["step"].tolist() == [1, 2, 3] * 2
        window = window.drop(columns=["cutoff", "step", "y"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(window, expected)


@pytest.mark.parametrize(("refit", "trained"), [(False, 1), (True, 4), (2, 2), (3, 2)])
def test_refits(refit: bool | int, trained: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    train = Forecaster._train
    monkeypatch.setattr(
        Forecaster,
        "_train",
        lambda self, dataset, progress: (
            lengths.append(dataset.lengths.max()) or train(self, dataset, progress)
        ),
    )
    forecaster = tiny(inference="map")
    found = forecaster.cross_validation(sales(), n_windows=4, step=1, refit=refit, num_samples=4)
    assert found.groupby("unique_id")["cutoff"].nunique().tolist() == [4, 4]
    assert len(lengths) == trained
    # The first one ends before the first window.
    assert lengths[0] == 40 - 3 - HORIZON
    assert not hasattr(forecaster, "predictor_")


def test_series_too_short_for_the_windows_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"series 'b' has 33 steps, and n_windows=11, step=3 needs"
    ):
        tiny().cross_validation(sales(), n_windows=11)
    with pytest.raises(ValueError, match=r"n_windows=.*: expected a whole number"):
        tiny().cross_validation(sales(), n_windows=0)


def test_calibrated_forecasts() -> None:
    forecaster = tiny(inference="map").fit(sales())
    past = forecaster.cross_validation(sales(), n_windows=10, step=1, levels=(80,))
    calibration = ConformalCalibration.from_frame(past)
    moved = forecaster.predict(calibration=calibration, levels=(80,), quantiles=())
    plain = forecaster.predict(levels=(80,), quantiles=())
    assert moved["median"].equals(plain["median"])
    assert not moved["hi-80"].equals(plain["hi-80"])
    assert (moved["lo-80"] <= moved["median"]).all()
    assert (moved["median"] <= moved["hi-80"]).all()


def test_a_series_without_ids() -> None:
    single = sales().query("unique_id == 'a'").set_index("ds")["y"]
    forecaster = tiny().fit(single)
    assert list(forecaster.predict().columns[:2]) == ["ds", "mean"]
    found = forecaster.cross_validation(single, n_windows=2)
    assert list(found.columns[:5]) == ["ds", "cutoff", "step", "target", "mean"]
    new = pd.Series(5.0, index=pd.date_range("2024-02-10", periods=9, name="ds"))
    assert forecaster.update(new).predict()["ds"].min() == pd.Timestamp("2024-02-19")
