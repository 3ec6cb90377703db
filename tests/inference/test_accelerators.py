"""Steps on an accelerator never wait for it, draw their noise there, and take little memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.inference.test_method import ALL_PHASES, built, method, optimizer_of
from tsbnn.inference import BayesianOptimizer, InferenceMethod, ProximalScoreVI, noise
from tsbnn.inference import optimizer as optimizer_module
from tsbnn.inference.noise import noise_source, noise_state, restore_noise

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
NAMES = [
    "score",
    "score/averaged",
    "score/low_rank",
    "elbo",
    "elbo/averaged",
    "elbo/low_rank",
    "elbo_natural",
    "alpha",
    "map",
    "sgld",
    "psgld",
    "sghmc",
    "cyclical",
    "ensemble",
    "swag",
]
ON_CUDA = ["score", "score/averaged", "elbo", "elbo_natural", "alpha", "map", "sghmc"]
STEPS = 24


def inference_of(name: str) -> InferenceMethod:
    return method(name, **ALL_PHASES.get(name, {}))


class NoCopies(TorchDispatchMode):
    """Refuses copies from one device to another: those of ordinary memory wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
        if "copy" in str(func) and len({tensor.device for tensor in tensors}) > 1:
            raise AssertionError(f"{func} between devices")
        return result


@contextmanager
def nowhere(optimizer: BayesianOptimizer, module: nn.Module) -> Iterator[None]:
    """Move everything to torch's meta device, whose tensors have no values to wait for."""
    with pytest.MonkeyPatch.context() as patch:
        # There are neither generators there, nor a way to make tensors of numbers in silence.
        patch.setattr(optimizer_module, "noise_source", lambda generator, device: None)
        module.to("meta")
        optimizer.flat._bind()
        optimizer._follow()

        def refuse(self, data, **options):
            raise AssertionError("numbers copied from the host")

        patch.setattr(Tensor, "new_tensor", refuse)
        with torch.no_grad(), NoCopies():
            yield


def one_step(optimizer: BayesianOptimizer, module: nn.Module, inputs: Tensor) -> None:
    """Do what `step` does, but for autocast and aliases, which that device does not have."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = module(inputs).square().mean()
        loss.backward()
        return loss

    # Now and then a step looks if all is finite.
    optimizer.gradient_evaluations = 0
    ready = optimizer.ready
    loss = optimizer._step(closure)
    if ready:
        optimizer.losses.add(loss)
    optimizer._end_step()
    optimizer.steps += 1
    optimizer._rest()


@pytest.mark.parametrize("name", NAMES)
def test_no_step_asks_for_a_value(name: str) -> None:
    module = built()
    optimizer = optimizer_of(inference_of(name), module, steps=STEPS)
    inputs = torch.empty(16, 5, 3, device="meta")
    with nowhere(optimizer, module):
        for _ in range(STEPS):
            one_step(optimizer, module, inputs)
    assert optimizer.posterior.mean.is_meta


def test_what_waits_would_be_seen() -> None:
    module = built()
    optimizer = optimizer_of(ProximalScoreVI(), module, steps=STEPS)
    with nowhere(optimizer, module):
        values = optimizer.flat.values
        with pytest.raises(RuntimeError, match="meta"):
            values.sum().item()
        with pytest.raises(RuntimeError, match="meta"):
            bool(values.sum() > 0)
        with pytest.raises(AssertionError, match="between devices"):
            torch.eye(3).to(values)
        with pytest.raises(AssertionError, match="between devices"):
            values.copy_(torch.zeros(16))
        with pytest.raises(AssertionError, match="from the host"):
            values.new_tensor([1.0])


def test_noise_comes_from_a_generator_where_the_weights_are(monkeypatch) -> None:
    made = []

    class Generator:
        def __init__(self, device: torch.device) -> None:
            self.device = device
            made.append(self)

        def manual_seed(self, seed: int) -> Generator:
            self.seed = seed
            return self

    given = torch.Generator().manual_seed(5)
    assert noise_source(given, torch.device("cpu")) is given
    monkeypatch.setattr(noise.torch, "Generator", Generator)
    found = [noise_source(given, torch.device("cuda:1")) for _ in range(2)]
    again = torch.default_generator.clone_state().manual_seed(5)
    assert noise_source(again, torch.device("cuda:1")).seed == found[0].seed != found[1].seed
    assert [each.device for each in made] == [torch.device("cuda:1")] * 3


def test_the_state_of_noise() -> None:
    generator = torch.Generator().manual_seed(3)
    torch.rand(7, generator=generator)
    saved = noise_state(generator)
    expected = torch.rand(3, generator=generator)
    other = torch.Generator()
    restore_noise(other, saved)
    assert torch.equal(torch.rand(3, generator=other), expected)
    # From another kind of device: other numbers, but the same each time.
    drawn = []
    for state in (saved["state"], saved["state"], noise_state(generator)["state"]):
        restore_noise(other, {"device": "cuda", "state": state})
        drawn.append(torch.rand(3, generator=other))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], expected)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", ON_CUDA)
def test_cuda_steps_without_waiting(name: str, together: bool) -> None:
    module = built().cuda()
    optimizer = optimizer_of(inference_of(name), module, steps=STEPS)
    optimizer.evaluates_together = together
    inputs = torch.randn(16, 5, 3, device="cuda")

    def closure() -> Tensor:
        optimizer.zero_grad()
        if optimizer.draws is None:
            loss = module(inputs).square().mean()
        else:
            loss = optimizer.mean_of(optimizer.draws.square().sum(1))
        loss.backward()
        return loss

    assert optimizer.generator.device.type == "cuda"
    # The first step loads kernels.
    optimizer.step(closure)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(STEPS - 1):
            optimizer.gradient_evaluations = 0
            optimizer.step(closure)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool(torch.isfinite(optimizer.posterior.mean).all())


@pytest.mark.gpu
@needs_cuda
def test_cuda_noise_resumes_exactly() -> None:
    data = torch.randn(20, 16, 5, 3, device="cuda")

    def run(optimizer: BayesianOptimizer, module: nn.Module, batches: Tensor) -> Tensor:
        for inputs in batches:

            def closure(inputs: Tensor = inputs) -> Tensor:
                optimizer.zero_grad()
                loss = module(inputs).square().mean()
                loss.backward()
                return loss

            optimizer.step(closure)
        return optimizer.posterior.mean.clone()

    modules = [built().cuda() for _ in range(3)]
    first, same, resumed = (
        optimizer_of(inference_of("score"), each, steps=20, seed=seed)
        for each, seed in zip(modules, (0, 0, 1), strict=True)
    )
    run(first, modules[0], data[:10])
    state = first.state_dict()
    end = run(first, modules[0], data[10:])
    assert torch.equal(run(same, modules[1], data), end)
    resumed.load_state_dict(state)
    assert torch.equal(run(resumed, modules[2], data[10:]), end)


@pytest.mark.gpu
@needs_cuda
def test_cuda_memory_of_a_step_is_adams_and_three_vectors() -> None:
    width, layers = 500, 20
    num_bytes = 4 * layers * (width + 1) * width

    def peak(make_step: Callable[[nn.Module, Tensor], Callable[[], object]]) -> int:
        gc.collect()
        before = torch.cuda.memory_allocated()
        module = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers))).cuda()
        step = make_step(module, torch.randn(32, width, device="cuda"))
        for _ in range(8):
            step()
        torch.cuda.reset_peak_memory_stats()
        for _ in range(4):
            step()
        return torch.cuda.max_memory_allocated() - before

    def adam(module: nn.Module, inputs: Tensor):
        optimizer = torch.optim.Adam(module.parameters(), fused=True)

        def step() -> None:
            optimizer.zero_grad()
            module(inputs).square().mean().backward()
            optimizer.step()

        return step

    def score(module: nn.Module, inputs: Tensor):
        optimizer = ProximalScoreVI(probe_steps=2).optimizer(module, num_observations=1000)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = module(inputs).square().mean()
            loss.backward()
            return loss

        return lambda: optimizer.step(closure)

    assert peak(score) <= peak(adam) + 3.25 * num_bytes
