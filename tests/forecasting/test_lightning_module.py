"""Which posterior is kept: the best of those validated, the last one otherwise."""

from __future__ import annotations

import pytest
import torch

from tsbnn.forecasting.lightning_module import BayesianLightningModule, ValidatedLightningModule
from tsbnn.forecasting.seeds import generator
from tsbnn.inference import MAP, ProximalScoreVI


def started(cls, tiny):
    network = tiny("simple_feedforward").create_lightning_module().model
    module = cls(network, MAP(), 100, None, generator(0))
    module.configure_optimizers()
    return module


def batch(number: int) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(number)
    return {
        "past_target": torch.randn(4, 8, generator=source),
        "future_target": torch.randn(4, 4, generator=source),
        "future_observed_values": torch.ones(4, 4),
    }


def step(module, number: int) -> None:
    def closure():
        module.bayesian_optimizer.zero_grad()
        loss = module.training_step(batch(number), number)
        loss.backward()
        return loss

    module.on_train_batch_start(batch(number), number)
    module.bayesian_optimizer.step(closure)


def test_nothing_to_finish_before_training(tiny) -> None:
    network = tiny("simple_feedforward").create_lightning_module().model
    module = BayesianLightningModule(network, MAP(), 100, None, generator(0))
    with pytest.raises(ValueError, match=r"call trainer\.fit first"):
        module.finish()


def test_the_best_validated_posterior_is_kept(tiny) -> None:
    module = started(ValidatedLightningModule, tiny)
    means = []
    for number, loss in enumerate([3.0, float("nan"), 1.0, 2.0]):
        step(module, number)
        means.append(module.bayesian_optimizer.posterior.mean.clone())
        module._compare(loss)
    optimizer = module.finish()
    assert torch.equal(optimizer.posterior.mean, means[2])
    assert (module.best_val_loss, module.best_step) == (1.0, 3)
    weights = torch.cat([p.detach().reshape(-1) for p in module.network.parameters()])
    assert torch.equal(weights, means[2])


def test_not_a_number_never_wins(tiny) -> None:
    module = started(ValidatedLightningModule, tiny)
    for number, loss in enumerate([float("nan"), 5.0, float("nan")]):
        step(module, number)
        module._compare(loss)
    assert (module.best_val_loss, module.best_step) == (5.0, 2)


def test_what_is_no_posterior_yet_is_not_kept(tiny) -> None:
    network = tiny("simple_feedforward").create_lightning_module().model
    module = ValidatedLightningModule(network, ProximalScoreVI(), 100, 40, generator(0))
    module.configure_optimizers()
    for number in range(30):
        step(module, number)
        module._compare(float(number))
    first = module.bayesian_optimizer.phase_ends["probe"]
    assert 0 < first < 30
    assert module.best_step == first


def test_the_last_posterior_is_validated_if_it_was_not(tiny) -> None:
    module = started(ValidatedLightningModule, tiny)
    step(module, 0)
    module._compare(1e9)
    step(module, 1)
    module.validate_last([batch(7)])
    assert module.best_step == 2
    calls = []
    module.validate_last(iter(lambda: calls.append(1), None))
    assert calls == [], "validated already"


def test_a_checkpoint_holds_the_best_posterior(tiny) -> None:
    module, other = (started(ValidatedLightningModule, tiny) for _ in range(2))
    step(module, 0)
    module._compare(2.0)
    best = module.bayesian_optimizer.posterior.mean.clone()
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    other._compare(3.0)
    assert torch.equal(other.finish().posterior.mean, best)
