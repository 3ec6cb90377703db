"""The runner: labels cannot leak, baselines are there, budgets are equal, bad input is named."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.split import split
from gluonts.ev.metrics import ND, MeanWeightedSumQuantileLoss
from gluonts.model.evaluation import evaluate_forecasts
from gluonts.torch import DeepAREstimator

from tests.evaluation.doubles import Cheat, Described, Failing, Fake, series
from tsbnn.evaluation import BacktestError, SeasonalNaiveGaussian, backtest
from tsbnn.evaluation.scores import QUANTILE_LEVELS
from tsbnn.evaluation.windows import RollingWindows

H, W = 5, 3


def tiny_deepar(**settings: Any) -> DeepAREstimator:
    return DeepAREstimator(
        freq="D",
        prediction_length=H,
        context_length=7,
        hidden_size=4,
        num_layers=1,
        lags_seq=[1, 7],
        batch_size=4,
        num_batches_per_epoch=2,
        trainer_kwargs={"max_epochs": 1, "accelerator": "cpu"},
        **settings,
    )


def go(models: dict[str, Any], data: Any = None, **settings: Any):
    arguments = {"prediction_length": H, "windows": W, "season": 7, "baselines": False}
    return backtest(models, series() if data is None else data, **{**arguments, **settings})


def with_noise_for_labels(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(99)
    noisy = []
    for entry in data:
        target = entry["target"].copy()
        target[-H * W :] = rng.normal(1e3, 1e3, H * W)
        noisy.append({**entry, "target": target})
    return noisy


def leaks(models: dict[str, Any]) -> bool:
    """Whether the first window's forecasts know what the labels are; labels change, scores too."""
    true, noisy = (go(models, data) for data in (series(), with_noise_for_labels(series())))
    for name in models:
        assert not np.isclose(
            true.scores[name, 0].value("crps"), noisy.scores[name, 0].value("crps"), rtol=0.1
        )
    return any(
        not np.array_equal(a.samples, b.samples)
        for name in models
        for a, b, window in zip(
            true.forecasts[name, 0], noisy.forecasts[name, 0], true.windows["window"], strict=True
        )
        if window == 0
    )


def test_labels_replaced_by_noise_change_scores_and_no_forecast(empty_working_directory):
    models = {
        "fake": Fake(),
        "cheat": Cheat(),
        "naive": SeasonalNaiveGaussian(prediction_length=H, season_length=7),
        "deepar": tiny_deepar(),
    }
    assert not leaks(models)


def test_later_windows_forget_their_own_labels_too():
    # One window: all labels are its own, and every forecast must stay.
    data = series()
    changed = [{**e, "target": np.r_[e["target"][:-H], np.full(H, 1e3)]} for e in data]
    true, noisy = (
        go({"cheat": Cheat(), "fake": Fake()}, d, windows=1).forecasts for d in (data, changed)
    )
    for cell, forecasts in true.items():
        for a, b in zip(forecasts, noisy[cell], strict=True):
            np.testing.assert_array_equal(a.samples, b.samples)


def test_a_runner_that_forgets_to_truncate_is_caught(monkeypatch):
    def whole(windows: RollingWindows, index: int) -> dict[str, Any]:
        """The window's history with its labels: what a careless runner would pass."""
        entry, start = windows.start(index)
        target = entry["target"][: start + windows.prediction_length]
        return {"item_id": entry["item_id"], "start": entry["start"], "target": target}

    class Backdated(Cheat):
        """Says that its forecast starts at the labels, as if it had not seen them."""

        def predict(self, dataset, num_samples=20):
            for forecast in super().predict(dataset, num_samples):
                forecast.start_date = forecast.start_date - H
                yield forecast

    honest = go({"cheat": Cheat()}).scores["cheat", 0].value("crps")
    assert honest > 0.1
    monkeypatch.setattr(RollingWindows, "__getitem__", whole)
    # Forecasts beyond the end of what was given start too late: that alone is refused.
    with pytest.raises(BacktestError, match=r"window of 2024-02-15: the forecast starts at"):
        go({"cheat": Cheat()})
    # Were they dated back, they would look brilliant, and the noise test finds it.
    brilliant = go({"cheat": Backdated()}).scores["cheat", 0].value("crps")
    assert brilliant == 0.0
    true, noisy = (
        go({"cheat": Backdated()}, d).forecasts["cheat", 0]
        for d in (series(), with_noise_for_labels(series()))
    )
    assert (true[0].samples != noisy[0].samples).any()


def test_models_are_shown_histories_only():
    model = Fake()
    data = series(2, 60, feat_dynamic_real=np.arange(60.0)[None], info={"labels": "secret"})
    go({"fake": model}, data)
    assert [len(entry["target"]) for entry in model.trained[0]] == [45, 45]
    assert [entry["feat_dynamic_real"].shape[-1] for entry in model.trained[0]] == [45, 45]
    assert [len(entry["target"]) for entry in model.shown] == [45, 50, 55] * 2
    assert [entry["feat_dynamic_real"].shape[-1] for entry in model.shown] == [50, 55, 60] * 2
    assert not any("info" in entry for entry in [*model.trained[0], *model.shown])


def test_scores_are_those_of_gluonts_evaluation():
    data = series(freq="h")
    data[1]["target"][-3] = np.nan
    result = go({"fake": Fake()}, data, season=None)
    _, template = split(data, offset=-H * W)
    expected = evaluate_forecasts(
        result.forecasts["fake", 0],
        test_data=template.generate_instances(H, windows=W),
        metrics=[MeanWeightedSumQuantileLoss(QUANTILE_LEVELS), ND()],
    ).iloc[0]
    found = result.aggregate().set_index("metric")["mean"]
    assert found["mean_wql"] == pytest.approx(expected["mean_weighted_sum_quantile_loss"])
    assert found["nd"] == pytest.approx(expected["ND[0.5]"])
    assert result.season == 24


def test_forecasts_entries_labels_and_index_go_together():
    result = go({"fake": Fake()}, stride=2)
    rows = zip(
        result.forecasts["fake", 0],
        result.entries,
        result.labels,
        result.windows.itertuples(),
        strict=True,
    )
    data = {entry["item_id"]: entry["target"] for entry in series()}
    for forecast, entry, labels, window in rows:
        assert forecast.item_id == entry["item_id"] == window.item_id
        assert forecast.start_date == window.start == entry["start"] + len(entry["target"])
        begin = len(entry["target"])
        np.testing.assert_array_equal(labels, data[window.item_id][begin : begin + H])
    assert result.prediction_length == H


def test_baselines_are_always_there_and_train_on_an_equal_budget(
    empty_working_directory, unchanged_global_random_state
):
    result = backtest(
        {"small": Described(evaluations=1), "large": Described(evaluations=3)},
        series(),
        prediction_length=H,
        windows=1,
        season=7,
        num_samples=10,
    )
    assert result.models == ["small", "large", "seasonal_naive", "gluonts_deepar"]
    runs = result.results.drop_duplicates("model").set_index("model")
    assert runs["gradient_evaluations"].tolist() == [1, 3, 0, 3]
    assert runs["network"].tolist() == ["deepar", "deepar", "seasonal_naive", "gluonts_deepar"]
    assert runs["inference"].tolist() == ["score", "score", "none", "adam"]
    assert all(len(f.samples) == 10 for cell in result.forecasts.values() for f in cell)


def test_nothing_is_trained_to_stand_beside_models_that_all_failed(
    empty_working_directory, monkeypatch
):
    # The real one would train on GluonTS's 5,000 batches.
    module = importlib.import_module("tsbnn.evaluation.backtest")
    monkeypatch.setattr(module, "gluonts_deepar", lambda *args: tiny_deepar())
    settings = {"baselines": True, "windows": 1, "on_error": "skip"}
    result = go({"failing": Failing()}, seeds=(1,), **settings)
    assert list(result.failures) == [("failing", 1)]
    assert result.models == ["seasonal_naive"]


def test_a_model_with_a_baselines_name_replaces_it(empty_working_directory):
    result = go({"gluonts_deepar": tiny_deepar()}, baselines=True, windows=1)
    assert result.models == ["gluonts_deepar", "seasonal_naive"]
    assert result.results["gradient_evaluations"].max() == 2
    models = {"seasonal_naive": Fake(spread=9.0), "gluonts_deepar": Fake()}
    alone = go(models, baselines=False, windows=1)
    result = go(models, baselines=True, windows=1)
    assert result.models == ["seasonal_naive", "gluonts_deepar"]
    scores = [one.results.query("metric == 'crps'")["value"].tolist() for one in (result, alone)]
    assert scores[0] == scores[1]


def test_baselines_of_ones_own():
    other = {"wide": Fake(spread=9.0), "fake": Fake(spread=100.0)}
    result = go({"fake": Fake()}, baselines=other)
    assert result.models == ["fake", "wide"]
    assert go({}, baselines=other).models == ["wide", "fake"]


def test_data_that_deepar_does_not_take_are_found_before_training():
    model = Fake()
    data = series(freq="2Q")
    with pytest.raises(ValueError, match=r"DeepAR does not take.*2Q"):
        go({"fake": model}, data, baselines=True)
    assert model.trained == []


def test_seeds_and_estimators_stay_as_they_are(unchanged_global_random_state):
    first, second = (go({"fake": Fake()}, seeds=(0, 1)) for _ in range(2))
    for cell in [("fake", 0), ("fake", 1)]:
        for a, b in zip(first.forecasts[cell], second.forecasts[cell], strict=True):
            np.testing.assert_array_equal(a.samples, b.samples)
    a, b = (first.forecasts["fake", seed][0].samples for seed in (0, 1))
    assert (a != b).all()


def test_training_data_of_ones_own_are_used():
    model = Fake()
    shorter = [{**entry, "target": entry["target"][:30]} for entry in series()]
    go({"fake": model}, training_data=shorter)
    assert [len(entry["target"]) for entry in model.trained[0]] == [30, 30, 30]
    with pytest.raises(ValueError, match="trained on labels"):
        go({"fake": model}, training_data=series())


def test_progress_tells_model_seed_and_fraction():
    told: list[tuple[str, int, float]] = []
    go({"a": Fake(), "b": Fake()}, seeds=(0, 1), progress=lambda *args: told.append(args))
    assert list(dict.fromkeys((model, seed) for model, seed, _ in told)) == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("b", 1),
    ]
    for cell in (("a", 0), ("b", 1)):
        shares = [share for *name, share in told if tuple(name) == cell]
        assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_the_datasets_name_and_frequency_are_taken():
    class Named(list):
        name, freq = "named", "MS"

    result = go({"fake": Fake()}, Named(series(freq="M")), season=None)
    assert (result.dataset, result.freq, result.season) == ("named", "MS", 12)
    assert set(result.results["dataset"]) == {"named"}


def test_partly_missing_labels_and_histories_are_scored():
    data = series(2)
    data[0]["target"][[20, 50, -2]] = np.nan
    data[1]["target"][-H:] = np.nan
    result = go({"naive": SeasonalNaiveGaussian(prediction_length=H, season_length=7)}, data)
    assert np.isnan(result.labels).sum() == 2 + H
    assert result.results["value"].notna().all()


def test_business_days_cause_no_warning_of_ours(recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = series(freq="B")
    result = go({"naive": SeasonalNaiveGaussian(prediction_length=H, season_length=5)}, data)
    assert result.freq == "B"
    assert [(w.filename, w.lineno, str(w.message)) for w in recwarn] == []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"windows": 12}, ValueError, r"'s0' has 60 points.*need 61"),
        ({"seeds": ()}, ValueError, "seeds"),
        ({"seeds": (1, 1)}, ValueError, "seeds"),
        ({"seeds": (-1,)}, ValueError, "seeds"),
        ({"num_samples": 0}, ValueError, "num_samples"),
        ({"season": 0}, ValueError, "season"),
        ({"on_error": "ignore"}, ValueError, "on_error"),
        ({"models": {}}, ValueError, "models is empty"),
        (
            {"models": {"x": Fake(prediction_length=7)}},
            ValueError,
            "'x' has prediction_length=7.*5",
        ),
        ({"models": [Fake()]}, TypeError, "models must be a dict of estimators by name, not list"),
        ({"data": pd.DataFrame({"target": [1.0]})}, TypeError, r"tsbnn\.from_frame makes one"),
        ({"models": {"x": "deepar"}}, TypeError, "'x': str is no GluonTS estimator"),
        ({"seeds": 3}, ValueError, r"seeds must be several, such as \(3,\), not 3"),
        ({"baselines": {"y": Fake(7)}}, ValueError, "'y' has prediction_length=7"),
        ({"data": []}, ValueError, "no series"),
        ({"data": [*series(1), *series(1)]}, ValueError, "item_id 's0'"),
    ],
)
def test_bad_input_is_named_before_anything_is_trained(settings, error, message):
    model = Fake()
    settings = {"models": {"fake": model}, **settings}
    with pytest.raises(error, match=message):
        go(settings.pop("models"), settings.pop("data", None), **settings)
    assert model.trained == []


def test_later_values_of_a_past_covariate_change_no_forecast(empty_working_directory):
    """What is planted at the last window's start or later is nobody's past."""
    from tsbnn.datasets import from_frame
    from tsbnn.forecasting import BayesianEstimator
    from tsbnn.forecasting.catalogue import network

    days = 50
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=days),
            "target": np.sin(np.arange(days)),
            "visitors": np.cos(np.arange(days)),
        }
    )

    def samples(planted: slice) -> list[Any]:
        changed = frame.copy()
        changed.loc[planted, "visitors"] = 1e6
        dataset = from_frame(changed, past_covariates="visitors")
        model = BayesianEstimator(
            network(
                "deepar",
                freq=dataset.freq,
                prediction_length=H,
                num_past_feat_dynamic_real=dataset.num_past_feat_dynamic_real,
                context_length=4,
                hidden_size=4,
            ),
            inference="map",
            gradient_evaluations=2,
        )
        result = go({"model": model}, dataset, windows=2, num_samples=4)
        return [forecast.samples for forecast in result.forecasts["model", 0]]

    clean = samples(slice(days, None))
    for planted in (slice(days - H, None), slice(days - 1, None)):
        np.testing.assert_array_equal(samples(planted), clean)
    seen = samples(slice(days - H - 1, None))  # one step earlier: the last window's past
    np.testing.assert_array_equal(seen[0], clean[0])
    assert (seen[1] != clean[1]).any()
