"""What training says of its posterior: in the progress bar, in the summary, and as a warning."""

from __future__ import annotations

import json
import warnings

import pytest
import torch

import tsbnn
from tests.forecasting.test_lightning_module import step
from tsbnn.forecasting import BayesianEstimator
from tsbnn.forecasting.lightning_module import ValidatedLightningModule
from tsbnn.forecasting.seeds import generator
from tsbnn.inference import ELBOVI, IsotropicPrior, PosteriorWarning, ProximalScoreVI

METHOD = ProximalScoreVI(warm_start=0.0, probe_steps=2)


def test_the_progress_bar_shows_what_was_learnt(tiny, series) -> None:
    output = BayesianEstimator(tiny("simple_feedforward"), METHOD).train_model(series)
    shown = output.trainer.progress_bar_metrics
    summary = output.predictor.training_summary
    assert shown["train_loss"] == pytest.approx(summary["train_loss"])
    found = summary["diagnostics"]
    assert shown["elbo"] == pytest.approx(found["elbo"], rel=1e-5)
    assert shown["learnt_nothing"] == pytest.approx(found["learnt_nothing"], abs=1e-6)
    assert found["num_observations"] == summary["num_observations"]
    point = BayesianEstimator(tiny("simple_feedforward"), "map").train_model(series)
    assert set(point.trainer.progress_bar_metrics) == {"train_loss"}


def test_diagnostics_are_saved_with_the_model(tiny, series, tmp_path) -> None:
    predictor = BayesianEstimator(tiny("simple_feedforward"), METHOD).train(series)
    found = predictor.training_summary["diagnostics"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["warnings"] == []
    tsbnn.save(predictor, tmp_path / "model")
    assert tsbnn.load(tmp_path / "model").training_summary["diagnostics"] == found


def test_a_collapse_is_said_once_and_to_the_caller(tiny, series) -> None:
    """The data count as one observation: nothing can be learnt from it."""
    wrapped = tiny("simple_feedforward", trainer_kwargs={"max_epochs": 30})
    method = METHOD.replace(prior=IsotropicPrior(0.1), learning_rate=2e-2)
    estimator = BayesianEstimator(wrapped, method, num_observations=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predictor = estimator.train(series)
    [warning] = [w for w in caught if issubclass(w.category, PosteriorWarning)]
    assert "collapsed to the prior" in str(warning.message)
    assert "check that N = 1 counts the observations" in str(warning.message)
    assert warning.filename == __file__
    assert predictor.training_summary["diagnostics"]["warnings"] == [str(warning.message)]


def test_an_old_posterior_that_stays_is_no_collapse(tiny, series) -> None:
    wrapped = tiny("simple_feedforward", trainer_kwargs={"max_epochs": 10})
    old = BayesianEstimator(wrapped, METHOD).train(series)
    again = BayesianEstimator(wrapped, METHOD, num_observations=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PosteriorWarning)
        found = again.train_from(old, series).training_summary["diagnostics"]
    assert found["learnt_nothing"] > 0.95
    assert found["prior"] == "centred"


def test_the_elbo_is_that_of_the_posterior_that_is_kept(tiny) -> None:
    network = tiny("simple_feedforward").create_lightning_module().model
    module = ValidatedLightningModule(network, ELBOVI(warm_start=0.0), 100, 10, generator(0))
    optimizer = module.configure_optimizers()
    for number in range(3):
        step(module, number)
    best = optimizer.diagnostics()
    module._compare(1.0)
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    for number in range(3, 6):
        step(module, number)
    module._compare(2.0)
    assert optimizer.diagnostics().elbo != best.elbo
    kept = module.finish().diagnostics()
    assert (kept.elbo, kept.kl, kept.loss) == (best.elbo, best.kl, best.loss)
    other = ValidatedLightningModule(network, ELBOVI(warm_start=0.0), 100, 10, generator(1))
    resumed = other.configure_optimizers()
    resumed.load_state_dict(optimizer.state_dict())
    with torch.no_grad():
        resumed.losses.add(torch.tensor(1e6))
    other.on_load_checkpoint(checkpoint)
    assert other.finish().diagnostics().loss == best.loss
