"""What all chains share: burn-in, thinning, bounded memory, restarts, deterministic weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.inference.chains.targets import STANDARD
from tests.inference.scenarios import Weights
from tsbnn.inference import SGHMC, SGLD
from tsbnn.inference.chains.base import SGMCMC, ChainOptimizer

N = 100


def chain(
    method: SGMCMC, total_steps: int | None = None, num_weights: int = 3
) -> tuple[Weights, ChainOptimizer]:
    module = Weights(num_weights)
    optimizer = method.optimizer(
        module,
        num_observations=N,
        total_steps=total_steps,
        generator=torch.Generator().manual_seed(0),
    )
    return module, optimizer


def walk(module: Weights, optimizer: ChainOptimizer, steps: int) -> list[Tensor]:
    """Take steps on a quadratic loss around 1; return the chain's positions."""
    positions = []
    for _ in range(steps):

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = 0.5 * (module.weights - 1.0).square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        positions.append(optimizer._vectors["position"].clone())
    return positions


METHOD = SGLD(prior=STANDARD, learning_rate=0.1, warm_start=0.0)


def test_with_a_horizon_samples_are_spread_evenly_over_the_states_after_burn_in() -> None:
    method = METHOD.replace(warm_start=0.2, burn_in=0.25, num_samples=6)
    module, optimizer = chain(method, 100)
    assert optimizer.phase_ends == {"warm_start": 20, "burn_in": 40}
    positions = walk(module, optimizer, 100)
    torch.testing.assert_close(optimizer.posterior.kept, torch.stack(positions[49::10]))
    states = torch.stack(positions[40:])
    torch.testing.assert_close(optimizer.posterior.mean, states.mean(0))
    torch.testing.assert_close(optimizer.posterior.variance, states.var(0, correction=0))


def test_before_the_first_state_the_posterior_is_a_point_at_the_chain() -> None:
    module, optimizer = chain(METHOD.replace(burn_in_steps=5))
    position = walk(module, optimizer, 5)[-1]
    assert not optimizer.ready
    assert optimizer.posterior.num_atoms == 1
    assert torch.equal(optimizer.posterior.sample(2), position.repeat(2, 1))
    assert torch.equal(module.weights.detach(), position)
    walk(module, optimizer, 1)
    assert optimizer.ready


def test_without_a_horizon_memory_is_bounded_and_the_thinning_doubles() -> None:
    module, optimizer = chain(METHOD.replace(burn_in_steps=10, num_samples=7))
    states = walk(module, optimizer, 210)[10:]
    spacing = optimizer.posterior.spacing
    assert spacing == 32
    torch.testing.assert_close(
        optimizer.posterior.kept, torch.stack(states[spacing - 1 :: spacing])
    )
    torch.testing.assert_close(optimizer.posterior.mean, torch.stack(states).mean(0))


def test_a_run_beyond_its_horizon_goes_on_within_the_same_memory() -> None:
    module, optimizer = chain(METHOD.replace(burn_in=0.5, num_samples=5), 20)
    states = walk(module, optimizer, 40)[10:]
    assert optimizer.posterior.spacing == 8
    torch.testing.assert_close(optimizer.posterior.kept, torch.stack(states[7::8]))


def test_the_warm_start_descends_to_the_mode_without_noise() -> None:
    method = METHOD.replace(warm_start=0.9, warm_start_learning_rate=0.1)
    module, optimizer = chain(method, 200)
    position = walk(module, optimizer, 180)[-1]
    assert torch.equal(optimizer.posterior.mean, position)
    torch.testing.assert_close(position, torch.full((3,), N / (N + 1.0)), atol=2e-3, rtol=0)
    moved = walk(module, optimizer, 1)[-1] - position
    assert float(moved.abs().max()) > 1e-2


def test_new_weights_start_the_chain_anew_and_unchanged_ones_do_not() -> None:
    module, optimizer = chain(SGHMC(prior=STANDARD, learning_rate=0.1, burn_in_steps=2))
    walk(module, optimizer, 20)
    module.load_state_dict({"weights": module.weights.detach().clone()})
    module.double()
    walk(module, optimizer, 1)
    assert optimizer.posterior.num_states == 19
    with torch.no_grad():
        module.weights.fill_(7.0)
    position = walk(module, optimizer, 1)[-1]
    assert optimizer.posterior.num_states == 1
    assert float((position - 7.0).abs().max()) < 1.5


@pytest.mark.parametrize("method", [METHOD, SGHMC(prior=STANDARD, learning_rate=0.1)])
def test_deterministic_weights_descend_and_all_draws_have_their_present_value(
    method: SGMCMC,
) -> None:
    module = torch.nn.ParameterDict({"a": torch.zeros(2), "b": torch.zeros(2)})
    method = method.replace(bayesian_parameters=("b",), burn_in_steps=5)
    optimizer = method.optimizer(module, num_observations=N)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 0.5 * ((module["a"] - 1.0).square().sum() + (module["b"] - 1.0).square().sum())
        loss.backward()
        return loss

    for _ in range(200):
        optimizer.step(closure)
    posterior = optimizer.posterior
    present = optimizer._vectors["position"]
    torch.testing.assert_close(present[:2], torch.full((2,), N / (N + 1.0)))
    assert torch.equal(posterior.mean[:2], present[:2])
    assert torch.equal(posterior.variance[:2], torch.zeros(2))
    draws = posterior.sample(10, torch.Generator().manual_seed(0))
    assert torch.equal(draws[:, :2], present[:2].expand(10, 2))
    assert float(draws[:, 2:].std(0).min()) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"burn_in": 1.0}, "burn_in must be from 0 to below 1, not 1.0"),
        ({"burn_in_steps": -1}, "burn_in_steps must be an integer of at least 0, not -1"),
        ({"num_samples": 0}, "num_samples must be an integer of at least 1, not 0"),
        ({"warm_start_learning_rate": 0}, "warm_start_learning_rate must be positive, not 0"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SGLD(**settings)
