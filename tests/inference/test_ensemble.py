"""Deep ensembles: members are separate MAP runs, and the posterior is their equal mixture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.inference.scenarios import gather
from tsbnn.inference import MAP, Ensemble, InferenceMethod, IsotropicPrior, weights_at
from tsbnn.inference.optimizer import BayesianOptimizer


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def batches(count: int) -> list[Tensor]:
    return list(torch.randn(count, 16, 3, generator=torch.Generator().manual_seed(1)))


def built(inference: InferenceMethod, module: nn.Module) -> BayesianOptimizer:
    generator = torch.Generator().manual_seed(2)
    return inference.optimizer(module, num_observations=100, total_steps=60, generator=generator)


def closure_of(optimizer: BayesianOptimizer, module: nn.Module, data: Tensor) -> Callable:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(module(data), data.prod(-1, keepdim=True))
        loss.backward()
        return loss

    return closure


def trained(inference: InferenceMethod, module: nn.Module, steps: int = 60) -> BayesianOptimizer:
    optimizer = built(inference, module)
    for data in batches(steps):
        optimizer.step(closure_of(optimizer, module, data))
    return optimizer


def test_members_are_separate_runs_of_map(unchanged_global_random_state: None) -> None:
    settings = {"prior": IsotropicPrior(0.5), "learning_rate": 0.02}
    module = network()
    starts = built(Ensemble(num_members=3, **settings), network()).posterior.samples.clone()
    assert torch.equal(starts[0], gather(module))
    optimizer = trained(Ensemble(num_members=3, **settings), module)
    assert optimizer.gradient_evaluations == 180 == optimizer.method.evaluations(60)
    for start, member in zip(starts, optimizer.posterior.samples, strict=True):
        alone = network()
        with torch.no_grad(), weights_at(alone, start):
            state = {name: value.clone() for name, value in alone.state_dict().items()}
        alone.load_state_dict(state)
        alone_optimizer = trained(MAP(**settings), alone)
        assert torch.equal(member, alone_optimizer.posterior.mean)
        assert float((member - start).abs().max()) > 0.1


def test_the_posterior_is_the_equal_mixture_of_the_members() -> None:
    optimizer = trained(Ensemble(num_members=4), network(), steps=5)
    posterior, members = optimizer.posterior, optimizer.posterior.samples
    assert posterior.num_atoms == 4
    drawn = posterior.sample(8, torch.Generator().manual_seed(0))
    times = (drawn[:, None] == members).all(-1).sum(0)
    assert times.tolist() == [2, 2, 2, 2]
    four = posterior.sample(4, torch.Generator().manual_seed(0))
    assert (four[:, None] == members).all(-1).sum(0).tolist() == [1, 1, 1, 1]
    torch.testing.assert_close(posterior.mean, members.mean(0))
    torch.testing.assert_close(posterior.variance, members.var(0, unbiased=False))
    # Initialisations of torch's linear layers lie within 1/sqrt(fan_in).
    assert float(posterior.variance[:24].mean().sqrt()) == pytest.approx(1 / 3, rel=0.3)


def test_the_module_rests_at_member_0_and_gives_it_new_weights() -> None:
    module = network()
    optimizer = trained(Ensemble(num_members=2, learning_rate=1e-9), module, steps=2)
    assert torch.equal(gather(module), optimizer.posterior.samples[0])
    other = optimizer.posterior.samples[1].clone()
    module.load_state_dict({k: torch.ones_like(v) for k, v in module.state_dict().items()})
    optimizer.step(closure_of(optimizer, module, batches(1)[0]))
    torch.testing.assert_close(gather(module), torch.ones(41))
    torch.testing.assert_close(optimizer.posterior.samples[1], other)
    torch.testing.assert_close(optimizer.posterior.mean, 0.5 * (1.0 + other))


def test_one_member_without_a_finite_loss_keeps_all_from_moving() -> None:
    module = network()
    optimizer = built(Ensemble(num_members=3), module)
    before = optimizer.posterior.samples.clone()
    data = batches(1)[0]
    calls: list[int] = []

    def closure() -> Tensor:
        calls.append(1)
        loss = closure_of(optimizer, module, data)()
        return loss * torch.nan if len(calls) == 3 else loss

    with pytest.raises(FloatingPointError, match="not finite after 3 gradient evaluations"):
        optimizer.step(closure)
    assert torch.equal(optimizer.posterior.samples, before)
    assert torch.equal(gather(module), before[0])


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"num_members must be an integer of at least 2 .*, not 1"):
        Ensemble(num_members=1)
    normed = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with pytest.raises(
        ValueError, match=r"'1' is a BatchNorm1d.* all members .* their own with MAP"
    ):
        built(Ensemble(), normed)
