"""What every inference method must do, whatever it infers: loops, resuming, refusals, modules."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.inference.scenarios import gather
from tsbnn.inference import (
    ELBOVI,
    MAP,
    METHODS,
    InferenceMethod,
    IsotropicPrior,
    PosteriorWarning,
    ProximalScoreVI,
    from_dict,
)
from tsbnn.inference import (
    method as build,
)
from tsbnn.inference.method import decay
from tsbnn.inference.optimizer import BayesianOptimizer

# Methods, those that fit several families once more with each, and with posterior averaging.
VARIANTS = ["score/low_rank", "score/mixture", "elbo/low_rank", "elbo/mixture"]
VARIANTS += ["score/averaged", "elbo/averaged"]
NAMES = [*METHODS, *VARIANTS]
# Methods that use no random numbers of their own.
NOISELESS = {"map", "swag", "laplace"}
# Settings under which a method learns the modules below in 200 steps; others take QUICK.
QUICK: dict[str, Any] = {"learning_rate": 2e-2}
LEARNING: dict[str, dict[str, Any]] = {
    # A full Gaussian must not start its covariance before the mean is near, nor trust one batch.
    "bam": {"learning_rate": 0.1, "warm_start_learning_rate": 2e-2, "num_draws": 4},
    "gsm": {"learning_rate": 0.1, "warm_start_learning_rate": 2e-2, "initial_scale": 0.01},
    "sgld": {"warm_start_learning_rate": 3e-2},
    "psgld": {"warm_start_learning_rate": 3e-2},
    "sghmc": {"warm_start_learning_rate": 3e-2},
    "cyclical": {"learning_rate": 0.3, "warm_start": 0.0},
    "ssvi": {"density": 0.6, "swap_every": 10, "learning_rate": 2e-2},
}
# Settings under which 40 steps see every phase of a method.
ALL_PHASES: dict[str, dict[str, Any]] = {
    "score": {"probe_steps": 5, "warm_start": 0.25},
    "score/averaged": {"probe_steps": 5, "warm_start": 0.25},
    "score/low_rank": {"probe_steps": 5, "warm_start": 0.25},
    "score/mixture": {"probe_steps": 5, "warm_start": 0.25},
    "elbo_natural": {"probe_steps": 5, "warm_start": 0.25},
    "bam": {"warm_start": 0.25},
    "gsm": {"warm_start": 0.25},
    "cyclical": {"cycles": 3, "warm_start": 0.25},
    "swag": {"collecting_share": 0.75},
    "ssvi": {"density": 0.5, "swap_every": 4, "warm_start": 0.25},
}
# Settings under which every weight has a spread and may have any mean.
EVERY_WEIGHT: dict[str, dict[str, Any]] = {
    "ssvi": {"density": 1.0},
    "score/mixture": {"num_components": 1},
    "elbo/mixture": {"num_components": 1},
}
# And under which the learning rate is the only one.
ONE_RATE: dict[str, dict[str, Any]] = {**EVERY_WEIGHT, "cyclical": {"warm_start": 0.0}}
# Settings under which a method is noisy, or its posterior changes, from one step to the next.
RESTLESS: dict[str, dict[str, Any]] = {
    # They know the horizon, and so have a warm start.
    "score/averaged": {"warm_start": 0.0},
    "elbo/averaged": {"warm_start": 0.0},
    "bam": {"learning_rate": 0.1},
    "cyclical": {"warm_start": 0.0, "exploration": 0.0},
    "ssvi": {"warm_start": 0.0, "density": 1.0},
}
POSTERIOR_NAMES = [name for name, cls in METHODS.items() if cls.is_posterior] + VARIANTS


def method(name: str, **settings: Any) -> InferenceMethod:
    """Build a method by name, or by name and family (or ``averaged``)."""
    name, _, family = name.partition("/")
    variant: dict[str, Any] = {"family": family} if family else {}
    if family == "averaged":
        variant = {"averaging_share": 0.4}
    return build(name, **variant, **settings)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, num_layers=2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(4, 1)

    def forward(self, data: Tensor) -> Tensor:
        return self.head(self.rnn(data)[0])[:, -1]


def attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(3, 4), layer, nn.Flatten(), nn.Linear(20, 1))


def convolution() -> nn.Module:
    return nn.Sequential(nn.Conv1d(5, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(15, 1)),
    "recurrent": Recurrent,
    "attention": attention,
    "convolution": convolution,
}


def built(kind: str = "linear", dtype: torch.dtype = torch.float32) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODULES[kind]().to(dtype)


def batches(count: int, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    data = torch.randn(count, 16, 5, 3, generator=generator, dtype=dtype)
    return [(x, x[:, :, 0].sum(1, keepdim=True)) for x in data]


def train(
    optimizer: BayesianOptimizer, module: nn.Module, data: list[tuple[Tensor, Tensor]]
) -> list[float]:
    losses = []
    for inputs, labels in data:

        def closure(inputs: Tensor = inputs, labels: Tensor = labels) -> Tensor:
            optimizer.zero_grad()
            loss = 0.5 * functional.mse_loss(module(inputs), labels)
            loss.backward()
            return loss

        losses.append(float(optimizer.step(closure)))
    return losses


def finish(optimizer: BayesianOptimizer, module: nn.Module) -> None:
    """End training, with the last pass of a method that makes one."""

    def closure_of(inputs: Tensor, labels: Tensor) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = 0.5 * functional.mse_loss(module(inputs), labels)
            loss.backward()
            return loss

        return closure

    closures = [closure_of(*batch) for batch in batches(optimizer.method.last_pass)]
    optimizer.finalize(closures or None, 16)


def optimizer_of(
    inference: InferenceMethod, module: nn.Module, steps: int | None = None, seed: int = 0
) -> BayesianOptimizer:
    generator = torch.Generator().manual_seed(seed)
    if steps is None and inference.needs_total_steps:
        steps = 1000
    return inference.optimizer(
        module, num_observations=1000, total_steps=steps, generator=generator
    )


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("name", NAMES)
def test_a_plain_loop_lowers_the_loss_of_any_module(
    name: str, kind: str, unchanged_global_random_state: None
) -> None:
    module = built(kind)
    inference = method(name, **LEARNING.get(name, QUICK))
    if kind == "recurrent" and not inference.is_posterior:
        module.rnn.dropout = 0.0
    optimizer = optimizer_of(inference, module, steps=200)
    losses = train(optimizer, module, batches(200))
    finish(optimizer, module)
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])
    assert optimizer.gradient_evaluations == inference.evaluations(200)
    assert optimizer.posterior.num_weights == gather(module).numel()
    torch.testing.assert_close(gather(module), optimizer.resting_weights)
    assert bool(torch.isfinite(optimizer.posterior.mean).all())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_posterior(name: str) -> None:
    def run(seed: int) -> Tensor:
        module = built()
        optimizer = optimizer_of(method(name, **RESTLESS.get(name, {})), module, seed=seed)
        train(optimizer, module, batches(5))
        return optimizer.posterior.mean

    assert torch.equal(run(1), run(1))
    assert name in NOISELESS or not torch.equal(run(1), run(2))


@pytest.mark.parametrize("name", NAMES)
def test_resuming_from_a_state_dict_is_exact(name: str, tmp_path) -> None:
    data = batches(40)
    inference = method(name, **ALL_PHASES.get(name, {}))
    module = built()
    optimizer = optimizer_of(inference, module, steps=40)
    train(optimizer, module, data[:20])
    torch.save({"o": optimizer.state_dict(), "m": module.state_dict()}, tmp_path / "state.pt")
    train(optimizer, module, data[20:])

    other = built()
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    other.load_state_dict(saved["m"])
    resumed = optimizer_of(inference, other, steps=40, seed=99)
    resumed.load_state_dict(saved["o"])
    train(resumed, other, data[20:])
    for key, value in optimizer.posterior.state_dict().items():
        assert torch.equal(value, resumed.posterior.state_dict()[key])
    assert torch.equal(gather(module), gather(other))
    assert resumed.gradient_evaluations == optimizer.gradient_evaluations


@pytest.mark.parametrize("name", POSTERIOR_NAMES)
def test_going_on_with_a_longer_horizon_stays_in_its_phase(name: str) -> None:
    inference = method(name, **RESTLESS.get(name, {}))
    module = built()
    optimizer = optimizer_of(inference, module, steps=40)
    train(optimizer, module, batches(40))
    finish(optimizer, module)
    other = built()
    longer = optimizer_of(inference, other, steps=400)
    longer.load_state_dict(optimizer.state_dict())
    assert not longer.warming
    before = longer.posterior.variance.clone()
    train(longer, other, batches(1))
    finish(longer, other)
    change = (longer.posterior.variance / before).log().abs().max()
    assert 0 < float(change) < 1


def test_a_state_that_does_not_fit_is_refused() -> None:
    state = optimizer_of(MAP(), built()).state_dict()
    with pytest.raises(ValueError, match="method of the state must be 'score', not 'map'"):
        optimizer_of(ProximalScoreVI(), built()).load_state_dict(state)
    other = MAP().optimizer(built(), num_observations=7)
    with pytest.raises(ValueError, match="num_observations of the state must be 7 as here"):
        other.load_state_dict(state)
    other = optimizer_of(ELBOVI(family="low_rank"), built()).state_dict()
    made = r"posterior of the state \(made with family='low_rank', here 'mean_field'\) must be"
    with pytest.raises(ValueError, match=made):
        optimizer_of(ELBOVI(), built()).load_state_dict(other)
    pooled = optimizer_of(ProximalScoreVI(probe_estimate="pooled"), built()).state_dict()
    with pytest.raises(ValueError, match=r"vectors .* probe_estimate='pooled', here 'rms'"):
        optimizer_of(ProximalScoreVI(), built()).load_state_dict(pooled)
    with pytest.raises(ValueError, match="shape of locations"):
        optimizer_of(MAP(), built("attention")).load_state_dict(state)


@pytest.mark.parametrize("name", NAMES)
def test_float64_and_a_change_of_dtype_in_the_middle(name: str) -> None:
    module = built(dtype=torch.float64)
    optimizer = optimizer_of(method(name), module)
    train(optimizer, module, batches(3, torch.float64))
    assert optimizer.posterior.mean.dtype == torch.float64
    module.float()
    train(optimizer, module, batches(3))
    assert optimizer.posterior.mean.dtype == torch.float32
    torch.testing.assert_close(gather(module), optimizer.resting_weights)


@pytest.mark.parametrize("name", NAMES)
def test_bf16_autocast_trains(name: str) -> None:
    module = built()
    optimizer = optimizer_of(method(name, **LEARNING.get(name, QUICK)), module, steps=200)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = train(optimizer, module, batches(200))
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_the_user_loads_become_the_resting_ones(name: str) -> None:
    module = built()
    # The noise of a chain goes with the square root of the step.
    optimizer = optimizer_of(method(name, learning_rate=1e-12, **ONE_RATE.get(name, {})), module)
    train(optimizer, module, batches(2))
    module.load_state_dict({k: torch.full_like(v, 3.0) for k, v in module.state_dict().items()})
    train(optimizer, module, batches(1))
    torch.testing.assert_close(optimizer.resting_weights, torch.full((16,), 3.0))
    torch.testing.assert_close(gather(module), optimizer.resting_weights)


@pytest.mark.parametrize("name", NAMES)
def test_a_deep_copy_goes_on_by_itself(name: str) -> None:
    module = built()
    optimizer = optimizer_of(method(name), module)
    train(optimizer, module, batches(2))
    pair = copy.deepcopy({"module": module, "optimizer": optimizer})
    before = gather(module)
    train(pair["optimizer"], pair["module"], batches(2))
    assert torch.equal(gather(module), before)
    assert not torch.equal(gather(pair["module"]), before)


@pytest.mark.parametrize("name", NAMES)
def test_learning_rate_schedulers_of_torch_work(name: str) -> None:
    module = built()
    inference = method(name, schedule="constant", **EVERY_WEIGHT.get(name, {}))
    optimizer = optimizer_of(inference, module)
    scheduler = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda _: 0.0)
    train(optimizer, module, batches(1))
    scheduler.step()
    before = optimizer.posterior.mean.clone()
    train(optimizer, module, batches(1))
    assert torch.equal(optimizer.posterior.mean, before)


@pytest.mark.parametrize("name", sorted({*ALL_PHASES, "sgld", "laplace", "map"}))
def test_a_run_that_ends_without_a_posterior_says_so(name: str) -> None:
    module = built()
    optimizer = optimizer_of(method(name, **ALL_PHASES.get(name, {})), module, steps=40)
    train(optimizer, module, batches(2))
    if name in ("laplace", "map"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            finish(optimizer, module)
        return
    with pytest.warns(PosteriorWarning, match="ended after 2 steps, in its .*no posterior yet"):
        optimizer.finalize()
    train(optimizer, module, batches(38))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.finalize()


@pytest.mark.parametrize("name", NAMES)
def test_frozen_and_tied_parameters(name: str) -> None:
    module = built("attention")
    module[0].requires_grad_(False)
    module[1].linear1.weight = nn.Parameter(torch.zeros(8, 4))
    module[1].linear2.weight = nn.Parameter(torch.zeros(4, 8))
    frozen = module[0].weight.clone()
    optimizer = optimizer_of(method(name), module)
    assert optimizer.posterior.num_weights == sum(
        p.numel() for p in module.parameters() if p.requires_grad
    )
    train(optimizer, module, batches(2))
    assert torch.equal(module[0].weight, frozen)


@pytest.mark.parametrize("name", POSTERIOR_NAMES)
def test_only_the_chosen_parameters_get_a_spread(name: str) -> None:
    module = built("attention")
    start = gather(module)
    inference = method(name, bayesian_parameters=("3.*",), **EVERY_WEIGHT.get(name, {}))
    optimizer = optimizer_of(inference, module, steps=100)
    train(optimizer, module, batches(100))
    finish(optimizer, module)
    variance = optimizer.posterior.variance
    head = 21
    assert bool((variance[-head:] > 0).all())
    assert bool((variance[:-head] == 0).all())
    moved = (optimizer.posterior.mean - start).abs()
    assert float(moved[:-head].mean()) > 1e-3
    draws = optimizer.posterior.sample(2, torch.Generator().manual_seed(0))
    assert torch.equal(draws[0, :-head], draws[1, :-head])
    with pytest.raises(ValueError, match=r"'nothing' matches no trainable parameter of: 0\.weight"):
        optimizer_of(method(name, bayesian_parameters=("nothing",)), module)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_that_plans_asks_for_the_number_of_steps(name: str) -> None:
    inference = method(name)
    if not inference.needs_total_steps:
        inference.optimizer(built(), num_observations=10)
        return
    with pytest.raises(ValueError, match="plans its run from beginning to end: give total_steps"):
        inference.optimizer(built(), num_observations=10)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_closure_there_is_a_clear_error(name: str) -> None:
    optimizer = optimizer_of(method(name), built())
    with pytest.raises(ValueError, match=r"call optimizer\.step\(closure\).*fp16"):
        optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_a_closure_that_fails_leaves_the_module_at_rest(name: str) -> None:
    module = built()
    optimizer = optimizer_of(method(name), module)
    train(optimizer, module, batches(3))

    def interrupted() -> Tensor:
        optimizer.zero_grad()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(interrupted)
    assert torch.equal(gather(module), optimizer.resting_weights)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_is_not_finite_leaves_the_posterior_as_it_was(name: str) -> None:
    module = built()
    optimizer = optimizer_of(method(name), module)
    train(optimizer, module, batches(3))
    before = {k: v.clone() for k, v in optimizer.posterior.state_dict().items()}
    (inputs, labels), *_ = batches(1)
    with pytest.raises(FloatingPointError, match=r"the loss is not finite after .*loss nan"):
        train(optimizer, module, [(inputs * torch.nan, labels)])

    def finite_loss_without_a_gradient() -> Tensor:
        optimizer.zero_grad()
        loss = (module[1].weight * 0.0).square().sum().sqrt()
        loss.backward()
        return loss

    with pytest.raises(FloatingPointError, match=r"the gradient is not finite after .*loss 0\.0"):
        optimizer.step(finite_loss_without_a_gradient)
    for key, value in optimizer.posterior.state_dict().items():
        assert torch.equal(value, before[key])
    assert torch.equal(gather(module), optimizer.resting_weights)
    train(optimizer, module, batches(1))


@pytest.mark.parametrize("name", NAMES)
def test_a_closure_must_return_the_loss(name: str) -> None:
    optimizer = optimizer_of(method(name), built())
    with pytest.raises(ValueError, match="must return the loss as a 0-dim tensor, not None"):
        optimizer.step(lambda: None)


@pytest.mark.parametrize("inference", [ProximalScoreVI(), ELBOVI(), MAP()], ids=lambda m: m.name)
def test_description_round_trip(inference: InferenceMethod) -> None:
    changed = inference.replace(prior=IsotropicPrior(0.5), learning_rate=np.float32(0.25))
    if inference.is_posterior:
        changed = changed.replace(bayesian_parameters=("head.*",), temperature=0.5)
    described = json.loads(json.dumps(changed.to_dict()))
    assert from_dict(described) == changed
    assert from_dict(described) != inference


@pytest.mark.parametrize("name", ["score", "elbo", "elbo_natural", "alpha", "ssvi"])
def test_an_automatic_temperature_falls_below_one_where_weights_outnumber_observations(
    name: str,
) -> None:
    module = nn.Sequential(nn.Linear(4, 10), nn.Linear(10, 2))  # 50 and 22 weights
    settings = {"dense_parameters": ("*",)} if name == "ssvi" else {}

    def temperature(num_observations: int, **given: Any) -> float:
        inference = method(name, **{"temperature": "auto", **settings, **given})
        made = inference.optimizer(module, num_observations=num_observations, total_steps=100)
        assert made.likelihood_weight == pytest.approx(num_observations / made.temperature)
        return made.temperature

    assert temperature(72) == temperature(1000) == 1.0
    assert temperature(18) == 0.25
    assert temperature(18, temperature=1.0) == 1.0
    # Only weights with a spread count.
    assert temperature(11, bayesian_parameters=("1.*",)) == 0.5


def test_bayes_rule_is_the_default_however_few_the_observations() -> None:
    module = nn.Linear(50, 1)
    for name in METHODS:
        made = method(name).optimizer(module, num_observations=5, total_steps=100)
        assert made.temperature == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: method("vi"), "unknown inference method 'vi'; known: score, elbo"),
        (lambda: method("map", temperature=2.0), "setting of 'map' must be one of prior, learning"),
        (
            lambda: method("score", temperature=0.0),
            "temperature must be positive or 'auto', not 0.0",
        ),
        (lambda: method("elbo", learning_rate=-1.0), "learning_rate must be positive, not -1.0"),
        (lambda: method("map", schedule="linear"), "schedule must be one of cosine, constant"),
        (lambda: method("score", trust_region=0.5), "trust_region must be None or at least 1"),
        (lambda: method("score", metric="fisher"), "metric must be one of adam, variance"),
        (lambda: method("score", natural_rate=0.0), "natural_rate must be positive, not 0.0"),
        (lambda: method("score", warm_start=1.0), "warm_start must be from 0 to below 1, not 1.0"),
        (lambda: method("elbo", warm_start="x"), "warm_start must be from 0 to below 1, not 'x'"),
        (lambda: method("score", averaging=float("inf")), "averaging must be 0 or more, and fin"),
        (lambda: method("score", antithetic="no"), "antithetic must be True or False, not 'no'"),
        (lambda: method("elbo", bayesian_parameters=()), "a tuple of name patterns or None, not"),
        (lambda: MAP().replace(rate=1.0), "setting of 'map' must be one of prior, learning_rate"),
        (lambda: MAP().optimizer(built(), num_observations=True), "num_observations must be an"),
        (
            lambda: optimizer_of(MAP(), built()).add_param_group({"params": [torch.zeros(1)]}),
            "weights are fixed when it is built",
        ),
        (lambda: method("score", probe_steps=0), "probe_steps must be an integer of at least 1"),
        (lambda: method("elbo", initial_scale=0.0), "initial_scale must be positive"),
        (lambda: method("elbo", bayesian_parameters="head"), "a tuple of name patterns or None"),
        (lambda: method("map", prior=1.0), "prior must be a Prior, not 1.0"),
        (lambda: MAP().optimizer(built(), num_observations=0), "num_observations must be an int"),
        (
            lambda: MAP().optimizer(built(), num_observations=5, total_steps=0),
            "total_steps must be an integer of at least 1 or None, not 0",
        ),
    ],
)
def test_bad_settings_say_what_is_wrong(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "inference",
    [
        MAP(),
        ELBOVI(antithetic=True),
        ProximalScoreVI(),
        ProximalScoreVI(warm_start=0.0),
        ProximalScoreVI(antithetic=False),
    ],
    ids=lambda m: f"{m.name}-{m.evaluations(100)}",
)
def test_steps_within_a_budget_are_as_many_as_fit(inference: InferenceMethod) -> None:
    for budget in (0, 1, 7, 100, 5000):
        steps = inference.steps_within(budget)
        assert inference.evaluations(steps) <= budget < inference.evaluations(steps + 1)


def test_schedules() -> None:
    assert [decay("constant", t, 10) for t in (0, 9)] == [1.0, 1.0]
    assert decay("cosine", 0, 10) == 1.0
    assert decay("cosine", 5, 10) == pytest.approx(0.5)
    assert decay("cosine", 10, 10) == pytest.approx(0.0)
    assert decay("cosine", 3000, None) == decay("inverse_sqrt", 3000, 10) == pytest.approx(0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_cuda_and_a_move_in_the_middle(name: str) -> None:
    module = built("recurrent")
    optimizer = optimizer_of(method(name), module)
    train(optimizer, module, batches(3))
    module.cuda()
    train(optimizer, module, [(x.cuda(), y.cuda()) for x, y in batches(3)])
    assert optimizer.posterior.mean.is_cuda
    state = optimizer.state_dict()
    here = built("recurrent")
    optimizer_of(method(name), here).load_state_dict(state)
    torch.testing.assert_close(gather(here), optimizer.resting_weights.cpu())
