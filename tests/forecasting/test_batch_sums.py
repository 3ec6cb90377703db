"""A training step's draws in one pass: the same posterior, for every network that can."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.forecasting.draw_cases import deepar, random_weights, transformer
from tests.networks.random_windows import windows
from tsbnn.forecasting import BayesianEstimator
from tsbnn.forecasting import batch_sums as module
from tsbnn.forecasting.batch_sums import choose_for_training, trains_together
from tsbnn.inference import AlphaDivergence, ProximalScoreVI
from tsbnn.networks import PatchTransformer

TOGETHER = [
    "our_deepar",
    "our_transformer",
    "our_patch_transformer",
    "simple_feedforward",
    "patch_tst",
    "tide",
    "d_linear",
    "lag_tst",
    "wavenet",
]


def trained(estimator, series, inference, way: str):
    torch.manual_seed(3)
    bayesian = BayesianEstimator(estimator, inference, draw_evaluation=way)
    output = bayesian.train_model(series)
    return output.trained_net.bayesian_optimizer, output.predictor


@pytest.mark.parametrize("name", [*TOGETHER, "deepar"])
def test_pairs_together_give_the_same_posterior(name, tiny, series) -> None:
    estimator = tiny(name, num_batches_per_epoch=4)
    inference = ProximalScoreVI(warm_start=0.0, probe_steps=2, probe_scale=0.1)
    apart, _ = trained(estimator, series, inference, "loop")
    together, predictor = trained(estimator, series, inference, "batched")
    assert not apart.evaluates_together
    assert together.evaluates_together == (name in TOGETHER)
    assert together.gradient_evaluations == apart.gradient_evaluations == 16
    for key, value in apart.posterior.state_dict().items():
        found = together.posterior.state_dict()[key]
        close = torch.isclose(found, value, rtol=1e-3, atol=1e-5)
        # torch's attention has biases of keys, which no loss depends on: they follow rounding.
        has_key_biases = name in ("patch_tst", "lag_tst")
        assert float(close.float().mean()) >= (0.98 if has_key_biases else 1.0)
    assert len(list(predictor.predict(series))) == 3


def test_all_draws_of_alpha_together(tiny, series) -> None:
    inference = AlphaDivergence(warm_start=0.0, initial_scale=0.1, num_draws=6)
    estimator = tiny("our_patch_transformer")
    apart, _ = trained(estimator, series, inference, "loop")
    # With more than two draws this network is batched by choice.
    together, _ = trained(estimator, series, inference, "auto")
    assert together.evaluates_together
    assert not apart.evaluates_together
    torch.testing.assert_close(together.posterior.mean, apart.posterior.mean, rtol=1e-3, atol=1e-5)


def test_gradients_that_may_be_clipped_take_the_loop(tiny, series) -> None:
    optimizer, _ = trained(tiny("simple_feedforward"), series, "ensemble", "batched")
    assert not optimizer.evaluates_together


def test_a_random_loss_takes_the_loop() -> None:
    """No trial can say that both ways agree."""
    network = PatchTransformer(5, 4, dropout_rate=0.5)
    found = []
    for rate in (0.5, 0.0):
        for part in network.modules():
            if isinstance(part, nn.Dropout):
                part.p = rate
        weights = random_weights(network, 1)[0]
        found.append(trains_together(network, weights, windows(network), 2, "batched"))
    assert found == [False, True]


def test_what_is_chosen_without_a_word(tiny) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    direct = tiny("simple_feedforward").create_lightning_module().model
    own = tiny("our_patch_transformer").create_lightning_module().model
    recurrent: list[nn.Module] = [deepar(), tiny("deepar").create_lightning_module().model]
    for network in (direct, own):
        assert choose_for_training(network, cpu, 2, 1000) == "loop"
        assert choose_for_training(network, cpu, 4, 1000) == "batched"
        assert choose_for_training(network, cpu, 4, 10_000_000) == "loop"
        assert choose_for_training(network, cuda, 2, 1000) == "batched"
    for network in recurrent:
        assert choose_for_training(network, cpu, 8, 1000) == "loop"
        assert choose_for_training(network, cuda, 2, 1000) == "loop"
    assert choose_for_training(transformer(), cpu, 8, 1000) == "loop"
    assert choose_for_training(transformer(), cuda, 2, 1000) == "batched"


def test_no_trial_where_the_loop_is_chosen(tiny, series, monkeypatch) -> None:
    def refuse(*_):
        raise AssertionError("a trial")

    monkeypatch.setattr(module, "ways_agree", refuse)
    optimizer, _ = trained(tiny("our_transformer"), series, "score", "auto")
    assert not optimizer.evaluates_together
    # One draw a step: there is nothing to put together.
    optimizer, _ = trained(tiny("our_transformer"), series, "elbo", "batched")
    assert not optimizer.evaluates_together
