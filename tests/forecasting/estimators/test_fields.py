"""Heads, gaps, scales, features, contexts, frequencies and cold starts: what series may be like."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from gluonts.dataset.common import ListDataset
from gluonts.torch.distributions import (
    BetaOutput,
    GammaOutput,
    LaplaceOutput,
    NegativeBinomialOutput,
    NormalOutput,
    PoissonOutput,
    SplicedBinnedParetoOutput,
    StudentTOutput,
)

from tsbnn import BayesianEstimator
from tsbnn.datasets.frequencies import parse_frequency
from tsbnn.forecasting import window_losses
from tsbnn.foreign.random_state import RandomStream

# A head, whether it may be scaled, and what its series are made of.
HEADS: dict[str, tuple[Any, bool, Any]] = {
    "student_t": (StudentTOutput(), True, np.sin),
    "normal": (NormalOutput(), True, np.sin),
    "laplace": (LaplaceOutput(), True, np.sin),
    "gamma": (GammaOutput(), True, lambda t: 1.5 + np.sin(t)),
    "beta": (BetaOutput(), False, lambda t: 0.5 + 0.4 * np.sin(t)),
    "poisson": (PoissonOutput(), False, lambda t: np.round(3 + 2 * np.sin(t))),
    "negative_binomial": (NegativeBinomialOutput(), True, lambda t: np.round(3 + 2 * np.sin(t))),
    "spliced_binned_pareto": (
        SplicedBinnedParetoOutput(
            bins_lower_bound=-3.0,
            bins_upper_bound=3.0,
            num_bins=10,
            tail_percentile_gen_pareto=0.05,
        ),
        False,
        np.sin,
    ),
}


def dataset(*targets, freq="h", **fields) -> ListDataset:
    entries = [{"start": "2021-01-01", "target": target, **fields} for target in targets]
    return ListDataset(entries, freq=freq)


def wave(length: int, level: float = 10.0) -> np.ndarray:
    return level + np.sin(np.arange(length) / 3)


def paths(predictor, data):
    with RandomStream(0).active():
        return np.stack([forecast.samples for forecast in predictor.predict(data)])


def trained(estimator, data, **options):
    with RandomStream(0).active():
        return estimator.train(data, **options)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_with_a_density(name, head, build) -> None:
    distr_output, is_scaled, law = HEADS[head]
    target = law(np.arange(40) / 3)
    target[30:33] = np.nan
    data = dataset(target, target[:3])
    estimator = build(
        name, distr_output=distr_output, scaling=is_scaled, trainer_kwargs={"max_epochs": 1}
    )
    samples = paths(trained(estimator, data), data)
    assert np.isfinite(samples).all()
    if head in ("gamma", "beta", "poisson", "negative_binomial"):
        assert (samples >= 0).all()
    if head == "beta":
        assert (samples <= 1).all()
    if name == "deepar":
        bayesian = BayesianEstimator(estimator, num_draws=2, num_samples=4)
        assert np.isfinite(paths(bayesian.train(data), data)).all()


@pytest.mark.parametrize("scaling", ["mean", "std", None, True, False])
def test_scalings(name, scaling, build) -> None:
    level = 0.0 if scaling in (None, False) else 1e6
    data = dataset(wave(60, level), wave(40, level))
    estimator = build(name, scaling=scaling, num_parallel_samples=100)
    samples = paths(trained(estimator, data), data)
    assert np.isfinite(samples).all()
    if scaling == "std":
        # Relative to the mean the waves are tiny; standardised they are not.
        assert np.median(np.abs(samples - level)) < 30
    assert estimator.scaling == {True: "mean", False: None}.get(scaling, scaling)


def test_missing_values_count_for_nothing(name, build) -> None:
    """What stands in a gap reaches no loss, and a series that ends in a gap has a forecast."""
    target = wave(60)
    target[[20, 21, 57, 58, 59]] = np.nan
    data = dataset(target, np.full(30, np.nan), wave(50))
    predictor = trained(build(name), data)
    assert np.isfinite(paths(predictor, data)).all()
    module = predictor.prediction_net.eval()
    estimator = build(name).adapted_to(data)
    transformed = estimator.create_transformation().apply(data, is_train=True)
    (batch,) = estimator.create_validation_data_loader(transformed, module)
    with torch.no_grad():
        before = window_losses(module.model, batch)
        gaps = batch["future_observed_values"] == 0
        batch["future_target"] = torch.where(gaps, 1e6, batch["future_target"])
        if name == "patch_transformer":
            after = window_losses(module.model, batch).total
            torch.testing.assert_close(after, before.total)
    assert before.observed[1] == 0
    assert before.total[1] == 0
    assert (before.observed[[0, 2]] > 0).all()


def features(length: int, category: int = 0, number: float = 0.5, extra: int = 0) -> dict[str, Any]:
    return {
        "start": "2021-01-01",
        "target": wave(length),
        "feat_static_cat": [category, 1],
        "feat_static_real": [number],
        "feat_dynamic_real": np.ones((2, length + extra)),
        "past_feat_dynamic_real": np.ones((3, length)),
    }


ALL_FEATURES = {
    "num_feat_dynamic_real": 2,
    "num_past_feat_dynamic_real": 3,
    "num_feat_static_real": 1,
    "num_feat_static_cat": 2,
    "cardinality": [2, 2],
}


@pytest.mark.parametrize("wrap", [False, True], ids=["alone", "bayesian"])
def test_every_feature_reaches_the_forecast(name, wrap, build) -> None:
    estimator = build(name, **ALL_FEATURES)
    if wrap:
        estimator = BayesianEstimator(estimator, "map", num_samples=5)
    rows = [features(60), features(40, 1, -0.5)]
    predictor = trained(estimator, ListDataset(rows, freq="h"))

    def forecast(**changes) -> np.ndarray:
        return paths(predictor, ListDataset([features(40, extra=4) | changes], freq="h"))

    as_is = forecast()
    assert np.isfinite(as_is).all()
    np.testing.assert_array_equal(as_is, forecast())
    future, past = np.ones((2, 44)), np.ones((3, 40))
    future[:, 42:], past[:, 38:] = 3.0, 3.0
    for changes in (
        {"feat_static_cat": [1, 1]},
        {"feat_static_real": [2.0]},
        {"feat_dynamic_real": future},
        {"past_feat_dynamic_real": past},
    ):
        changed = forecast(**changes)
        assert not np.array_equal(changed, as_is), changes
        if "feat_dynamic_real" in changes and name != "patch_transformer":
            # Step by step: what is known of the third step cannot change the first two.
            np.testing.assert_array_equal(changed[..., :2], as_is[..., :2])


def test_past_covariates_end_with_the_past(name, build) -> None:
    """In training too the network sees none of them inside the horizon."""
    estimator = build(name, num_past_feat_dynamic_real=1)
    row = {"start": "2021-01-01", "target": wave(40)}
    module = estimator.create_lightning_module().eval()

    def loss(changed: int) -> float:
        past = np.ones((1, 40))
        past[:, changed] = 7.0
        data = ListDataset([row | {"past_feat_dynamic_real": past}], freq="h")
        transformed = estimator.create_transformation().apply(data, is_train=True)
        (batch,) = estimator.create_validation_data_loader(transformed, module)
        with torch.no_grad():
            return float(window_losses(module.model, batch).total.sum())

    # The last window forecasts the points 36 to 39.
    assert {loss(39), loss(38), loss(37), loss(36)} == {loss(39)}
    assert loss(35) != loss(39)


def test_unused_features_are_left_alone(name, build) -> None:
    data = ListDataset([features(60)], freq="h")
    assert np.isfinite(paths(trained(build(name), data), data)).all()


def test_nonnegative_paths(name, build) -> None:
    data = dataset(wave(60, 0.0))
    for estimator in (
        build(name, nonnegative_pred_samples=True),
        BayesianEstimator(build(name, nonnegative_pred_samples=True), num_draws=2, num_samples=20),
    ):
        samples = paths(trained(estimator, data), data)
        assert samples.min() == 0


@pytest.mark.parametrize("context_length", [1, 7, 500])
def test_any_context_length(name, context_length, build) -> None:
    data = dataset(wave(60), wave(9))
    estimator = build(name, context_length=context_length, trainer_kwargs={"max_epochs": 1})
    assert np.isfinite(paths(trained(estimator, data), data)).all()


@pytest.mark.parametrize("wrap", [False, True], ids=["alone", "bayesian"])
def test_cold_starts(name, wrap, build) -> None:
    """Series without a past, or without a value in it, stand beside others in one batch."""
    cold = [np.zeros(0), np.ones(1), np.full(1, np.nan), np.full(50, np.nan)]
    estimator = build(name)
    if wrap:
        estimator = BayesianEstimator(estimator, num_draws=2, num_samples=4)
    predictor = trained(estimator, dataset(wave(60), *cold, wave(40)))
    samples = paths(predictor, dataset(*cold, wave(40)))
    assert samples.shape[0] == 5
    assert np.isfinite(samples).all()
    for target in cold:
        assert np.isfinite(paths(predictor, dataset(target))).all()


def test_series_shorter_than_the_lags(build) -> None:
    data = dataset(wave(30), wave(8))
    for name in ("deepar", "transformer"):
        estimator = build(name, lags_seq=None)
        assert max(estimator.lags_seq) > 100
        assert np.isfinite(paths(trained(estimator, data), data)).all()


@pytest.mark.parametrize(
    "freq", ["s", "min", "15min", "h", "2h", "D", "B", "W-SUN", "2W-MON", "M", "6M", "Q-DEC", "A"]
)
def test_every_frequency(freq, build) -> None:
    """The grids of tsbnn.datasets, by the alias of the installed pandas that these give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        start = pd.Period("2021-01-04", freq=freq)
        data = [{"start": start, "target": wave(30)}]
        alias = parse_frequency(freq)[0].alias
        estimator = build("deepar", freq=alias, lags_seq=None, trainer_kwargs={"max_epochs": 1})
        (forecast,) = trained(estimator, data).predict(data)
        assert forecast.start_date == start + 30
    assert np.isfinite(forecast.samples).all()
    assert build("patch_transformer", freq=freq).time_features == estimator.time_features
