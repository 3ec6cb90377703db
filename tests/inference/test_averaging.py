"""Posterior averaging: it is the average, it helps where the step size stays large, it resumes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.inference.scenarios import (
    Weights,
    gather,
    infer,
    linear_regression,
    mean_errors,
    sd_ratios,
)
from tests.inference.test_method import ALL_PHASES, batches, built, method, optimizer_of, train
from tsbnn.inference import (
    ELBOVI,
    BayesianOptimizer,
    InferenceMethod,
    IsotropicPrior,
    NaturalELBOVI,
    ProximalScoreVI,
)
from tsbnn.inference.averaging import BY_LOGARITHM

STANDARD = IsotropicPrior(1.0)
NAMES = [
    "score",
    "score/low_rank",
    "score/mixture",
    "elbo",
    "elbo/low_rank",
    "elbo/mixture",
    "elbo_natural",
]


def parts(optimizer: BayesianOptimizer) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in optimizer.posterior.state_dict().items() if k in BY_LOGARITHM}


@pytest.mark.parametrize("partly", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_last_step_leaves_the_average_of_the_last_posteriors(name: str, partly: bool) -> None:
    inference = method(name, **ALL_PHASES.get(name, {}))
    if partly:
        inference = inference.replace(bayesian_parameters=("1.weight",))
    path, steps = [], 40
    module = built(dtype=torch.float64)
    plain = optimizer_of(inference, module, steps=steps)
    for batch in batches(steps, torch.float64):
        train(plain, module, [batch])
        path.append(parts(plain))
    module = built(dtype=torch.float64)
    optimizer = optimizer_of(inference.replace(averaging_share=0.25), module, steps=steps)
    data = batches(steps, torch.float64)
    train(optimizer, module, data[:-1])
    for key, value in parts(optimizer).items():
        assert torch.equal(value, path[-2][key])
    train(optimizer, module, data[-1:])
    for key, value in parts(optimizer).items():
        late = torch.stack([posterior[key] for posterior in path[-10:]])
        expected = late.log().mean(0).exp() if BY_LOGARITHM[key] else late.mean(0)
        torch.testing.assert_close(value, expected)
        assert not torch.equal(value, path[-1][key])
    assert torch.equal(gather(module), optimizer.resting_weights)
    if partly:
        assert int((optimizer.posterior.variance == 0).sum()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_going_on_after_the_end_starts_at_the_average(name: str) -> None:
    """Methods with coordinates of their own have moved them there too."""
    quick = {**ALL_PHASES.get(name, {}), "averaging_share": 0.5, "learning_rate": 0.05}
    inference = method(name, schedule="constant", **quick)
    module = built()
    optimizer = optimizer_of(inference, module, steps=40)
    data = batches(41)
    train(optimizer, module, data[:40])
    average = parts(optimizer)
    optimizer.param_groups[0]["lr"] = 1e-12
    if name == "elbo_natural":
        optimizer.phase_ends["probe"] = -(10**9)
    train(optimizer, module, data[40:])
    for key, value in parts(optimizer).items():
        changes = (value / average[key]).log().abs() if BY_LOGARITHM[key] else value - average[key]
        assert float(changes.abs().max()) < (0.3 if name.startswith("score") else 1e-5)


@pytest.mark.parametrize(
    "inference",
    [
        ProximalScoreVI(prior=STANDARD, schedule="constant", learning_rate=1e-2),
        ELBOVI(
            prior=STANDARD,
            schedule="constant",
            learning_rate=1e-2,
            scale_learning_rate=1e-2,
            antithetic=True,
        ),
        NaturalELBOVI(prior=STANDARD, schedule="constant", natural_rate=0.02),
    ],
    ids=lambda inference: inference.name,
)
def test_it_brings_the_mean_to_rest_at_a_constant_learning_rate(
    inference: InferenceMethod,
) -> None:
    target = linear_regression(20, 10_000, 0)
    # The ELBO's sds arrive late, and an average over their way there has it in it.
    steps = 3_000 if inference.name == "elbo" else 2_000
    latest = infer(linear_regression(20, 10_000, 0), inference, steps)
    average = infer(target, inference.replace(averaging_share=0.4), steps)
    errors = [float(mean_errors(found, target).mean()) for found in (latest, average)]
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] < 1.0
    assert float((sd_ratios(average, target) - 1).abs().max()) < 0.10


def test_other_weights_start_the_average_anew() -> None:
    inference = ProximalScoreVI(averaging_share=0.5, learning_rate=1e-12, warm_start=0.0)
    module = built()
    optimizer = optimizer_of(inference, module, steps=20)
    train(optimizer, module, batches(15))
    module.load_state_dict({k: torch.full_like(v, 3.0) for k, v in module.state_dict().items()})
    train(optimizer, module, batches(5))
    torch.testing.assert_close(gather(module), torch.full((16,), 3.0))


def test_after_the_last_step_nothing_is_averaged() -> None:
    inference = ProximalScoreVI(averaging_share=0.5, warm_start=0.0)
    module = built()
    optimizer = optimizer_of(inference, module, steps=10)
    train(optimizer, module, batches(10))
    average = optimizer._vectors["average_locations"].clone()
    train(optimizer, module, batches(3))
    assert torch.equal(optimizer._vectors["average_locations"], average)


def test_averages_are_one_vector_more_for_each_of_the_posteriors() -> None:
    for share, count in ((0.0, 0), (0.5, 2)):
        optimizer = ProximalScoreVI(averaging_share=share).optimizer(
            Weights(5), num_observations=10, total_steps=10
        )
        names = [name for name in optimizer._vectors if name.startswith("average_")]
        assert len(names) == count


def test_what_does_not_fit_is_refused() -> None:
    for share in (1.0, -0.1, "half"):
        with pytest.raises(ValueError, match="averaging_share must be from 0 to below 1, not"):
            ProximalScoreVI(averaging_share=share)
    with pytest.raises(ValueError, match="give total_steps"):
        ELBOVI(averaging_share=0.5).optimizer(built(), num_observations=10)
    ELBOVI().optimizer(built(), num_observations=10)
