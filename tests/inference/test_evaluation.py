"""One call of the closure for several weight vectors does what one call for each does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.inference.memory import LiveStorages
from tests.inference.scenarios import Weights, gather
from tests.inference.test_method import ALL_PHASES, NAMES, batches, built, method, optimizer_of
from tsbnn.inference import BayesianOptimizer, ProximalScoreVI, evaluate_at
from tsbnn.inference.blocks import WEIGHTS_PER_THREAD

# The components of a mixture are evaluated one after the other, the pairs of each together.
SEVERAL = [n for n in NAMES if method(n).evaluations_per_step > 1 and n != "elbo/mixture"]
SEVERAL += [f"{name} antithetic" for name in ("elbo", "elbo/low_rank", "elbo/mixture")]


def inference_of(name: str):
    name, *antithetic = name.split()
    settings = ALL_PHASES.get(name, {}) | ({"antithetic": True} if antithetic else {})
    return method(name, **settings)


def closures(
    optimizer: BayesianOptimizer, module: nn.Module, inputs: Tensor, labels: Tensor
) -> Callable[[], Tensor]:
    """Make a closure that evaluates draws together where there are any, and counts its calls."""

    def loss_of(module: nn.Module) -> Tensor:
        return 0.5 * functional.mse_loss(module(inputs), labels)

    def closure() -> Tensor:
        optimizer.calls = getattr(optimizer, "calls", 0) + 1
        optimizer.zero_grad()
        if optimizer.draws is None:
            loss = loss_of(module)
        else:
            loss = optimizer.mean_of(evaluate_at(module, optimizer.draws, loss_of))
        loss.backward()
        return loss

    return closure


def run(name: str, together: bool, steps: int = 24, kind: str = "linear") -> BayesianOptimizer:
    module = built(kind, torch.float64)
    optimizer = optimizer_of(inference_of(name), module, steps=steps)
    optimizer.evaluates_together = together
    losses = []
    for inputs, labels in batches(steps, torch.float64):
        losses.append(optimizer.step(closures(optimizer, module, inputs, labels)))
    optimizer.seen = torch.stack(losses)
    assert torch.equal(gather(module), optimizer.resting_weights)
    assert optimizer.draws is None
    return optimizer


@pytest.mark.parametrize("name", SEVERAL)
def test_draws_together_give_the_same_posterior(name: str) -> None:
    apart, together = run(name, False), run(name, True)
    assert together.gradient_evaluations == apart.gradient_evaluations
    assert apart.calls == apart.gradient_evaluations
    assert 24 <= together.calls < apart.calls
    torch.testing.assert_close(together.seen, apart.seen, rtol=1e-6, atol=1e-8)
    for key, value in apart.posterior.state_dict().items():
        torch.testing.assert_close(
            together.posterior.state_dict()[key], value, rtol=1e-5, atol=1e-7
        )


def test_a_pair_is_one_call() -> None:
    optimizer = run("score", True)
    warm = optimizer.phase_ends["warm_start"]
    assert optimizer.calls == 24
    assert optimizer.gradient_evaluations == warm + 2 * (24 - warm) == 42


def test_attention_and_autocast_go_together() -> None:
    module = built("attention")
    optimizer = optimizer_of(ProximalScoreVI(learning_rate=2e-2), module, steps=100)
    optimizer.evaluates_together = True
    losses = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for inputs, labels in batches(100):
            losses.append(float(optimizer.step(closures(optimizer, module, inputs, labels))))
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


@pytest.mark.parametrize("name", ["score", "alpha", "ensemble"])
def test_a_loss_that_is_not_finite_leaves_all_as_it_was(name: str) -> None:
    module = built()
    optimizer = optimizer_of(method(name), module)
    optimizer.evaluates_together = True
    (inputs, labels), *_ = batches(1)
    optimizer.step(closures(optimizer, module, inputs, labels))
    before = {k: v.clone() for k, v in optimizer.posterior.state_dict().items()}
    with pytest.raises(FloatingPointError, match=r"the loss is not finite after .*loss nan"):
        optimizer.step(closures(optimizer, module, inputs * torch.nan, labels))
    for key, value in optimizer.posterior.state_dict().items():
        assert torch.equal(value, before[key])
    assert torch.equal(gather(module), optimizer.resting_weights)
    assert optimizer.draws is None
    optimizer.step(closures(optimizer, module, inputs, labels))


def test_a_closure_that_forgets_its_draws_is_told() -> None:
    module = built()
    optimizer = optimizer_of(ProximalScoreVI(), module)
    optimizer.evaluates_together = True
    (inputs, labels), *_ = batches(1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(module(inputs), labels)
        loss.backward()
        return loss

    with pytest.raises(ValueError, match=r"did not differentiate optimizer\.mean_of"):
        optimizer.step(closure)
    with pytest.raises(ValueError, match=r"losses have shape \(2,\), there are 0 draws"):
        optimizer.mean_of(torch.zeros(2))
    optimizer.evaluates_together = False
    optimizer.step(closure)


def test_an_error_inside_the_closure_ends_the_draws() -> None:
    optimizer = optimizer_of(ProximalScoreVI(), built())
    optimizer.evaluates_together = True

    def closure() -> Tensor:
        assert optimizer.draws.shape == (2, 16)
        raise KeyError

    with pytest.raises(KeyError):
        optimizer.step(closure)
    assert optimizer.draws is None


def test_a_pair_together_takes_its_draws_and_gradients_only() -> None:
    size = 4 * WEIGHTS_PER_THREAD * torch.get_num_threads()
    module = Weights(size)
    optimizer = ProximalScoreVI(probe_steps=1).optimizer(module, num_observations=100)
    optimizer.evaluates_together = True

    def closure() -> Tensor:
        # The gradient is made in one go: nothing else of this size is allocated here.
        optimizer.draws.grad = optimizer.draws.detach().clone()
        return optimizer.mean_of(torch.zeros(2))

    for _ in range(3):
        with LiveStorages(size * 4) as storages:
            optimizer.step(closure)
        assert storages.peak_bytes == 4 * size * 4
