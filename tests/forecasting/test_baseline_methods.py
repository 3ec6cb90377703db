"""Ensemble, MC dropout, SWAG and Laplace through the estimator; the last pass of the latter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tsbnn
from tsbnn.forecasting import BayesianEstimator
from tsbnn.forecasting.lightning_module import BayesianLightningModule, ValidatedLightningModule
from tsbnn.forecasting.seeds import generator
from tsbnn.forecasting.training import _again_and_again
from tsbnn.inference import Laplace
from tsbnn.inference.posteriors import DropoutPosterior, LowRankGaussian, SampleSet

SETTINGS = {
    "ensemble": {"num_members": 3},
    "mc_dropout": {},
    "swag": {"rank": 2},
    "laplace": {"last_pass": 7},
}
DRAWS = {"ensemble": 3, "mc_dropout": 4, "swag": 4, "laplace": 4}
EVALUATIONS = {"ensemble": 18, "mc_dropout": 6, "swag": 6, "laplace": 13}


def paths(predictor, data):
    return np.stack([forecast.samples for forecast in predictor.predict(data)])


@pytest.mark.usefixtures("empty_working_directory", "unchanged_global_random_state")
@pytest.mark.parametrize("validated", [False, True], ids=["plain", "validated"])
@pytest.mark.parametrize("name", SETTINGS)
def test_train_predict_save_and_load(name, validated, tiny, series, tmp_path) -> None:
    predictor, again = (
        BayesianEstimator(
            tiny("deepar"), name, num_draws=4, num_samples=12, inference_kwargs=SETTINGS[name]
        ).train(series, series if validated else None)
        for _ in range(2)
    )
    forecasts = list(predictor.predict(series))
    for forecast in forecasts:
        assert np.isfinite(forecast.samples).all()
        assert np.unique(forecast.draw_index).size == DRAWS[name]
        assert np.isfinite(forecast.epistemic_variance).all()
    draws = predictor.posterior.sample(DRAWS[name], torch.Generator().manual_seed(0))
    assert len(torch.unique(draws, dim=0)) == DRAWS[name]
    assert predictor.training_summary["gradient_evaluations"] == EVALUATIONS[name]
    np.testing.assert_array_equal(paths(again, series), paths(predictor, series))
    tsbnn.save(predictor, tmp_path / "model")
    loaded = tsbnn.load(tmp_path / "model")
    np.testing.assert_array_equal(paths(loaded, series), paths(predictor, series))


def test_families(tiny, series) -> None:
    kinds = {"ensemble": SampleSet, "mc_dropout": DropoutPosterior, "swag": LowRankGaussian}
    for name, kind in kinds.items():
        estimator = BayesianEstimator(
            tiny("simple_feedforward"), name, inference_kwargs=SETTINGS[name]
        )
        assert isinstance(estimator.train(series).posterior, kind)


@pytest.mark.parametrize("name", ["ensemble", "mc_dropout", "swag"])
def test_methods_without_a_score_may_clip_their_gradients(name, tiny, series) -> None:
    clipped = tiny("simple_feedforward", {"gradient_clip_val": 1e-9})
    before, after = (
        BayesianEstimator(e, name, inference_kwargs=SETTINGS[name]).train(series).posterior.mean
        for e in (tiny("simple_feedforward"), clipped)
    )
    assert not torch.equal(before, after)


def test_laplace_refuses_clipping_and_a_budget_below_its_last_pass(tiny, series) -> None:
    clipped = BayesianEstimator(tiny("simple_feedforward", {"gradient_clip_val": 1.0}), "laplace")
    with pytest.raises(ValueError, match=r"gradient_clip_val=1\.0 under inference='laplace'"):
        clipped.train(series)
    with pytest.raises(ValueError, match=r"gradient_evaluations=200 is less than .* give it 201"):
        BayesianEstimator(tiny("simple_feedforward"), "laplace", gradient_evaluations=200)
    unlimited = tiny("simple_feedforward", {"max_epochs": None})
    estimator = BayesianEstimator(unlimited, "laplace", gradient_evaluations=204)
    summary = estimator.train(series).training_summary
    assert (summary["steps"], summary["gradient_evaluations"]) == (4, 204)


def batch(number: int) -> dict[str, torch.Tensor]:
    """Windows that hold 2 or 4 observed points each, by turns."""
    source = torch.Generator().manual_seed(number)
    observed = torch.ones(4, 4)
    observed[:, 2:] = float(number % 2)
    return {
        "past_target": torch.randn(4, 8, generator=source),
        "future_target": torch.randn(4, 4, generator=source),
        "future_observed_values": observed,
    }


def trained(cls, tiny, count: int):
    network = tiny("simple_feedforward").create_lightning_module().model
    module = cls(network, Laplace(last_pass=count), 320, None, generator(0))
    optimizer = module.configure_optimizers()
    for number in range(6):
        module.on_train_batch_start(batch(number), number)

        def closure(number: int = number):
            optimizer.zero_grad()
            loss = module.training_step(batch(number), number)
            loss.backward()
            return loss

        optimizer.step(closure)
    return module


def test_the_fisher_is_that_of_the_batches_sums_of_losses(tiny) -> None:
    module = trained(BayesianLightningModule, tiny, 20)
    module.network.eval()
    points = float(module.expected_points)
    assert points == 12.0
    optimizer = module.finish(map(batch, range(100)))
    assert optimizer.gradient_evaluations == 26
    assert float(module.expected_points) == points, "the last pass is divided by the same number"
    gradients = []
    for number in range(20):
        optimizer.zero_grad()
        total = module.training_step(batch(number), number) * module.expected_points
        total.backward()
        gradients.append(torch.cat([p.grad.reshape(-1) for p in module.network.parameters()]))
    # N observations in all, a batch has 12 on average, and its gradient is a sum over them.
    fisher = 320 / 12 * torch.stack(gradients).double().var(0)
    precision = optimizer.posterior.precision.double().clone()
    optimizer.prior.add_precision_(precision, -1.0)
    torch.testing.assert_close(precision, fisher, rtol=1e-3, atol=1e-3)


def test_a_last_pass_is_made_at_the_best_validated_mean(tiny) -> None:
    module = trained(ValidatedLightningModule, tiny, 10)
    module._compare(1.0)
    best = module.bayesian_optimizer.posterior.mean.clone()
    module.bayesian_optimizer.step(lambda: _loss(module))
    module._compare(2.0)
    optimizer = module.finish(map(batch, range(10)))
    assert module.best_step == 6
    assert torch.equal(optimizer.posterior.mean, best)
    assert bool((optimizer.posterior.variance > 0).all())
    here = trained(BayesianLightningModule, tiny, 10)
    for own, theirs in zip(here.network.parameters(), module.network.parameters(), strict=True):
        with torch.no_grad():
            own.copy_(theirs)
    expected = here.finish(map(batch, range(10))).posterior.variance
    torch.testing.assert_close(optimizer.posterior.variance, expected)


def _loss(module) -> torch.Tensor:
    module.bayesian_optimizer.zero_grad()
    loss = module.training_step(batch(6), 6)
    loss.backward()
    return loss


def test_a_loader_is_read_until_an_epoch_is_empty() -> None:
    epochs = iter([[1, 2], [3], [], [4]])

    class Loader:
        def __iter__(self):
            return iter(next(epochs))

    assert list(_again_and_again(Loader())) == [1, 2, 3]
