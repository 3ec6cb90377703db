"""SWAG: the moments of the collected iterates, against a plain recomputation of the whole path."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.inference.scenarios import Weights, closure_of, gather, linear_regression
from tsbnn.inference import MAP, SWAG, IsotropicPrior
from tsbnn.inference.swag import SWAGOptimizer

STEPS = 120


def path_of(optimizer: SWAGOptimizer, module: Weights) -> Iterator[Tensor]:
    """Take STEPS steps on a regression, and give the iterate after each."""
    for loss in linear_regression(5, 500, 0).losses(STEPS):
        optimizer.step(closure_of(optimizer, module, loss))
        yield optimizer._vectors["iterate"].clone()


def built(**settings) -> tuple[SWAGOptimizer, Weights]:
    module = Weights(5, torch.float64)
    method = SWAG(**settings)
    return method.optimizer(module, num_observations=500, total_steps=STEPS), module


@pytest.mark.parametrize(("num_iterates", "rank"), [(30, 4), (6, 20), (40, 5), (1000, 3)])
def test_moments_are_those_of_the_collected_iterates(num_iterates: int, rank: int) -> None:
    optimizer, module = built(collecting_share=0.5, num_iterates=num_iterates, rank=rank)
    path = torch.stack(list(path_of(optimizer, module))).numpy()
    count = min(num_iterates, 60)
    # Evenly spread, the last one with the last step: also where K does not divide the 60 steps.
    collected = path[[60 + -(-60 * k // count) - 1 for k in range(1, count + 1)]]
    assert len(collected) == min(num_iterates, 60) == optimizer.collected
    means = [collected[: k + 1].mean(0) for k in range(len(collected))]
    deviations = np.stack([x - m for x, m in zip(collected, means, strict=True)])[-rank:]
    diagonal = (collected**2).mean(0) - collected.mean(0) ** 2
    covariance = 0.5 * np.diag(diagonal)
    covariance += deviations.T @ deviations / (2 * (len(deviations) - 1))
    posterior = optimizer.posterior
    np.testing.assert_allclose(posterior.mean, means[-1], rtol=1e-10)
    ours = posterior.scale.square().diag() + posterior.factor @ posterior.factor.T
    np.testing.assert_allclose(ours, covariance, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(posterior.variance, np.diag(covariance), rtol=1e-8)
    assert torch.equal(gather(module), posterior.mean)


def test_draws_have_the_stated_covariance() -> None:
    optimizer, module = built(collecting_share=0.5, rank=4)
    for _ in path_of(optimizer, module):
        pass
    posterior = optimizer.posterior
    draws = posterior.sample(50_000, torch.Generator().manual_seed(0))
    stated = posterior.scale.square().diag() + posterior.factor @ posterior.factor.T
    error = torch.linalg.matrix_norm(torch.cov(draws.T) - stated, 2)
    assert float(error / torch.linalg.matrix_norm(stated, 2)) < 0.03
    correlation = stated[0, 1:] / (stated[0, 0] * stated.diagonal()[1:]).sqrt()
    assert float(correlation.abs().max()) > 0.1


def test_the_first_phase_is_map_with_a_step_that_falls_to_the_constant_one() -> None:
    prior = IsotropicPrior(0.5)
    optimizer, module = built(prior=prior, schedule="constant", learning_rate=1e-2)
    other = Weights(5, torch.float64)
    plain = MAP(prior=prior, schedule="constant", learning_rate=1e-2).optimizer(
        other, num_observations=500
    )
    losses = linear_regression(5, 500, 0).losses(STEPS)
    for step, (loss, iterate) in enumerate(
        zip(losses, path_of(optimizer, module), strict=True), start=1
    ):
        plain.step(closure_of(plain, other, loss))
        assert optimizer.ready is (step > 91)
        assert optimizer.collecting is (step >= 90)
        if step <= 90:
            torch.testing.assert_close(iterate, gather(other))
            assert torch.equal(iterate, gather(module))
    assert float((gather(module) - gather(other)).abs().max()) > 1e-3

    optimizer, module = built(learning_rate=1e-2, collecting_learning_rate=2e-3)
    rates = [optimizer.learning_rate()]
    for _ in path_of(optimizer, module):
        rates.append(optimizer.learning_rate())
    assert rates[0] == pytest.approx(1e-2)
    assert rates[45] == pytest.approx(6e-3)
    assert rates[90:] == pytest.approx([2e-3] * 31)
    assert rates[:91] == sorted(rates[:91], reverse=True)


def test_a_move_to_another_dtype_leaves_the_path_and_new_weights_start_another() -> None:
    optimizer, module = built(collecting_share=0.9)
    losses = list(linear_regression(5, 500, 0).losses(62))
    for loss in losses[:60]:
        optimizer.step(closure_of(optimizer, module, loss))
    iterate = optimizer._vectors["iterate"].clone()
    assert float((iterate - gather(module)).abs().max()) > 1e-3
    optimizer.param_groups[0]["lr"] = 1e-12
    module.float()
    optimizer.step(closure_of(optimizer, module, losses[60]))
    torch.testing.assert_close(optimizer._vectors["iterate"], iterate.float())
    module.load_state_dict({"weights": torch.full((5,), 9.0)})
    optimizer.step(closure_of(optimizer, module, losses[61]))
    torch.testing.assert_close(optimizer._vectors["iterate"], torch.full((5,), 9.0))
    torch.testing.assert_close(optimizer.posterior.mean, torch.full((5,), 9.0))


def test_phases_end_with_a_posterior() -> None:
    optimizer, module = built(collecting_share=0.5)
    phases = [optimizer.phase]
    phases += [optimizer.phase for _ in path_of(optimizer, module)]
    assert phases == ["training"] * 60 + ["collecting"] * 60 + ["posterior"]
    module = Weights(5, torch.float64)
    single = SWAG(collecting_share=0.01).optimizer(module, num_observations=500, total_steps=STEPS)
    for _ in path_of(single, module):
        pass
    assert single.collected == 2
    single.collected = 1
    assert single.phase == "collecting", "one iterate has no spread"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SWAG(rank=1), "rank must be an integer of at least 2, not 1"),
        (lambda: SWAG(num_iterates=1.5), "num_iterates must be an integer of at least 2, not 1.5"),
        (lambda: SWAG(collecting_share=1.0), "collecting_share must be above 0 and below 1"),
        (lambda: SWAG(collecting_learning_rate=0.0), "collecting_learning_rate must be positive"),
        (
            lambda: SWAG().optimizer(
                nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
                num_observations=5,
                total_steps=8,
            ),
            "'1' is a BatchNorm1d: .* not be those of the averaged weights.* the method MAP, with",
        ),
    ],
)
def test_errors(make, message: str) -> None:
    with torch.random.fork_rng(), pytest.raises(ValueError, match=message):
        make()
