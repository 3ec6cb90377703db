"""Training: what GluonTS promises of its estimators holds for Bayesian ones, for every network."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from gluonts.core.serde import dump_json, load_json
from gluonts.dataset.common import ListDataset
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split
from gluonts.ev.metrics import MSE, MeanWeightedSumQuantileLoss
from gluonts.evaluation import Evaluator, make_evaluation_predictions
from gluonts.model import evaluate_model
from gluonts.model.estimator import IncrementallyTrainable
from gluonts.model.predictor import Predictor
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.nn.utils import parameters_to_vector

from tsbnn.forecasting import (
    BayesianEstimator,
    BayesianForecast,
    BayesianPredictor,
    load,
    save,
    window_losses,
)
from tsbnn.foreign.random_state import RandomStream
from tsbnn.inference import (
    MAP,
    CentredPrior,
    IsotropicPrior,
    PosteriorWarning,
    ProximalScoreVI,
)

NETWORKS = ["deepar", "simple_feedforward", "patch_tst", "tft", "wavenet", "tide", "d_linear"]


class Counter(Callback):
    def __init__(self) -> None:
        self.starts = 0

    def on_train_start(self, trainer, pl_module) -> None:
        self.starts += 1


def paths(predictor, data, **options):
    return np.stack([forecast.samples for forecast in predictor.predict(data, **options)])


@pytest.mark.usefixtures("empty_working_directory", "unchanged_global_random_state")
@pytest.mark.parametrize("inference", ["score", "map"])
@pytest.mark.parametrize("name", NETWORKS)
def test_train_predict_and_serde(name, inference, tiny, series, tmp_path) -> None:
    validation = series if inference == "score" else None
    estimator = BayesianEstimator(tiny(name), inference, num_draws=4, num_samples=10)
    predictor = estimator.train(series, validation, shuffle_buffer_length=5)
    assert isinstance(predictor, BayesianPredictor)
    forecasts = list(predictor.predict(series))
    for forecast, entry in zip(forecasts, series, strict=True):
        assert isinstance(forecast, BayesianForecast)
        assert forecast.item_id == entry["item_id"]
        assert forecast.info == entry["info"]
        assert forecast.start_date == entry["start"] + len(entry["target"])
        assert forecast.samples.shape == (10, 4)
        assert np.isfinite(forecast.samples).all()
        assert np.isfinite(forecast.epistemic_std).all()
        assert np.isfinite(forecast.quantile(0.9)).all()
    predictor.serialize(tmp_path)
    again = Predictor.deserialize(tmp_path)
    assert again == predictor
    np.testing.assert_array_equal(paths(again, series), paths(predictor, series))
    for before, after in zip(
        predictor.posterior.state_dict().values(),
        again.posterior.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(before, after)


def test_multivariate_targets(tiny, multivariate) -> None:
    estimator = BayesianEstimator(tiny("i_transformer"), num_draws=4, num_samples=10)
    forecast = next(iter(estimator.train(multivariate).predict(multivariate)))
    assert forecast.samples.shape == (10, 4, 2)
    assert forecast.epistemic_variance.shape == (4, 2)
    positive = BayesianEstimator(
        tiny("i_transformer", nonnegative_pred_samples=True), num_draws=4, num_samples=10
    )
    forecast = next(iter(positive.train(multivariate).predict(multivariate)))
    assert (forecast.samples >= 0).all()
    assert forecast.draw_mean is None


@pytest.mark.parametrize("name", ["deepar", "tft", "wavenet", "tide", "patch_tst"])
def test_static_and_dynamic_features(name, tiny) -> None:
    def data(extra: int) -> ListDataset:
        return ListDataset(
            [
                {
                    "start": "2021-01-01",
                    "target": np.sin(np.arange(length)),
                    "feat_static_cat": [number, 1],
                    "feat_static_real": [42.0],
                    "feat_dynamic_real": np.ones((3, length + extra)),
                }
                for number, length in enumerate([60, 40])
            ],
            freq="h",
        )

    features = {
        "num_feat_dynamic_real": 3,
        "num_feat_static_real": 1,
        "num_feat_static_cat": 2,
        "cardinality": [2, 2],
    }
    if name == "tft":
        features = {"dynamic_dims": [3], "static_dims": [1], "static_cardinalities": [2, 2]}
    if name == "patch_tst":
        features = {"num_feat_dynamic_real": 3}
    estimator = BayesianEstimator(tiny(name, **features), num_draws=2, num_samples=4)
    predictor = estimator.train(data(0), data(0))
    assert np.isfinite(paths(predictor, data(4))).all()


@pytest.mark.usefixtures("empty_working_directory", "unchanged_global_random_state")
def test_a_seed_decides_everything_and_displays_nothing(tiny, series) -> None:
    def result(seed, noise, **trainer):
        with RandomStream(noise).active():
            estimator = BayesianEstimator(
                tiny("deepar", trainer_kwargs=trainer), num_draws=3, num_samples=6, seed=seed
            )
            predictor = estimator.train(series, shuffle_buffer_length=4)
            return predictor.posterior.mean, paths(predictor, series), predictor

    mean, samples, _ = result(1, noise=10)
    shown = {"enable_progress_bar": True, "enable_model_summary": True}
    for other in (result(1, noise=11), result(1, noise=12, **shown)):
        assert torch.equal(mean, other[0])
        np.testing.assert_array_equal(samples, other[1])
    assert not torch.equal(mean, result(2, noise=10)[0])
    fresh = result(None, noise=10)[2].training_summary["seed"]
    assert fresh != result(None, noise=10)[2].training_summary["seed"]
    assert torch.equal(result(fresh, noise=1)[0], result(fresh, noise=2)[0])


def test_serde_of_the_estimator(tiny) -> None:
    method = ProximalScoreVI(temperature=0.5, prior=IsotropicPrior(2.0))
    estimator = BayesianEstimator(tiny("deepar"), method, seed=3, num_draws=7)
    again = load_json(dump_json(estimator))
    assert dump_json(again) == dump_json(estimator)
    assert again.inference == method
    assert (again.seed, again.num_draws) == (3, 7)
    assert "BayesianEstimator(" in repr(again)


def test_inference_by_name_by_object_and_by_description(tiny) -> None:
    build = partial(BayesianEstimator.from_hyperparameters, estimator=tiny("deepar"))
    assert build(inference="map").inference == MAP()
    assert build(inference="score", inference_kwargs={"temperature": 2.0}).inference == (
        ProximalScoreVI(temperature=2.0)
    )
    assert build(inference=MAP().to_dict()).inference == MAP()
    with pytest.raises(ValueError, match="unknown inference method 'magic'"):
        build(inference="magic")
    with pytest.raises(TypeError, match="inference must be"):
        build(inference=3)
    with pytest.raises(ValueError, match="num_draws=0: expected a whole number"):
        build(num_draws=0)
    with pytest.raises(ValueError, match="seed must lie in"):
        build(seed=-1)
    with pytest.raises(ValueError, match="seed must lie in"):
        build().with_seed(-1)


def test_description_and_seeds(tiny) -> None:
    names = {name: BayesianEstimator(tiny(name)).describe()["network"] for name in NETWORKS}
    assert names == {name: f"gluonts_{name}" for name in NETWORKS}
    estimator = BayesianEstimator(tiny("deepar", num_parallel_samples=30), "elbo", seed=1)
    assert estimator.describe() == {
        "network": "gluonts_deepar",
        "inference": "elbo",
        "family": "mean_field",
    }
    other = estimator.with_seed(5)
    assert (other.seed, estimator.seed, other.num_samples) == (5, 1, 30)
    assert other.inference == estimator.inference
    assert dump_json(load_json(dump_json(other))) == dump_json(other)
    assert load_json(dump_json(other)).seed == 5


def test_the_summary_says_what_training_did(tiny, series) -> None:
    estimator = BayesianEstimator(
        tiny("deepar"), inference_kwargs={"temperature": 0.5}, seed=4, num_draws=2
    )
    summary = estimator.train(series).training_summary
    assert summary["gradient_evaluations"] == estimator.inference.evaluations(6)
    assert summary["steps"] == summary["planned_steps"] == 6
    assert summary["num_observations"] == 173
    assert summary["temperature"] == 0.5
    assert (summary["inference"], summary["seed"]) == ("score", 4)
    assert summary["wall_s"] > 0
    assert np.isfinite(summary["train_loss"])
    trace = summary["trace"]
    assert np.isfinite(trace["loss"]).all()
    assert len(trace["loss"]) == len(trace["gradient_evaluations"]) >= 1
    assert np.diff([0, *trace["gradient_evaluations"]]).min() > 0
    assert trace["gradient_evaluations"][-1] == summary["gradient_evaluations"]
    assert trace["loss"][-1] == summary["train_loss"]
    assert load_json(dump_json(summary)) == summary
    override = BayesianEstimator(tiny("deepar"), num_observations=7).train(series)
    assert override.training_summary["num_observations"] == 7


@pytest.mark.parametrize("inference", ["score", "elbo", "map"])
def test_equal_budgets(inference, tiny, series) -> None:
    wrapped = tiny("simple_feedforward")
    wrapped.__init_args__["trainer_kwargs"].pop("max_epochs")
    estimator = BayesianEstimator(wrapped, inference, gradient_evaluations=20)
    summary = estimator.train(series, series).training_summary
    assert summary["gradient_evaluations"] in (19, 20)
    assert summary["steps"] == estimator.inference.steps_within(20)
    assert summary["best_step"] <= summary["steps"]


@pytest.mark.usefixtures("empty_working_directory")
def test_a_budget_shows_its_epochs_and_is_spent_across_checkpoints(
    tiny, series, tmp_path, capfd
) -> None:
    def train(budget, ckpt_path=None):
        shown = {"default_root_dir": str(tmp_path), "enable_progress_bar": True}
        wrapped = tiny("simple_feedforward", trainer_kwargs=shown)
        wrapped.__init_args__["trainer_kwargs"].pop("max_epochs")
        estimator = BayesianEstimator(wrapped, "map", gradient_evaluations=budget)
        return estimator.train(series, ckpt_path=ckpt_path).training_summary["steps"]

    # Epochs have three batches: the fourth of the first training is cut short.
    assert train(10) == 10
    assert "Epoch 3/3" in capfd.readouterr().out
    assert train(20, str(tmp_path / "checkpoints" / "last.ckpt")) == 20


@pytest.mark.usefixtures("empty_working_directory")
def test_a_second_training_keeps_its_callbacks(tiny, series) -> None:
    counter = Counter()
    estimator = BayesianEstimator(tiny("deepar", trainer_kwargs={"callbacks": [counter]}), "map")
    for _ in range(2):
        estimator.train(series)
    assert counter.starts == 2
    assert estimator.estimator.trainer_kwargs["callbacks"] == [counter]


@pytest.mark.usefixtures("empty_working_directory")
def test_going_on_from_a_checkpoint(tiny, series, tmp_path) -> None:
    def train(epochs, ckpt_path=None, **trainer):
        kwargs = {"max_epochs": epochs, "default_root_dir": str(tmp_path), **trainer}
        estimator = BayesianEstimator(tiny("deepar", trainer_kwargs=kwargs))
        return estimator.train_model(series, series, ckpt_path=ckpt_path)

    first = train(2)
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    assert checkpoint.is_file()
    second = train(4, ckpt_path=str(checkpoint))
    assert second.predictor.training_summary["steps"] == 12
    # The second run goes on in pairs: it does not fall back into the warm start of a longer one.
    evaluations = [
        run.predictor.training_summary["gradient_evaluations"] for run in (first, second)
    ]
    assert evaluations == [9, 9 + 2 * 6]
    traces = [run.predictor.training_summary["trace"] for run in (first, second)]
    assert traces[1]["gradient_evaluations"] == [*traces[0]["gradient_evaluations"], 15, 21]
    assert traces[1]["loss"][:2] == traces[0]["loss"]
    assert second.trained_net.best_val_loss <= first.trained_net.best_val_loss
    mine = ModelCheckpoint(tmp_path / "mine", every_n_epochs=1)
    train(1, callbacks=[mine])
    assert Path(mine.best_model_path).is_file()


def test_validation_keeps_the_best_posterior(tiny, series) -> None:
    """The steps are so long that they destroy the network: the best posterior is an early one."""
    method = MAP(learning_rate=5.0, schedule="constant")
    wrapped = tiny("simple_feedforward", trainer_kwargs={"max_epochs": 4})
    output = BayesianEstimator(wrapped, method).train_model(series, series)
    summary = output.predictor.training_summary
    assert summary["best_step"] < summary["steps"] == 12
    with RandomStream(1).active():
        module = wrapped.create_lightning_module()
    batches = wrapped.create_validation_data_loader(
        output.transformation.apply(series, is_train=True), module
    )
    network = output.predictor.prediction_net.network
    with torch.no_grad():
        losses = [window_losses(network, batch) for batch in batches]
    kept = sum(loss.total.sum() for loss in losses) / sum(loss.observed.sum() for loss in losses)
    assert float(kept) == pytest.approx(summary["val_loss"], rel=1e-5)
    last = BayesianEstimator(wrapped, method).train(series)
    assert last.training_summary["val_loss"] is None
    assert not torch.equal(last.posterior.mean, output.predictor.posterior.mean)


def test_early_stopping_follows_the_validation_loss(tiny, series) -> None:
    stopping = EarlyStopping("val_loss", patience=1, min_delta=1e6)
    wrapped = tiny("d_linear", trainer_kwargs={"max_epochs": 50, "callbacks": [stopping]})
    with pytest.warns(PosteriorWarning, match="score has ended after 6 steps, in its warm start"):
        predictor = BayesianEstimator(wrapped).train(series, series)
    assert predictor.training_summary["steps"] == 6


def test_training_from_an_earlier_posterior(tiny, series) -> None:
    estimator = BayesianEstimator(tiny("deepar"))
    assert isinstance(estimator, IncrementallyTrainable)
    old = estimator.train(series)
    # No steps to speak of: what comes out shows where it started.
    still = BayesianEstimator(
        tiny("deepar", trainer_kwargs={"max_epochs": 1}, num_batches_per_epoch=1),
        inference_kwargs={"learning_rate": 1e-9},
    )
    output = still.train_model(series, from_predictor=old)
    torch.testing.assert_close(output.predictor.posterior.mean, old.posterior.mean)
    prior = output.trained_net.method.prior
    assert isinstance(prior, CentredPrior)
    torch.testing.assert_close(prior.scale, old.posterior.variance.sqrt())
    new = estimator.train_from(old, series, series)
    assert np.isfinite(paths(new, series)).all()
    point = BayesianEstimator(tiny("deepar"), "map").train(series)
    assert np.isfinite(paths(estimator.train_from(point, series), series)).all()
    with pytest.raises(ValueError, match="DeepARModel is not the estimator's SimpleFeedForward"):
        BayesianEstimator(tiny("simple_feedforward")).train_from(old, series)
    with pytest.raises(ValueError, match="param_proj"):
        BayesianEstimator(tiny("deepar", hidden_size=5)).train_from(old, series)
    with pytest.raises(TypeError, match="needs the predictor of a BayesianEstimator"):
        estimator.train_from(object(), series)


@pytest.mark.parametrize("name", ["mc_dropout", "swag", "ensemble"])
def test_a_spread_that_is_no_posterior_becomes_no_prior(tiny, series, name: str) -> None:
    wrapped = tiny("simple_feedforward")
    old = BayesianEstimator(wrapped, name).train(series)
    assert bool((old.posterior.variance > 0).any())
    estimator = BayesianEstimator(
        wrapped, "map", inference_kwargs={"prior": IsotropicPrior(0.5), "learning_rate": 1e-9}
    )
    prior = estimator.train_model(series, from_predictor=old).trained_net.method.prior
    network = old.prediction_net.network
    torch.testing.assert_close(prior.mean, parameters_to_vector(network.parameters()).detach())
    torch.testing.assert_close(prior.scale, torch.full_like(prior.scale, 0.5))


def test_a_continued_training_follows_bayes_rule(tiny, series) -> None:
    wrapped = tiny("simple_feedforward")
    few = {"num_observations": 10, "inference_kwargs": {"temperature": "auto"}}
    old = BayesianEstimator(wrapped, **few).train(series)
    assert old.training_summary["temperature"] < 1
    new = BayesianEstimator(wrapped, **few).train_from(old, series)
    assert new.training_summary["temperature"] == 1


def test_tempering_twice_is_said_to_the_caller(tiny, series) -> None:
    wrapped = tiny("simple_feedforward")
    cold = BayesianEstimator(wrapped, inference_kwargs={"temperature": 0.5})
    old = cold.train(series)
    with pytest.warns(
        UserWarning, match="temperature 0.5 .* tempered twice.* count 4-fold"
    ) as seen:
        cold.train_from(old, series)
    [warning] = [one for one in seen if "tempered twice" in str(one.message)]
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*tempered twice")
        BayesianEstimator(wrapped).train_from(old, series)
        cold.train_from(BayesianEstimator(wrapped).train(series), series)


def test_gluonts_evaluates_it(tiny, series) -> None:
    predictor = BayesianEstimator(tiny("deepar"), num_draws=4, num_samples=20).train(series)
    forecasts, labels = make_evaluation_predictions(series, predictor, num_samples=12)
    forecasts = list(forecasts)
    assert {forecast.num_samples for forecast in forecasts} == {12}
    metrics, _ = Evaluator(num_workers=0)(labels, forecasts)
    assert np.isfinite(metrics["mean_wQuantileLoss"])
    _, template = split(series, offset=-8)
    table = evaluate_model(
        predictor,
        test_data=template.generate_instances(4, windows=2),
        metrics=[MSE(), MeanWeightedSumQuantileLoss([0.1, 0.5, 0.9])],
        axis=None,
    )
    assert np.isfinite(table.to_numpy(float)).all()


def test_cached_data_and_short_series(tiny) -> None:
    lengths = [1, 3, 9, 60]
    data = ListDataset(
        [{"start": "2021-01-01", "target": np.arange(1.0, n + 1)} for n in lengths], freq="h"
    )
    predictor = BayesianEstimator(tiny("deepar"), num_draws=2).train(data, cache_data=True)
    assert np.isfinite(paths(predictor, data)).all()
    assert list(predictor.predict(ListDataset([], freq="h"))) == []


def test_double_precision_training_gives_a_predictor_that_keeps_its_values(
    tiny, series, tmp_path
) -> None:
    wrapped = tiny("simple_feedforward", trainer_kwargs={"precision": "64-true"})
    predictor = BayesianEstimator(wrapped, num_draws=2).train(series)
    predictor.serialize(tmp_path)
    again = Predictor.deserialize(tmp_path)
    np.testing.assert_array_equal(paths(again, series), paths(predictor, series))


def test_bf16_autocast(tiny, series) -> None:
    wrapped = tiny("patch_tst", trainer_kwargs={"precision": "bf16-mixed"})
    assert np.isfinite(paths(BayesianEstimator(wrapped).train(series), series)).all()


@pytest.mark.parametrize("name", ["simple_feedforward", "patch_tst", "d_linear", "our_deepar"])
def test_every_network_reads_float64(name, tiny) -> None:
    stamps = pd.date_range("2024-01-01", periods=40, freq="h")
    frame = pd.DataFrame({"target": np.sin(np.arange(40.0))}, index=stamps)
    data = PandasDataset(frame, target="target")
    predictor = BayesianEstimator(tiny(name), num_draws=2).train(data)
    (forecast,) = predictor.predict(data)
    assert np.isfinite(forecast.samples).all()


def test_misspelt_arguments_of_training_are_told(tiny, series) -> None:
    for estimator in (tiny("our_deepar"), BayesianEstimator(tiny("our_deepar"))):
        with pytest.raises(TypeError, match="training has no such arguments: cache_dta"):
            estimator.train(series, cache_dta=False)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("inference", ["score", "laplace", "map"])
def test_a_callers_gradient_mode_does_not_matter(mode, inference, tiny, series, tmp_path) -> None:
    settings = {"num_draws": 2, "num_samples": 4}
    estimator = BayesianEstimator(tiny("our_deepar"), inference, **settings)
    before = paths(estimator.train(series, series), series)
    with mode():
        predictor = estimator.train(series, series)
        assert np.array_equal(paths(predictor, series), before)
        save(predictor, tmp_path / "model")
        again = load(tmp_path / "model", device="cpu")
        assert np.array_equal(paths(again, series), before)
        estimator.train_from(again, series)
    for one in (predictor, again):
        assert np.array_equal(paths(one, series), before)
        estimator.train_from(one, series)
