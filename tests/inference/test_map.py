"""MAP: the most probable weights, and Adam's steps against torch's own Adam."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.inference.scenarios import Weights, infer, linear_regression, mean_errors
from tsbnn.inference import MAP, IsotropicPrior


def test_it_finds_the_posterior_mode() -> None:
    target = linear_regression(20, 10_000, 0)
    optimizer = infer(target, MAP(prior=IsotropicPrior(1.0)), 5_000)
    assert float(mean_errors(optimizer, target).mean()) < 0.6
    assert torch.equal(optimizer.posterior.variance, torch.zeros(20))


def test_steps_equal_those_of_torch_adam_on_the_negative_log_posterior() -> None:
    target = linear_regression(5, 200, 0)
    ours, theirs = Weights(5, torch.float64), Weights(5, torch.float64)
    prior = IsotropicPrior(0.5)
    optimizer = MAP(prior=prior, learning_rate=0.01, schedule="constant").optimizer(
        ours, num_observations=200
    )
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for loss in target.losses(50):

        def closure(loss=loss) -> Tensor:
            optimizer.zero_grad()
            value = loss(ours.weights)
            value.backward()
            return value

        optimizer.step(closure)
        adam.zero_grad()
        penalty = 0.5 * theirs.weights.square().sum() / 0.5**2 / 200
        (loss(theirs.weights) + penalty).backward()
        adam.step()
    torch.testing.assert_close(ours.weights.detach(), theirs.weights.detach())
    assert float(ours.weights.detach().abs().sum()) > 0.1
