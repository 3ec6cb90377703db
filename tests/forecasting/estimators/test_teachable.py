"""Lags and calendar features that the training data cannot teach are left out by default."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from gluonts.core import serde
from gluonts.core.component import validated
from gluonts.time_feature import (
    day_of_month,
    day_of_week,
    day_of_year,
    hour_of_day,
    time_features_from_frequency_str,
)
from gluonts.torch import DeepAREstimator as GluontsDeepAREstimator
from hypothesis import given
from hypothesis import strategies as st

from tests.forecasting.estimators.conftest import QUIET
from tsbnn import BayesianEstimator, DeepAREstimator
from tsbnn.forecasting.estimators.teachable import (
    Extent,
    teachable_lags,
    teachable_time_features,
)

TINY = {"hidden_size": 3, "num_layers": 1, "num_batches_per_epoch": 1, "batch_size": 2}
DAILY = [day_of_week, day_of_month, day_of_year]


def series(start: str, length: int, freq: str = "D", gaps: slice = slice(0)) -> dict[str, object]:
    target = np.arange(float(length))
    target[gaps] = np.nan
    return {"start": pd.Period(start, freq), "target": target}


def lengths_only(lengths: list[int]) -> Extent:
    return Extent(np.array(lengths), 0.0)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    lags=st.sets(st.integers(1, 60), min_size=1, max_size=8),
)
def test_lags_are_known_at_half_of_all_points(lengths: list[int], lags: set[int]) -> None:
    """Against counting, point by point."""
    kept = teachable_lags(sorted(lags), lengths_only(lengths))
    assert min(lags) in kept
    for lag in lags - {min(lags)}:
        known = [position >= lag for length in lengths for position in range(length)]
        assert (lag in kept) == (sum(known) * 2 >= len(known))


def test_the_order_of_lags_stays() -> None:
    assert teachable_lags([7, 1, 90, 30], lengths_only([100])) == [7, 1, 30]


@pytest.mark.parametrize(
    ("days", "taught"),
    [
        (10, []),
        (11, [day_of_week]),
        (44, [day_of_week]),
        (45, [day_of_week, day_of_month]),
        (539, [day_of_week, day_of_month]),
        (540, DAILY),
    ],
)
def test_calendar_features_need_a_cycle_and_a_half(days: int, taught: list[object]) -> None:
    """Their order stays, and functions that GluonTS does not have are the caller's own."""

    def own(index: pd.PeriodIndex) -> np.ndarray:
        return np.zeros(len(index))

    extent = Extent.of([series("2023-06-10", days)])
    assert extent.days == pytest.approx(days, abs=1)
    assert teachable_time_features([own, *DAILY], extent) == [own, *taught]


@pytest.mark.parametrize("freq", ["s", "15min", "h", "6h", "D", "B", "W-SUN", "W-WED", "M", "Q"])
def test_every_default_feature_has_a_cycle(freq: str) -> None:
    """With data enough all of GluonTS's features are given, and with two points none."""
    with warnings.catch_warnings():
        # GluonTS's and pandas' own, of aliases and business days.
        warnings.simplefilter("ignore", FutureWarning)
        features = time_features_from_frequency_str(freq)
        start = pd.Period("2020-01-01", freq)
    steps = {"s": 8e7, "15min": 1e5}.get(freq, 2e4)
    long = Extent.of([{"start": start, "target": np.zeros(int(steps))}])
    assert teachable_time_features(features, long) == features
    short = Extent.of([{"start": start, "target": np.zeros(2)}])
    assert not [f for f in teachable_time_features(features, short) if f is not hour_of_day]


def test_extent_counts_from_the_first_observed_point_of_all_series_to_the_last() -> None:
    extent = Extent.of(
        [
            series("2020-01-01", 10, gaps=slice(0, 4)),
            series("2020-01-03", 20, gaps=slice(15, None)),
            series("2019-01-01", 5, gaps=slice(None)),
        ]
    )
    np.testing.assert_array_equal(extent.lengths, [6, 15])
    # 3 January, when the second begins, to 17 January.
    assert extent.days == 15
    # What one series covers and then another one counts once, and what none covers does not count.
    apart = Extent.of([series("2020-03-01", 10), series("2020-03-05", 3), series("2020-05-01", 10)])
    assert apart.days == 20
    empty = Extent.of([])
    assert (len(empty.lengths), empty.days) == (0, 0.0)


@pytest.mark.parametrize(("freq", "steps"), [("M", 18), ("Q", 6), ("W-SUN", 78), ("D", 547)])
def test_a_year_and_a_half_is_that_whenever_it_begins(freq: str, steps: int) -> None:
    for start in pd.period_range("2019-01", periods=48, freq="M"):
        first = pd.Period(start.start_time, freq)
        extent = Extent.of([{"start": first, "target": np.zeros(steps)}])
        assert teachable_time_features([day_of_year], extent) == [day_of_year], start
        short = Extent.of([{"start": first, "target": np.zeros(steps * 11 // 12)}])
        assert teachable_time_features([day_of_year], short) == [], start


def test_what_will_be_refused_is_not_measured() -> None:
    wide = {"start": pd.Period("2023-01-01", "D"), "target": np.ones((370, 20_000))}
    late = {"start": pd.Period("9000-01-01", "Y"), "target": np.ones(9_000)}
    no_period = {"start": pd.Timestamp("2023-01-01"), "target": np.ones(5)}
    assert Extent.of([wide, no_period]).days == 0
    assert Extent.of([late]).days == pytest.approx(9_000 * 365.2425, rel=1e-6)


def test_one_step_may_be_written_in_two_ways_and_lie_before_timestamps_begin() -> None:
    extent = Extent.of([series("1500-01-01", 24, "h"), series("1500-01-01 12:00", 24, "60min")])
    assert extent.days == 1.5
    six = Extent.of([series("2020-01-01", 4, "6h"), series("2020-01-02", 4, "6h")])
    assert six.days == 2


def test_without_an_age_a_zero_stands_in_its_place(build, name) -> None:
    """So that networks with and without are as wide; a forecast does not depend on the start."""
    data = [series("2020-01-01", 60, "h")]
    fields = [
        next(iter(build(name, age_feature=age).create_transformation().apply(data, True)))
        for age in (True, False)
    ]
    with_age, without = (entry["time_feat"] for entry in fields)
    np.testing.assert_allclose(with_age[-1], np.log10(2.0 + np.arange(60)), rtol=1e-6)
    np.testing.assert_array_equal(without[-1], np.zeros(60))
    np.testing.assert_array_equal(with_age[:-1], without[:-1])


def test_what_nobody_chose_is_adapted(build) -> None:
    data = [series("2023-01-01", 40)]
    plain = DeepAREstimator(freq="D", prediction_length=2)
    adapted = plain.adapted_to(data)
    assert adapted.time_features == [day_of_week]
    assert adapted.lags_seq == [lag for lag in plain.lags_seq if lag <= 20]
    assert max(plain.lags_seq) > 1000
    # What is chosen stays chosen, and so it is written.
    assert adapted.adapted_to([series("2023-01-01", 4000)]) is adapted
    again = serde.decode(serde.encode(adapted))
    assert (again.lags_seq, again.time_features) == (adapted.lags_seq, adapted.time_features)
    given = DeepAREstimator(freq="D", prediction_length=2, lags_seq=[1, 99], time_features=DAILY)
    assert given.adapted_to(data) is given
    later = DeepAREstimator(freq="D", prediction_length=2)
    later.lags_seq = [1, 99]
    assert later.adapted_to(data).lags_seq == [1, 99]
    half = DeepAREstimator(freq="D", prediction_length=2, lags_seq=[1, 99]).adapted_to(data)
    assert (half.lags_seq, half.time_features) == ([1, 99], [day_of_week])
    patches = build("patch_transformer", freq="D").adapted_to(data)
    assert patches.time_features == [day_of_week]
    assert not hasattr(patches, "lags_seq")


class Fixed(DeepAREstimator):
    """A constructor of its own, without the arguments that are adapted."""

    @validated()
    def __init__(self, prediction_length: int) -> None:
        super().__init__(freq="D", prediction_length=prediction_length)


def test_a_subclass_is_adapted_and_written_too() -> None:
    adapted = Fixed(prediction_length=2).adapted_to([series("2023-01-01", 40)])
    assert max(adapted.lags_seq) <= 20
    assert serde.decode(serde.encode(adapted)).prediction_length == 2


def test_an_estimator_around_one_of_ours_is_adapted_and_others_are_not() -> None:
    data = [series("2023-01-01", 40)]
    ours = BayesianEstimator(DeepAREstimator(freq="D", prediction_length=2), "map")
    assert ours.adapted_to(data).estimator.time_features == [day_of_week]
    assert ours.estimator.time_features == DAILY
    theirs = BayesianEstimator(GluontsDeepAREstimator(freq="D", prediction_length=2), "map")
    assert theirs.adapted_to(data) is theirs


def around(bayesian: bool, freq: str = "D", epochs: int = 1, **arguments: object) -> object:
    trainer = {**QUIET, "max_epochs": epochs}
    estimator = DeepAREstimator(
        freq=freq, prediction_length=2, trainer_kwargs=trainer, **TINY, **arguments
    )
    return BayesianEstimator(estimator, "map") if bayesian else estimator


@pytest.mark.parametrize("bayesian", [False, True])
def test_training_that_goes_on_reads_what_the_old_network_reads(bayesian: bool) -> None:
    """However long the new data are; the estimator itself stays as it was."""
    estimator = around(bayesian)
    before = serde.dump_json(estimator)
    first = estimator.train([series("2023-01-01", 40)])
    then = estimator.train_from(first, [series("2019-01-01", 2000)])
    anew = estimator.train([series("2019-01-01", 2000)])

    def network(predictor):
        module = predictor.prediction_net
        return module.network if bayesian else module.model

    for predictor in (first, then):
        assert max(network(predictor).lags_seq) <= 20
        # Day of the week, and the place of the age.
        assert network(predictor).num_feat_dynamic_real == 2
    assert max(network(anew).lags_seq) == 729
    assert network(anew).num_feat_dynamic_real == 4
    assert serde.dump_json(estimator) == before
    (forecast,) = then.predict([series("2023-01-01", 40)])
    assert np.isfinite(forecast.samples).all()


@pytest.mark.parametrize("bayesian", [False, True])
def test_training_does_not_go_on_where_inputs_would_mean_something_else(
    bayesian: bool, tmp_path
) -> None:
    first = around(bayesian).train([series("2023-01-01", 40)])
    hours = [series("2023-01-01", 900, "h")]
    with pytest.raises(ValueError, match="trained on freq='D', and the estimator has freq='h'"):
        around(bayesian, freq="h").train_from(first, hours)
    with pytest.raises(ValueError, match="age_feature=False, and the estimator has age_feature=T"):
        around(bayesian, age_feature=True).train_from(first, [series("2023-01-01", 40)])
    theirs = GluontsDeepAREstimator(
        freq="D",
        prediction_length=2,
        hidden_size=3,
        num_batches_per_epoch=1,
        trainer_kwargs={**QUIET, "max_epochs": 1, "default_root_dir": str(tmp_path)},
    ).train([series("2023-01-01", 40)])
    with pytest.raises(TypeError, match="train_from needs"):
        around(bayesian).train_from(theirs, [series("2023-01-01", 40)])


@pytest.mark.parametrize("bayesian", [False, True])
def test_a_checkpoint_goes_on_with_the_inputs_that_it_has(bayesian: bool, tmp_path) -> None:
    old, grown = [series("2023-01-01", 40)], [series("2023-01-01", 400)]
    path = str(tmp_path / "old.ckpt")
    around(bayesian).train_model(old).trainer.save_checkpoint(path)
    with pytest.raises(ValueError, match=r"Default lags .*adapted_to\(the data of the checkpoint"):
        around(bayesian, epochs=2).train(grown, ckpt_path=path)
    # A posterior's N is part of its state, and cannot grow on the way.
    then = old if bayesian else grown
    predictor = around(bayesian, epochs=2).adapted_to(old).train(then, ckpt_path=path)
    assert np.isfinite(next(iter(predictor.predict(grown))).samples).all()


@pytest.mark.parametrize("bayesian", [False, True])
def test_a_checkpoint_does_not_go_on_with_other_inputs_of_one_size(
    bayesian: bool, tmp_path
) -> None:
    """Without an age a 0 stands in its place, and lags may be others of one number."""
    data = [series("2023-01-01", 40)]
    path = str(tmp_path / "old.ckpt")
    around(bayesian, lags_seq=[1, 2]).train_model(data).trainer.save_checkpoint(path)
    for other, message in (
        ({"lags_seq": [1, 2], "age_feature": True}, "with age_feature=False, and the estimator"),
        ({"lags_seq": [1, 3]}, r"with lags_seq=\[1, 2\], and the estimator has lags_seq=\[1, 3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            around(bayesian, epochs=2, **other).train(data, ckpt_path=path)
    around(bayesian, epochs=2, lags_seq=[1, 2]).train(data, ckpt_path=path)
