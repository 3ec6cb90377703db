"""On their own our estimators are deterministic GluonTS estimators, without GluonTS's traps."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from gluonts.core.serde import decode, dump_json, encode, load_json
from gluonts.dataset.common import ListDataset
from gluonts.evaluation import make_evaluation_predictions
from gluonts.model import SampleForecast
from gluonts.model.estimator import IncrementallyTrainable
from gluonts.model.predictor import Predictor
from gluonts.torch.distributions import NegativeBinomialOutput
from gluonts.transform.sampler import UniformSplitSampler
from lightning.pytorch.callbacks import Callback, EarlyStopping

from tests.conftest import global_random_state
from tsbnn import BayesianEstimator, DeepAREstimator, TransformerEstimator, backtest
from tsbnn.forecasting import window_losses
from tsbnn.foreign.random_state import RandomStream


class Counter(Callback):
    """Counts trainings, and remembers the loss of each epoch and the random state at the start."""

    def __init__(self) -> None:
        self.starts = 0
        self.states = []

    def on_train_start(self, trainer, pl_module) -> None:
        self.starts += 1
        self.states.append(global_random_state()["torch"])


def paths(predictor, data, seed=0, **options):
    with RandomStream(seed).active():
        return np.stack([forecast.samples for forecast in predictor.predict(data, **options)])


def weights(predictor):
    return predictor.prediction_net.model.state_dict()


@pytest.mark.usefixtures("empty_working_directory")
def test_train_predict_and_serde(name, build, series, tmp_path) -> None:
    estimator = build(name)
    assert isinstance(estimator, IncrementallyTrainable)
    predictor = estimator.train(series, shuffle_buffer_length=5)
    forecasts = list(predictor.predict(series))
    for forecast, entry in zip(forecasts, series, strict=True):
        assert type(forecast) is SampleForecast
        assert forecast.item_id == entry["item_id"]
        assert forecast.info == entry["info"]
        assert forecast.start_date == entry["start"] + len(entry["target"])
        assert forecast.samples.shape == (10, 4)
        assert np.isfinite(forecast.samples).all()
    assert paths(predictor, series, num_samples=23).shape == (3, 23, 4)
    predictor.serialize(tmp_path)
    again = Predictor.deserialize(tmp_path)
    assert again == predictor
    np.testing.assert_array_equal(paths(again, series), paths(predictor, series))


def test_the_global_seed_decides(name, build, series) -> None:
    def result(seed):
        with RandomStream(seed).active():
            return paths(build(name).train(series), series)

    np.testing.assert_array_equal(result(1), result(1))
    assert not np.array_equal(result(1), result(2))


@pytest.mark.usefixtures("empty_working_directory")
def test_a_second_training_keeps_its_callbacks(name, build, series) -> None:
    counter = Counter()
    estimator = build(name, trainer_kwargs={"callbacks": [counter]})
    for _ in range(2):
        estimator.train(series)
    assert counter.starts == 2
    assert estimator.trainer_kwargs["callbacks"] == [counter]


def test_a_model_summary_draws_no_random_numbers(name, build, series, capfd) -> None:
    states = []
    for shown in (False, True):
        counter = Counter()
        estimator = build(
            name, trainer_kwargs={"callbacks": [counter], "enable_model_summary": shown}
        )
        with RandomStream(5).active():
            estimator.train(series)
        states += counter.states
    assert states[0] == states[1]
    assert "Trainable params" in capfd.readouterr().out


@pytest.mark.usefixtures("empty_working_directory")
def test_files_land_in_the_folder_that_is_named(build, series, tmp_path) -> None:
    root = {"default_root_dir": str(tmp_path)}
    estimator = build("deepar", trainer_kwargs={**root, "max_epochs": 1})
    first = estimator.train_model(series)
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [checkpoint]
    longer = build("deepar", trainer_kwargs={**root, "max_epochs": 3})
    second = longer.train_model(series, ckpt_path=str(checkpoint))
    assert (first.trainer.global_step, second.trainer.global_step) == (3, 9)


def val_loss(estimator, predictor, data) -> float:
    """Loss per observed point over the windows of validation, by hand."""
    module = predictor.prediction_net.eval()
    data = estimator.create_transformation().apply(data, is_train=True)
    with torch.no_grad():
        losses = [
            window_losses(module.model, batch)
            for batch in estimator.create_validation_data_loader(data, module)
        ]
    return float(sum(loss.total.sum() for loss in losses)) / float(
        sum(loss.observed.sum() for loss in losses)
    )


def test_validation_keeps_the_best_weights(name, build, series) -> None:
    """The steps are so long that they destroy the network: the best weights are early ones."""
    estimator = build(name, lr=3.0, trainer_kwargs={"max_epochs": 4}).adapted_to(series)
    with RandomStream(0).active():
        output = estimator.train_model(series, series)
    logged = float(output.trainer.callback_metrics["val_loss"])
    with RandomStream(0).active():
        last = estimator.train(series)
    assert val_loss(estimator, last, series) == pytest.approx(logged, rel=1e-5)
    kept = val_loss(estimator, output.predictor, series)
    assert kept == pytest.approx(output.trained_net.restore_best(), rel=1e-5)
    assert kept < logged


def test_validation_windows_are_the_same_every_time(build, series) -> None:
    """With a random sampler too: a network that does not learn has one validation loss."""

    seen = []

    class Losses(Callback):
        def on_validation_end(self, trainer, pl_module) -> None:
            if not trainer.sanity_checking:
                seen.append(float(trainer.callback_metrics["val_loss"]))

    estimator = build(
        "deepar",
        lr=1e-12,
        dropout_rate=0.0,
        validation_sampler=UniformSplitSampler(p=0.3, min_future=4),
        trainer_kwargs={"callbacks": [Losses()], "max_epochs": 3},
    )
    estimator.train(series, series)
    assert len(seen) == 3
    assert max(seen) - min(seen) < 1e-5


def test_early_stopping_and_the_learning_rate_follow_the_loss(build, series) -> None:
    stopping = EarlyStopping("val_loss", patience=1, min_delta=1e6)
    estimator = build("deepar", trainer_kwargs={"callbacks": [stopping], "max_epochs": 50})
    assert estimator.train_model(series, series).trainer.current_epoch == 2
    still = build("deepar", lr=1e-6, patience=0, trainer_kwargs={"max_epochs": 8})
    for validation in (series, None):
        with RandomStream(0).active():
            trainer = still.train_model(series, validation).trainer
        assert trainer.optimizers[0].param_groups[0]["lr"] < 1e-6


def test_training_from_an_earlier_predictor(name, build, series) -> None:
    old = build(name).train(series)
    still = build(name, lr=1e-12, trainer_kwargs={"max_epochs": 1})
    new = still.train_from(old, series)
    for before, after in zip(weights(old).values(), weights(new).values(), strict=True):
        torch.testing.assert_close(before, after)
    other = {"hidden_size": 5} if name == "deepar" else {"dim_feedforward": 5}
    with pytest.raises(ValueError, match="is not the estimator's"):
        build(name, **other).train_from(old, series)
    with pytest.raises(TypeError, match="needs a predictor of an estimator like this one"):
        build(name).train_from(BayesianEstimator(build(name), "map").train(series), series)


def test_serde_and_hyperparameters(name, build) -> None:
    estimator = build(name, scaling="std", dropout_rate=0.2, num_feat_dynamic_real=2)
    for again in (load_json(dump_json(estimator)), decode(encode(estimator))):
        assert dump_json(again) == dump_json(estimator)
        assert again.scaling == "std"
        assert type(again) is type(estimator)
    head = NegativeBinomialOutput()
    built = type(estimator).from_hyperparameters(
        freq="D", prediction_length=3, distr_output=head, scaling=True
    )
    assert (built.prediction_length, built.distr_output, built.scaling) == (3, head, "mean")
    assert "freq='D'" in repr(built)
    assert copy.deepcopy(estimator).dropout_rate == 0.2


def test_numbers_of_features_come_from_the_data(name, build) -> None:
    data = ListDataset(
        [
            {
                "start": "2021-01-01",
                "target": np.arange(20.0),
                "feat_dynamic_real": np.ones((3, 20)),
                "past_feat_dynamic_real": np.ones((2, 20)),
                "feat_static_cat": [category, 1],
                "feat_static_real": [0.5],
            }
            for category in (0, 4)
        ],
        freq="h",
    )
    cls = type(build(name))
    fields = cls.derive_auto_fields(data)
    assert fields == {
        "num_feat_dynamic_real": 3,
        "num_past_feat_dynamic_real": 2,
        "num_feat_static_cat": 2,
        "num_feat_static_real": 1,
        "cardinality": [5, 2],
    }
    estimator = cls.from_inputs(data, freq="h", prediction_length=2, num_feat_dynamic_real=0)
    assert (estimator.num_feat_dynamic_real, estimator.cardinality) == (0, [5, 2])
    bare = ListDataset([{"start": "2021-01-01", "target": np.arange(20.0)}], freq="h")
    assert cls.from_inputs(bare, freq="h", prediction_length=2).cardinality == [1]


def test_gluonts_evaluates_them(name, build, series) -> None:
    predictor = build(name).train(series)
    forecasts, labels = make_evaluation_predictions(series, predictor, num_samples=12)
    assert [forecast.samples.shape for forecast in forecasts] == [(12, 4)] * 3
    assert len(list(labels)) == 3


@pytest.mark.usefixtures("empty_working_directory", "unchanged_global_random_state")
def test_a_backtest_names_them_and_counts_their_gradients(name, build, series) -> None:
    result = backtest(
        {"mine": build(name)}, series, prediction_length=4, windows=1, baselines=False
    ).results
    row = result.iloc[0]
    assert (row.network, row.inference, row.family) == (name, "adam", "point")
    assert row.gradient_evaluations == 6


def test_no_window_to_train_on_is_said(name, build) -> None:
    short = ListDataset([{"start": "2021-01-01", "target": np.arange(3.0)}], freq="h")
    for cached in (True, False):
        with pytest.raises(ValueError, match=r"training_data.* 4 "):
            build(name).train(short, cache_data=cached)
    gaps = ListDataset([{"start": "2021-01-01", "target": np.full(30, np.nan)}], freq="h")
    with pytest.raises(ValueError, match="hold no observed target"):
        build(name).train(gaps)
    with pytest.raises(TypeError, match="training_data must be a GluonTS dataset"):
        build(name).train(7)


def test_defaults_are_gluonts_own() -> None:
    """Names and defaults of GluonTS's DeepAREstimator, past covariates beside them."""
    import inspect

    from gluonts.torch import DeepAREstimator as GluontsDeepAR

    def defaults(cls):
        parameters = inspect.signature(cls.__init__).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}

    theirs, ours = defaults(GluontsDeepAR), defaults(DeepAREstimator)
    assert repr(ours.pop("distr_output")) == repr(theirs.pop("distr_output"))
    assert (ours.pop("scaling"), theirs.pop("scaling")) == ("mean", True)
    assert ours.pop("num_past_feat_dynamic_real") == 0
    assert ours.pop("age_feature") is False
    assert ours == theirs
    transformer = defaults(TransformerEstimator)
    sizes = {"d_model": 32, "nhead": 4, "num_layers": 2, "dim_feedforward": 128}
    assert sizes.items() <= transformer.items()
    assert ours.keys() - transformer.keys() == {"hidden_size"}


def test_training_accepts_a_path_free_trainer(build, series, tmp_path) -> None:
    """A logger of the user's own writes where it was told."""
    from lightning.pytorch.loggers import CSVLogger

    build("deepar", trainer_kwargs={"logger": CSVLogger(tmp_path)}).train(series)
    (metrics,) = tmp_path.rglob("metrics.csv")
    assert "train_loss" in Path(metrics).read_text(encoding="utf-8")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_gpu(name, build, series, tmp_path) -> None:
    estimator = build(name, trainer_kwargs={"accelerator": "gpu"})
    predictor = estimator.train(series, series)
    assert next(predictor.prediction_net.parameters()).device.type == "cuda"
    assert np.isfinite(paths(predictor, series)).all()
    assert np.isfinite(paths(estimator.train_from(predictor, series), series)).all()
    predictor.serialize(tmp_path)
    again = type(predictor).deserialize(tmp_path, "cpu")
    assert np.isfinite(paths(again, series)).all()
    bayesian = BayesianEstimator(estimator, num_draws=2, num_samples=4).train(series)
    assert np.isfinite(paths(bayesian, series)).all()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_callers_gradient_mode_does_not_matter(mode, build, series) -> None:
    with mode():
        predictor = build("deepar").train(series)
        assert len(list(predictor.predict(series))) == len(series)
