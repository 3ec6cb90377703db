"""Score-based proximal VI: the closed form, known posteriors, and what it costs in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from tests.inference.memory import LiveStorages
from tests.inference.scenarios import (
    Weights,
    correlated_gaussian,
    infer,
    linear_regression,
    mean_errors,
    sd_ratios,
)
from tsbnn.inference import MAP, IsotropicPrior, NaturalELBOVI, ProximalScoreVI
from tsbnn.inference.blocks import WEIGHTS_PER_THREAD

STANDARD = IsotropicPrior(1.0)


@pytest.mark.parametrize("strength", [0.5, 20.0, 5000.0])
@pytest.mark.parametrize("ratio", [-400.0, -1.0, 0.0, 0.5, 1.0, 3.0, 800.0])
def test_the_closed_form_minimises_the_proximal_objective(ratio: float, strength: float) -> None:
    # Per weight, in units of the frozen variance: (rho - r)^2 + KL(q_t || q) / alpha.
    def objective(log_rho: float) -> float:
        rho = np.exp(log_rho)
        return (rho - ratio) ** 2 + 4 * strength * 0.5 * (rho - 1 - log_rho)

    best = minimize_scalar(objective, bounds=(-15, 15), method="bounded", options={"xatol": 1e-10})

    method = ProximalScoreVI(prior=IsotropicPrior(1e6), initial_strength=strength, averaging=0.0)
    optimizer = method.optimizer(Weights(3, torch.float64), num_observations=10)
    optimizer.steps = optimizer.phase_ends["probe"]
    optimizer._vectors["noise"].zero_()
    optimizer.posterior.precision.fill_(2.0)
    optimizer._update_precision(
        torch.full((3,), ratio, dtype=torch.float64), torch.full((3,), 0.5, dtype=torch.float64)
    )
    # The objective is convex in rho: within a factor of two the best is the nearest.
    rho = np.clip(np.exp(best.x), 0.5, 2.0)
    expected = torch.full((3,), 2.0 * rho, dtype=torch.float64)
    torch.testing.assert_close(optimizer.posterior.precision, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_regression_with_minibatch_noise(seed: int) -> None:
    target = linear_regression(20, 10_000, seed)
    optimizer = infer(target, ProximalScoreVI(prior=STANDARD), 5_000, seed)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.10
    assert float(mean_errors(optimizer, target).mean()) < 0.6


def test_a_hundred_thousand_observations() -> None:
    target = linear_regression(20, 100_000, 0)
    optimizer = infer(target, ProximalScoreVI(prior=STANDARD), 5_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.10
    assert float(mean_errors(optimizer, target).mean()) < 1.5


def test_many_weights_make_more_noise_and_the_same_defaults_do() -> None:
    """A fixed strength that serves 20 weights does not serve 500: c must follow the noise."""
    target = linear_regression(500, 20_000, 0)
    optimizer = infer(target, ProximalScoreVI(prior=STANDARD), 5_000)
    ratios = sd_ratios(optimizer, target)
    assert float(((ratios - 1).abs() <= 0.1).double().mean()) >= 0.9
    assert abs(float(ratios.median()) - 1) < 0.02
    fixed = ProximalScoreVI(prior=STANDARD, noise_margin=1e-6, initial_strength=20.0, averaging=0.0)
    ratios = sd_ratios(infer(target, fixed, 5_000), target)
    assert not float(((ratios - 1).abs() <= 0.1).double().mean()) >= 0.9


def test_temperature_four_doubles_the_sds() -> None:
    target = correlated_gaussian(20, 100.0, 0)
    cold = infer(target, ProximalScoreVI(prior=STANDARD), 5_000)
    warm = infer(target, ProximalScoreVI(prior=STANDARD, temperature=4.0), 5_000)
    ratio = (warm.posterior.variance / cold.posterior.variance).sqrt()
    torch.testing.assert_close(ratio, torch.full((20,), 2.0), rtol=1e-3, atol=0)
    assert float((sd_ratios(cold, target) - 1).abs().max()) < 0.06
    assert float((sd_ratios(cold, target) - 1).abs().mean()) < 0.03


@pytest.mark.parametrize(
    "settings",
    [
        {"metric": "variance", "natural_rate": 0.02},
        {"trust_region": 1.0},
        {"averaging": 0.0, "initial_strength": 300.0},
    ],
    ids=str,
)
def test_the_other_settings_reach_the_same_posterior(settings: dict[str, Any]) -> None:
    target = linear_regression(20, 10_000, 2)
    optimizer = infer(target, ProximalScoreVI(prior=STANDARD, **settings), 4_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().mean()) < 0.06
    assert float(mean_errors(optimizer, target).mean()) < 0.8


@pytest.mark.parametrize("family", ["mean_field", "mixture"])
def test_weights_without_a_spread_move_by_adam_beside_natural_ones(family: str) -> None:
    target = linear_regression(20, 10_000, 2)
    module = Weights(20)
    module.bias = torch.nn.Parameter(torch.zeros(()))
    method = ProximalScoreVI(
        prior=STANDARD,
        metric="variance",
        bayesian_parameters=("weights",),
        family=family,
        num_components=1,
    )
    optimizer = method.optimizer(module, num_observations=10_000, total_steps=2_000)
    for loss in target.losses(2_000):

        def closure(loss: Any = loss) -> torch.Tensor:
            optimizer.zero_grad()
            # The optimum of the bias is 1, far from where it starts.
            value = loss(module.weights) + 0.5 * (module.bias - 1.0).square()
            value.backward()
            return value

        optimizer.step(closure)
    mean, variance = optimizer.posterior.mean, optimizer.posterior.variance
    assert float(mean[-1]) == pytest.approx(1.0, abs=0.02)
    assert float(variance[-1]) == 0.0
    assert bool((variance[:-1] > 0).all())
    torch.testing.assert_close(mean[:-1].double(), target.mean.double(), rtol=0, atol=0.1)


def test_single_draws_are_unbiased_but_slow() -> None:
    target = linear_regression(5, 2_000, 0)
    method = ProximalScoreVI(prior=STANDARD, antithetic=False)
    optimizer = infer(target, method, 8_000)
    assert optimizer.gradient_evaluations == 8_000
    assert float((sd_ratios(optimizer, target) - 1).abs().mean()) < 0.25


def test_the_trust_region_bounds_every_move() -> None:
    target = linear_regression(10, 5_000, 0)
    method = ProximalScoreVI(prior=STANDARD, trust_region=1.0, learning_rate=0.5)
    module = Weights(10)
    optimizer = method.optimizer(module, num_observations=5_000, total_steps=100)
    largest = 0.0
    for loss in target.losses(100):

        def closure(loss=loss) -> Tensor:
            optimizer.zero_grad()
            value = loss(module.weights)
            value.backward()
            return value

        before = optimizer.posterior.mean.clone()
        probing = optimizer.probing
        optimizer.step(closure)
        if not probing:
            # The limit is one sd of the updated posterior.
            move = (optimizer.posterior.mean - before).abs() / optimizer.posterior.variance.sqrt()
            largest = max(largest, float(move.max()))
    assert 0.5 < largest <= 1.0 + 1e-4


def test_the_warm_start_is_map() -> None:
    target = linear_regression(5, 1_000, 0)
    module, other = Weights(5), Weights(5)
    score = ProximalScoreVI(prior=STANDARD, warm_start=0.5).optimizer(
        module, num_observations=1_000, total_steps=100
    )
    point = MAP(prior=STANDARD).optimizer(other, num_observations=1_000, total_steps=100)
    for step, loss in enumerate(target.losses(60)):
        for optimizer, place in ((score, module), (point, other)):

            def closure(optimizer=optimizer, place=place, loss=loss) -> Tensor:
                optimizer.zero_grad()
                value = loss(place.weights)
                value.backward()
                return value

            optimizer.step(closure)
        assert step >= 50 or torch.equal(module.weights, other.weights)
    assert score.gradient_evaluations == 50 + 2 * 10
    assert score.method.evaluations(60) == 30 + 2 * 30
    # A probe of three pairs, then 27 steps of which every second takes one.
    assert score.method.replace(curvature_every=2).evaluations(60) == 30 + 2 * 3 + 27 + 14


@pytest.mark.parametrize("method", [ProximalScoreVI, NaturalELBOVI])
@pytest.mark.parametrize("metric", ["adam", "variance"])
def test_steps_between_measurements_move_the_mean_alone(method: Any, metric: str) -> None:
    settings = method(curvature_every=3, metric=metric, probe_steps=2, warm_start=0.0)
    module = Weights(5)
    optimizer = settings.optimizer(module, num_observations=1_000)
    before, seen = optimizer.posterior, []
    for loss in linear_regression(5, 1_000, 0).losses(9):
        mean, precision = before.mean.clone(), before.precision.clone()
        evaluations = optimizer.gradient_evaluations

        def closure(loss=loss) -> Tensor:
            optimizer.zero_grad()
            value = loss(module.weights)
            value.backward()
            return value

        measures = optimizer.measuring
        optimizer.step(closure)
        assert not torch.equal(optimizer.posterior.mean, mean)
        assert torch.equal(optimizer.posterior.precision, precision) is not measures
        seen.append(optimizer.gradient_evaluations - evaluations)
    # Two of the probe, then a pair and two single draws by turns.
    assert seen == [2, 2, 2, 1, 1, 2, 1, 1, 2]
    assert optimizer.measurements == 3


@pytest.mark.parametrize(("family", "components"), [("low_rank", 1), ("mixture", 3)])
def test_other_families_keep_their_shape_between_measurements(family: str, components: int) -> None:
    method = ProximalScoreVI(family=family, curvature_every=2, probe_steps=1, warm_start=0.0)
    module = Weights(5)
    optimizer = method.optimizer(module, num_observations=1_000, total_steps=9)

    def shape() -> Tensor:
        kept = optimizer.posterior.state_dict()
        names = ("scale", "factor", "precision", "precisions")
        return torch.cat([kept[name].flatten().clone() for name in names if name in kept])

    seen = []
    for loss in linear_regression(5, 1_000, 0).losses(9):
        before, mean = shape(), optimizer.posterior.mean.clone()
        evaluations, measures = optimizer.gradient_evaluations, optimizer.measuring

        def closure(loss=loss) -> Tensor:
            optimizer.zero_grad()
            value = loss(module.weights)
            value.backward()
            return value

        optimizer.step(closure)
        assert torch.equal(shape(), before) is not measures
        assert not torch.equal(optimizer.posterior.mean, mean)
        seen.append((optimizer.gradient_evaluations - evaluations) // components)
    assert seen == [2, 2, 1, 2, 1, 2, 1, 2, 1]
    assert optimizer.gradient_evaluations == method.evaluations(9)


def test_the_strength_of_a_tensor_follows_its_noise() -> None:
    small = infer(linear_regression(20, 10_000, 0), ProximalScoreVI(prior=STANDARD), 300)
    large = infer(linear_regression(1_000, 10_000, 0), ProximalScoreVI(prior=STANDARD), 300)
    noise = [float(optimizer._vectors["noise"][0]) for optimizer in (small, large)]
    assert noise[1] > 3 * noise[0]
    margin = ProximalScoreVI().noise_margin
    assert float(large.strength[0]) > 0.8 * margin * noise[1]


def test_unobserved_weights_keep_their_prior() -> None:
    module = Weights(4)
    method = ProximalScoreVI(prior=IsotropicPrior(0.3))
    optimizer = method.optimizer(module, num_observations=1_000, total_steps=500)
    for _ in range(500):

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = 0.5 * module.weights[:2].square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    sds = optimizer.posterior.variance.sqrt()
    torch.testing.assert_close(sds[2:], torch.full((2,), 0.3))
    assert float(sds[:2].max()) < 0.05


def test_memory_is_four_vectors_kept_and_one_passing() -> None:
    # Several blocks: what lives for a block is no vector of the size of the weights.
    size = 4 * WEIGHTS_PER_THREAD * torch.get_num_threads()
    module = Weights(size)
    optimizer = ProximalScoreVI(probe_steps=1).optimizer(module, num_observations=100)

    def closure() -> Tensor:
        # The gradient is written in place: the module itself allocates nothing of this size.
        optimizer.flat.gradient.copy_(module.weights.detach())
        return torch.zeros(())

    kept = {
        tensor.untyped_storage().data_ptr()
        for tensor in [*optimizer.posterior.buffers(), *optimizer._vectors.values()]
        if tensor.numel() >= size
    }
    assert len(kept) == 4
    for _ in range(3):
        with LiveStorages(size * 4) as storages:
            optimizer.step(closure)
        assert storages.peak == 1
