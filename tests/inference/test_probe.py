"""The probe: where the precisions start, from curvatures far noisier than they are large."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.inference.scenarios import (
    Target,
    Weights,
    closure_of,
    correlated_gaussian,
    gaussian,
    infer,
    linear_regression,
    mean_errors,
    sd_ratios,
)
from tsbnn.inference import IsotropicPrior, NaturalELBOVI, ProximalScoreVI
from tsbnn.inference.probe import ProbingMethod, ProbingOptimizer
from tsbnn.inference.score.mixture import MixtureScoreOptimizer

STANDARD = IsotropicPrior(1.0)
PROBING = {"score": ProximalScoreVI, "elbo_natural": NaturalELBOVI}


def probed(target: Target, method: ProbingMethod, steps: int = 2_000) -> ProbingOptimizer:
    """Take warm start and probe of a run, and no step more."""
    module = Weights(len(target.mean))
    optimizer = method.optimizer(
        module,
        num_observations=target.num_observations,
        total_steps=steps,
        generator=torch.Generator().manual_seed(0),
    )
    assert isinstance(optimizer, ProbingOptimizer)
    for loss in target.losses(optimizer.phase_ends["probe"]):
        optimizer.step(closure_of(optimizer, module, loss))
    assert optimizer.ready
    return optimizer


def crowd(num_weights: int) -> Target:
    """Weights of equal curvature that all pull at each other, so that a pair's noise is large."""
    alike = torch.ones(num_weights, num_weights, dtype=torch.float64)
    likelihood = 100.0 * (torch.eye(num_weights, dtype=torch.float64) + alike)
    return gaussian(likelihood, torch.linspace(-1.0, 1.0, num_weights, dtype=torch.float64))


@pytest.mark.parametrize("name", PROBING)
def test_the_pooled_estimate_is_right_on_average_and_the_other_large(name: str) -> None:
    target, found = crowd(100), {}
    for estimate in ("rms", "pooled"):
        method = PROBING[name](prior=STANDARD, probe_estimate=estimate)
        precision = probed(target, method)._precision.double()
        found[estimate] = float(precision.mean() * target.mean_field_sd.square().mean())
    # Pairs of an all-ones block scatter by sqrt(2) however large it is: 20 % after fifty.
    assert found["pooled"] == pytest.approx(1.0, rel=0.3)
    assert found["rms"] > 4.0


def test_the_pooled_estimate_is_the_formula() -> None:
    module = torch.nn.Linear(3, 2).double()
    method = ProximalScoreVI(
        prior=IsotropicPrior(0.5), temperature=2.0, probe_estimate="pooled", probe_steps=3
    )
    optimizer = method.optimizer(module, num_observations=10)
    assert isinstance(optimizer, ProbingOptimizer)
    generator = torch.Generator().manual_seed(1)
    curvatures = [torch.randn(8, generator=generator, dtype=torch.float64) for _ in range(3)]
    moment = torch.rand(8, generator=generator, dtype=torch.float64)
    # A bias whose gradients have all been zero shares alike.
    moment[6:] = 0.0
    optimizer._vectors["second_moment"].copy_(moment)
    for k, curvature in enumerate(curvatures):
        optimizer.steps = k
        optimizer._measure_curvature(curvature.clone())

    expected = torch.full((8,), 1.0 / (2.0 * 0.25), dtype=torch.float64)
    for part in (slice(0, 6), slice(6, 8)):
        means = torch.stack([curvature[part].mean() for curvature in curvatures])
        level = (means.mean().square() + means.var(correction=0) / 3).sqrt()
        profile = (
            moment[part] / moment[part].mean()
            if part.start == 0
            else torch.ones(2, dtype=torch.float64)
        )
        expected[part] += profile * level
    torch.testing.assert_close(optimizer.posterior.precision, expected)


@pytest.mark.parametrize(
    ("target", "warm_start"),
    [(linear_regression(20, 10_000, 0), 0.5), (correlated_gaussian(20, 100, 0), 0.0)],
    ids=["regression", "gaussian"],
)
def test_known_posteriors_from_the_pooled_estimate(target: Target, warm_start: float) -> None:
    method = ProximalScoreVI(prior=STANDARD, warm_start=warm_start, probe_estimate="pooled")
    optimizer = infer(target, method, 4_000)
    assert float((sd_ratios(optimizer, target) - 1).abs().max()) < 0.10
    assert float(mean_errors(optimizer, target).mean()) < 0.6


def test_what_serves_many_weights() -> None:
    """Of 500 weights the pooled estimate serves as many as the default, a plain average fewer."""
    target = linear_regression(500, 20_000, 0)

    def ratios(**settings: Any) -> Tensor:
        return sd_ratios(infer(target, ProximalScoreVI(prior=STANDARD, **settings), 5_000), target)

    pooled, averaged = ratios(probe_estimate="pooled"), ratios(averaging=1.0)
    assert float(((pooled - 1).abs() <= 0.1).double().mean()) >= 0.9
    assert abs(float(pooled.median()) - 1) < 0.02
    assert float(((averaged - 1).abs() <= 0.1).double().mean()) < 0.85
    assert float(averaged.median()) < 0.96


def test_both_estimates_lead_to_the_same_posterior() -> None:
    target = crowd(20)

    def found(estimate: str) -> Tensor:
        method = ProximalScoreVI(prior=STANDARD, probe_estimate=estimate)
        return infer(target, method, 3_000).posterior.variance.sqrt()

    torch.testing.assert_close(found("pooled"), found("rms"), rtol=0.1, atol=0.0)


def test_every_component_pools_its_own_curvatures() -> None:
    module = Weights(4, torch.float64)
    method = ProximalScoreVI(prior=STANDARD, probe_estimate="pooled", family="mixture")
    optimizer = method.optimizer(module, num_observations=10)
    assert isinstance(optimizer, MixtureScoreOptimizer)
    for size in (1.0, 3.0):
        for component in range(3):
            optimizer._current = component
            curvature = torch.full((4,), size * (component + 1), dtype=torch.float64)
            optimizer._measure_curvature(curvature)
        optimizer.steps += 1
    # Of (c, 3 c): mean 2 c, variance c^2, and two measurements.
    for component, precisions in enumerate(optimizer.posterior.precisions, 1):
        expected = torch.full((4,), 1.0 + component * 4.5**0.5, dtype=torch.float64)
        torch.testing.assert_close(precisions, expected)


def test_weights_without_a_spread_or_without_elements_leave_no_mark() -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)
            self.point = torch.nn.Parameter(torch.ones(1))
            self.empty = torch.nn.Parameter(torch.zeros(0))

    module = Odd()
    method = ProximalScoreVI(probe_estimate="pooled", bayesian_parameters=("layer.*", "empty"))
    optimizer = method.optimizer(module, num_observations=100, total_steps=40)
    inputs = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (module.layer(inputs) * module.point - inputs.sum(1, keepdim=True)).square().mean()
        loss = loss + module.empty.sum()
        loss.backward()
        return loss

    for _ in range(40):
        optimizer.step(closure)
    assert optimizer.ready
    assert bool(torch.isfinite(optimizer._vectors["levels"]).all())
    # A module's own parameters come before those of its layers.
    assert optimizer.posterior.variance[0] == 0.0
    assert bool((optimizer.posterior.variance[1:] > 0).all())


@pytest.mark.parametrize(
    "method",
    [
        *(ProximalScoreVI(family=family) for family in ("mean_field", "low_rank", "mixture")),
        NaturalELBOVI(),
    ],
    ids=lambda method: f"{method.name}-{method.family}",
)
def test_a_run_goes_on_in_the_middle_of_the_probe(method: ProbingMethod) -> None:
    target = crowd(6)
    method = dataclasses.replace(method, probe_estimate="pooled", warm_start=0.25)
    losses = list(target.losses(40))

    def run(count: int, state: dict[str, Any] | None = None) -> ProbingOptimizer:
        module = Weights(6)
        optimizer = method.optimizer(
            module,
            num_observations=target.num_observations,
            total_steps=len(losses),
            generator=torch.Generator().manual_seed(0),
        )
        assert isinstance(optimizer, ProbingOptimizer)
        if state is not None:
            optimizer.load_state_dict(state)
        for loss in losses[optimizer.steps : count]:
            optimizer.step(closure_of(optimizer, module, loss))
        return optimizer

    middle = run(11)
    assert middle.phase == "probe"
    resumed = run(40, middle.state_dict())
    torch.testing.assert_close(resumed.posterior.variance, run(40).posterior.variance)


def test_another_estimate_is_refused() -> None:
    with pytest.raises(ValueError, match="probe_estimate must be one of rms, pooled"):
        ProximalScoreVI(probe_estimate="bold")
