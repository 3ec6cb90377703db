"""Training ends where the validation loss no longer falls, and the best posterior is kept."""

from __future__ import annotations

import pytest
import torch
from gluonts.core.serde import dump_json, load_json
from lightning.pytorch.callbacks import EarlyStopping

from tsbnn.forecasting import BayesianEstimator
from tsbnn.forecasting.lightning_module import ValidatedLightningModule
from tsbnn.forecasting.seeds import generator
from tsbnn.inference import MAP, ProximalScoreVI

EPOCHS, BATCHES = 30, 3
# Steps so long that they soon destroy the network.
RUINOUS = MAP(learning_rate=5.0, schedule="constant")


def estimator(tiny, method=RUINOUS, epochs=EPOCHS, trainer=None, **options):
    wrapped = tiny("simple_feedforward", trainer_kwargs={"max_epochs": epochs, **(trainer or {})})
    return BayesianEstimator(wrapped, method, **options)


def test_training_stops_and_keeps_the_best(tiny, series) -> None:
    summary = estimator(tiny, stop_after=2).train(series, series).training_summary
    assert summary["steps"] == summary["best_step"] + 2 * BATCHES < EPOCHS * BATCHES
    assert summary["planned_steps"] == EPOCHS * BATCHES
    # The same training, ended by hand where that one had its best posterior.
    epochs = summary["best_step"] // BATCHES
    stopped = estimator(tiny, stop_after=2).train(series, series)
    by_hand = estimator(tiny, epochs=epochs).train(series)
    assert torch.equal(stopped.posterior.mean, by_hand.posterior.mean)


def test_validations_at_an_interval_of_ones_own(tiny, series) -> None:
    trainer = {"check_val_every_n_epoch": 3}
    summary = estimator(tiny, trainer=trainer, stop_after=1).train(series, series).training_summary
    assert summary["best_step"] % (3 * BATCHES) == 0
    assert summary["steps"] == summary["best_step"] + 3 * BATCHES < EPOCHS * BATCHES


def test_no_end_before_there_is_a_posterior(tiny, series) -> None:
    """Nothing is ever better than the first validation, but that is none of a posterior."""
    method = ProximalScoreVI(learning_rate=5.0, schedule="constant")
    output = estimator(tiny, method, stop_after=1).train_model(series, series)
    optimizer = output.trained_net.bayesian_optimizer
    assert optimizer.phase_ends["probe"] > 3 * BATCHES
    summary = output.predictor.training_summary
    assert summary["best_step"] >= optimizer.phase_ends["probe"]
    assert summary["steps"] >= summary["best_step"]


def test_steps_that_do_not_count_are_those_before_a_gain(tiny) -> None:
    network = estimator(tiny).estimator.create_lightning_module().model
    module, other = (
        ValidatedLightningModule(network, MAP(), 100, None, generator(0)) for _ in range(2)
    )
    counts = []
    for each in (module, other):
        each.configure_optimizers()
    for loss in (3.0, 4.0, float("nan"), 2.0, 2.0):
        module._compare(loss)
        counts.append(module._validations_without_gain)
    assert counts == [0, 1, 2, 0, 1]
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    other._compare(2.5)
    assert other._validations_without_gain == 2


def test_a_callback_of_the_users_own(tiny, series) -> None:
    stopping = EarlyStopping("val_loss", patience=2)
    mine = estimator(tiny, trainer={"callbacks": [stopping]}).train(series, series)
    ours = estimator(tiny, stop_after=2).train(series, series)
    assert mine.training_summary["steps"] == ours.training_summary["steps"] < EPOCHS * BATCHES
    assert torch.equal(mine.posterior.mean, ours.posterior.mean)


def test_what_it_needs(tiny, series) -> None:
    with pytest.raises(ValueError, match="stop_after=2 stops by the validation loss"):
        estimator(tiny, stop_after=2).train(series)
    with pytest.raises(ValueError, match="stop_after"):
        estimator(tiny, stop_after=0)
    again = load_json(dump_json(estimator(tiny, stop_after=4)))
    assert again.stop_after == 4
