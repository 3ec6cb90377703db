"""Laplace: the mode, and the conjugate regression's covariance from minibatch gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.inference.gaussian_targets import minibatches
from tests.inference.other_targets import logistic_data
from tests.inference.scenarios import (
    Target,
    Weights,
    closure_of,
    covariance_error,
    infer,
    linear_regression,
    logistic_regression,
    mean_errors,
    sd_ratios,
)
from tsbnn.inference import MAP, FullGaussian, IsotropicPrior, Laplace, MeanFieldGaussian

PRIOR = IsotropicPrior(1.0)


@pytest.mark.parametrize("seed", range(3))
def test_diagonal_sds_of_a_conjugate_regression(seed: int) -> None:
    target = linear_regression(20, 10_000, seed)
    method = Laplace(prior=PRIOR, last_pass=1000, learning_rate=2e-2)
    optimizer = infer(target, method, 1_500, seed)
    assert optimizer.gradient_evaluations == 2_500 == method.evaluations(1_500)
    ratios = sd_ratios(optimizer, target)
    assert float((ratios - 1).abs().max()) < 0.15
    assert float((ratios - 1).mean().abs()) < 0.03
    assert float(mean_errors(optimizer, target).mean()) < 1.0
    assert optimizer.ready


def correlated_regression(num_observations: int) -> Target:
    """Conjugate regression on 4 features that share most of their variance."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(num_observations, 1, generator=generator)
    features = common + 0.5 * torch.randn(num_observations, 4, generator=generator)
    labels = features.sum(1) + torch.randn(num_observations, generator=generator)

    def loss(weights: Tensor, batch: Tensor = features, target: Tensor = labels) -> Tensor:
        return 0.5 * (target - batch @ weights).square().mean()

    x, y = features.double(), labels.double()
    precision = x.T @ x + torch.eye(4, dtype=torch.double)
    mean = torch.linalg.solve(precision, x.T @ y)
    losses = minibatches(loss, features, labels, 32, generator)
    return Target(num_observations, precision, mean, losses, loss, 32)


def test_the_full_covariance_of_a_conjugate_regression() -> None:
    target = correlated_regression(5_000)
    method = Laplace(prior=PRIOR, structure="full", last_pass=1_500, learning_rate=2e-2)
    posterior = infer(target, method, 500).posterior
    assert isinstance(posterior, FullGaussian)
    assert covariance_error(posterior, target) < 0.15
    diagonal = infer(correlated_regression(5_000), method.replace(structure="diagonal"), 500)
    assert covariance_error(diagonal.posterior, target) > 0.5


def fisher_of_all_observations(optimizer, target) -> Tensor:
    """Sum over observations of the outer products of their gradients at the mode, ``D x D``."""
    features, labels = target.full.__defaults__
    mean = optimizer.posterior.mean
    gradients = (features @ mean - labels)[:, None] * features
    return ((gradients - gradients.mean(0)).T @ (gradients - gradients.mean(0))).double()


def test_sds_of_a_logistic_regression_are_the_curvature_at_the_mode() -> None:
    target = logistic_regression(0)
    method = Laplace(prior=PRIOR, last_pass=1_500, learning_rate=3e-2)
    posterior = infer(target, method, 1_000).posterior
    features, labels = (values.double() for values in logistic_data(0))
    probability = (features @ posterior.mean.double()).sigmoid()
    empirical = (features.T * (probability - labels).square()) @ features
    expected = (features.T * probability * (1 - probability)) @ features
    sds = posterior.variance.sqrt().double()
    ratios = [sds * (fisher.diagonal() + 1.0).sqrt() for fisher in (empirical, expected)]
    assert float((ratios[0] - 1).abs().max()) < 0.08
    # Of 500 labels, 70 of them 1, the empirical information differs from the expected one.
    assert float((ratios[1] - 1).abs().max()) < 0.3
    assert float((ratios[1] - 1).mean().abs()) < 0.15


def test_one_pass_over_the_data_needs_no_batch_size() -> None:
    target = linear_regression(6, 600, 0)
    features, labels = target.full.__defaults__
    method = Laplace(prior=PRIOR)
    optimizer = infer(target, method, 600)
    module = Weights(6)
    again = method.optimizer(module, num_observations=600)
    module.weights.data.copy_(optimizer.posterior.mean)
    again.rest()
    closures = [
        closure_of(again, module, lambda w, x=x, y=y: 0.5 * (y - x @ w).square().mean())
        for x, y in zip(features.split(3), labels.split(3), strict=True)
    ]
    again.finalize(closures)
    exact = fisher_of_all_observations(again, target).diagonal() + 1.0
    torch.testing.assert_close(again.posterior.precision.double(), exact, rtol=0.25, atol=0.0)


def test_temperature_widens() -> None:
    cold, warm = (
        infer(linear_regression(6, 600, 0), Laplace(prior=PRIOR, temperature=t), 100)
        for t in (1.0, 4.0)
    )
    ratio = warm.posterior.variance / cold.posterior.variance
    torch.testing.assert_close(ratio, torch.full((6,), 4.0))


def test_training_is_map_and_the_posterior_a_point_until_the_last_pass() -> None:
    data = torch.randn(30, 8, 3, generator=torch.Generator().manual_seed(0))
    means = []
    for method in (Laplace(), MAP()):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0), nn.Linear(4, 1))
        optimizer = method.optimizer(module, num_observations=100, total_steps=30)
        for batch in data:
            optimizer.step(network_closure(optimizer, module, batch))
        means.append(optimizer.posterior.mean.clone())
        if method.last_pass:
            assert not optimizer.ready
            assert torch.equal(optimizer.posterior.variance, torch.zeros(21))
            state = optimizer.state_dict()
            optimizer.finalize(network_closure(optimizer, module, batch) for batch in data)
            assert optimizer.ready
            assert bool((optimizer.posterior.variance > 0).all())
            assert torch.equal(optimizer.posterior.mean, means[0])
            finished = optimizer.state_dict()
            optimizer.finalize()
            optimizer.load_state_dict(state)
            assert not optimizer.ready
            optimizer.load_state_dict(finished)
            assert optimizer.ready
    assert torch.equal(*means)


def network_closure(optimizer, module: nn.Module, batch: Tensor):
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(module(batch), batch.sum(-1, keepdim=True))
        loss.backward()
        return loss

    return closure


def test_the_last_layer_alone_with_all_its_correlations() -> None:
    data = torch.randn(200, 8, 3, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    method = Laplace(structure="full", bayesian_parameters=("2.*",))
    assert method.family == "full"
    assert Laplace().family == "mean_field"
    optimizer = method.optimizer(module, num_observations=1600)
    optimizer.finalize([network_closure(optimizer, module, batch) for batch in data])
    assert optimizer.posterior.covariance.shape == (5, 5)
    assert optimizer.posterior.index.tolist() == [16, 17, 18, 19, 20]
    diagonal = Laplace(bayesian_parameters=("2.*",)).optimizer(module, num_observations=1600)
    diagonal.finalize([network_closure(diagonal, module, batch) for batch in data])
    assert isinstance(diagonal.posterior, MeanFieldGaussian)
    torch.testing.assert_close(
        torch.linalg.inv(optimizer.posterior.covariance).diagonal(),
        diagonal.posterior.precision[16:],
        rtol=1e-3,
        atol=0.0,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o, c: o.finalize(), "call optimizer.finalize.closures.*of 200 minibatches"),
        (lambda o, c: o.finalize([c]), "the number of closures must be at least 2, not 1"),
        (lambda o, c: o.finalize([c, c], 0), "observations_per_closure must be positive, or None"),
        (lambda o, c: Laplace(structure="kronecker"), "structure must be one of diagonal, full"),
        (lambda o, c: Laplace(last_pass=1), "last_pass must be an integer of at least 2, not 1"),
        (lambda o, c: Laplace(warm_start=0.5), "warm_start must be 0: all steps are MAP's, not"),
        (
            lambda o, c: Laplace(structure="full").optimizer(Weights(2001), num_observations=9),
            "structure='full' is for at most 2000 weights, not 2001: choose fewer",
        ),
    ],
)
def test_errors(make, message: str) -> None:
    module = Weights(3)
    optimizer = Laplace().optimizer(module, num_observations=10)
    closure = closure_of(optimizer, module, lambda weights: weights.square().mean())
    with pytest.raises(ValueError, match=message):
        make(optimizer, closure)
