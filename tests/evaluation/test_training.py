"""One run of a model: seeded, counted, quiet, and without a trace on the estimator or the disk."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from gluonts.torch import (
    DeepAREstimator,
    SimpleFeedForwardEstimator,
    TemporalFusionTransformerEstimator,
)
from lightning.pytorch import Callback

from tests.evaluation.doubles import Described, Fake, series
from tsbnn.evaluation.naive import SeasonalNaiveGaussian
from tsbnn.evaluation.training import describe, run
from tsbnn.evaluation.windows import RollingWindows


class Remembering(Callback):
    """Counts its batches and keeps what it heard."""

    def __init__(self) -> None:
        self.batches = 0

    def on_train_batch_end(self, *args, **kwargs) -> None:
        self.batches += 1


class Wrapper:
    """An estimator around one of GluonTS, which trains it as it finds it."""

    prediction_length = 5

    def __init__(self, estimator: SimpleFeedForwardEstimator) -> None:
        self.estimator = estimator

    def train(self, training_data):
        return self.estimator.train(training_data)


def windows() -> RollingWindows:
    return RollingWindows.of(series(2), 5, 2, 5)


def feedforward(**trainer_kwargs) -> SimpleFeedForwardEstimator:
    return SimpleFeedForwardEstimator(
        prediction_length=5,
        hidden_dimensions=[4],
        num_batches_per_epoch=3,
        batch_size=4,
        trainer_kwargs={"max_epochs": 2, "accelerator": "cpu", **trainer_kwargs},
    )


def go(estimator, seed=0, report=lambda share: None):
    rolling = windows()
    return run(estimator, rolling.training(), rolling, seed, 10, report)


def test_an_unknown_estimator_is_seeded_from_outside(unchanged_global_random_state):
    first, second, other = (go(Fake(), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.forecasts[0].samples, second.forecasts[0].samples)
    assert (first.forecasts[0].samples != other.forecasts[0].samples).all()
    assert first.gradient_evaluations is None
    assert first.summary == {}


def test_with_seed_and_the_training_summary_are_used():
    found = go(Described(), seed=7)
    assert found.gradient_evaluations == 12
    assert found.summary["num_observations"] == 99
    assert found.forecasts[0].samples.shape == (10, 5)


def test_what_is_not_trained_takes_no_gradients():
    found = go(SeasonalNaiveGaussian(prediction_length=5, season_length=7))
    assert found.gradient_evaluations == 0
    assert found.train_s >= 0
    assert found.predict_s > 0


def test_a_predictor_without_num_samples_is_not_given_it():
    class Old(Fake):
        def predict(self, dataset):
            return super().predict(dataset, num_samples=3)

    assert go(Old()).forecasts[0].samples.shape == (3, 5)


def test_another_horizon_of_the_predictor_is_named():
    with pytest.raises(ValueError, match="forecasts 6 steps, the windows have 5"):
        go(Fake(prediction_length=6))


def test_a_gluonts_estimator_trains_quietly_and_leaves_nothing(
    empty_working_directory, unchanged_global_random_state, capfd, caplog
):
    callback = Remembering()
    estimator = feedforward(callbacks=[callback])
    before = dict(estimator.trainer_kwargs)
    with caplog.at_level(logging.INFO):
        runs = [go(estimator, seed) for seed in (0, 0, 1)]
    assert estimator.trainer_kwargs == before
    assert estimator.trainer_kwargs["callbacks"] == [callback]
    assert callback.batches == 0, "one run's callbacks are not another's"
    assert [r.gradient_evaluations for r in runs] == [6, 6, 6]
    samples = [r.forecasts[0].samples for r in runs]
    np.testing.assert_array_equal(samples[0], samples[1])
    assert (samples[0] != samples[2]).any()
    output = capfd.readouterr()
    assert "Epoch" not in output.out + output.err
    assert not [record for record in caplog.records if record.name.startswith("lightning")]


def test_callbacks_and_a_folder_of_the_users_own_are_used(empty_working_directory, tmp_path: Path):
    seen: list[int] = []

    class Telling(Callback):
        def on_train_end(self, trainer, pl_module) -> None:
            seen.append(trainer.global_step)

    estimator = feedforward(callbacks=[Telling()], default_root_dir=str(tmp_path))
    estimator.trainer_kwargs.pop("callbacks")  # as GluonTS does in train
    go(estimator)
    assert seen == [6]
    assert list(tmp_path.rglob("*.ckpt"))


def test_a_wrapped_gluonts_estimator_reports_its_progress_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the wrapper does not look after its files
    told: list[float] = []
    inner = feedforward(logger=False)
    wrapper = Wrapper(inner)
    found = go(wrapper, report=told.append)
    assert found.gradient_evaluations == 6
    assert wrapper.estimator is inner
    assert "callbacks" not in inner.trainer_kwargs
    assert len(told) > 6


def test_progress_rises_from_0_to_1():
    told: list[float] = []
    go(feedforward(max_steps=4, max_epochs=-1), report=told.append)
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert told == sorted(told)
    assert {0.225, 0.45, 0.675, 0.9} <= {round(share, 6) for share in told}


def test_quantile_heads_are_scored_too(empty_working_directory):
    estimator = TemporalFusionTransformerEstimator(
        freq="D",
        prediction_length=5,
        context_length=7,
        hidden_dim=4,
        num_heads=1,
        variable_dim=4,
        num_batches_per_epoch=1,
        batch_size=4,
        trainer_kwargs={"max_epochs": 1, "accelerator": "cpu"},
    )
    assert go(estimator).forecasts[0].samples.shape == (10, 5)


def test_descriptions():
    deepar = DeepAREstimator(freq="D", prediction_length=5)
    assert describe(deepar) == {"network": "gluonts_deepar", "inference": "adam", "family": "point"}
    assert describe(feedforward())["network"] == "gluonts_simple_feedforward"
    assert describe(Fake())["network"] == "fake"
    assert describe(Described()) == {
        "network": "deepar",
        "inference": "score",
        "family": "mean_field",
    }
    naive = SeasonalNaiveGaussian(prediction_length=5, season_length=7)
    assert describe(naive)["network"] == "seasonal_naive"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DeepAREstimator", "deepar"),
        ("TransformerEstimator", "transformer"),
        ("PatchTransformerEstimator", "patch_transformer"),
        ("Estimator", "estimator"),
    ],
)
def test_classes_are_named_in_snake_case(name, expected):
    assert describe(type(name, (), {})())["network"] == expected
