"""Sparse subspace inference: fixed density, swaps, a known sparse posterior, sparse state."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.inference.memory import LiveStorages
from tests.inference.scenarios import gather
from tsbnn.inference import CentredPrior, IsotropicPrior, SparseSubspaceVI, weights_at
from tsbnn.inference.ssvi import SparseSubspaceOptimizer

KERNELS = ("dense", "sparse")


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Linear(16, 1))


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1)
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Linear(6, 8), encoder, nn.Linear(8, 1))


MODULES = {"perceptron": perceptron, "transformer": transformer}


def built(kind: str = "perceptron") -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODULES[kind]().double()


def optimizer_of(
    method: SparseSubspaceVI, module: nn.Module, steps: int = 40
) -> SparseSubspaceOptimizer:
    generator = torch.Generator().manual_seed(0)
    optimizer = method.optimizer(
        module, num_observations=500, total_steps=steps, generator=generator
    )
    assert isinstance(optimizer, SparseSubspaceOptimizer)
    return optimizer


def closures(
    optimizer: SparseSubspaceOptimizer, module: nn.Module, count: int, seed: int = 0
) -> list[Callable[[], Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def make() -> Callable[[], Tensor]:
        inputs = torch.randn(32, 6, generator=generator, dtype=torch.float64)

        def closure() -> Tensor:
            optimizer.zero_grad()
            output = module(inputs).reshape(32)
            loss = 0.5 * (output - inputs[:, 0] + inputs[:, 1] ** 2).square().mean()
            loss.backward()
            return loss

        return closure

    return [make() for _ in range(count)]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("kind", MODULES)
def test_each_parameter_keeps_its_number_of_active_weights(kind: str, kernels: str) -> None:
    module = built(kind)
    optimizer = optimizer_of(
        SparseSubspaceVI(density=0.3, swap_every=5, warm_start=0.5, kernels=kernels), module
    )
    places, counts = optimizer.flat.slots, optimizer.flat.counts
    eligible = [slot for slot in places if len(slot.shape) > 1]
    share = sum(c for c, s in zip(counts, places, strict=True) if len(s.shape) > 1)
    assert share / sum(slot.size for slot in eligible) == pytest.approx(0.3, abs=0.01)
    seen = {tuple(optimizer.posterior.index.tolist())}
    for closure in closures(optimizer, module, 40):
        loss = optimizer.step(closure)
        active, mean = optimizer.posterior.active, optimizer.posterior.mean
        draw = optimizer.posterior.sample(1, torch.Generator().manual_seed(1))[0]
        assert [int(slot.view(active).sum()) for slot in places] == counts
        assert bool((draw[~active] == 0).all())
        assert bool((mean[~active] == 0).all())
        state = module.state_dict()
        resting = torch.cat([state[slot.name].reshape(-1) for slot in places])
        assert torch.equal(resting, mean)
        seen.add(tuple(optimizer.posterior.index.tolist()))
    assert bool(torch.isfinite(loss))
    # Swaps at the steps 5, 10, ..., 25, each of some weights, and none from 75 % on.
    assert len(seen) == 6
    optimizer.finalize()
    assert torch.equal(gather(module), optimizer.posterior.mean)
    assert all(type(m) is not nn.Linear or m.weight.is_contiguous() for m in module.modules())


def test_while_a_network_is_evaluated_its_inactive_weights_are_zero() -> None:
    module = built()
    optimizer = optimizer_of(SparseSubspaceVI(density=0.2, warm_start=0.0, swap_every=3), module)
    for closure in closures(optimizer, module, 20):
        active = optimizer.posterior.active

        def watched(closure: Callable[[], Tensor] = closure, active: Tensor = active) -> Tensor:
            weights = gather(module)
            assert bool((weights[~active] == 0).all())
            assert bool((weights[active] != 0).all())
            return closure()

        optimizer.step(watched)


class Matrix(nn.Module):
    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([values], dtype=torch.float64))


def test_a_swap_drops_by_signal_to_noise_and_adds_by_gradient() -> None:
    module = Matrix([5.0, 4.0, 3.0, 2.0, 0.1, 0.1, 0.1, 0.1])
    method = SparseSubspaceVI(
        density=0.5,
        swap_fraction=0.5,
        swap_every=1,
        warm_start=0.0,
        learning_rate=1e-9,
        scale_learning_rate=1e-9,
        prior=IsotropicPrior(2.0),
    )
    optimizer = optimizer_of(method, module, 1000)
    gradient = torch.tensor([[9.0, 9.0, 9.0, 9.0, 0.3, -0.9, 0.5, 0.0]], dtype=torch.float64)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (gradient * module.weight).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    posterior = optimizer.posterior
    assert posterior.index.tolist() == [0, 1, 2, 3]
    # Signal-to-noise 1, 8, 1.5, 4: not the order of the means.
    posterior.precision.copy_(torch.tensor([0.2, 2.0, 0.5, 2.0]).double().square())
    optimizer.step(closure)
    assert posterior.index.tolist() == [1, 3, 5, 6]
    torch.testing.assert_close(
        posterior.mean, torch.tensor([0, 4.0, 0, 2.0, 0, 0, 0, 0]).double(), atol=1e-6, rtol=0
    )
    sd = posterior.precision.rsqrt()
    expected = torch.tensor([0.5, 0.5, 0.02, 0.02]).double()
    torch.testing.assert_close(sd, expected, atol=1e-6, rtol=0.0)
    moments = optimizer._vectors
    assert moments["momentum"][2:].tolist() == [0.0, 0.0]
    # Adam's second moment of the new ones, bias corrected: their squared gradients.
    corrected = moments["second_moment"][2:] / (1 - 0.999**2)
    torch.testing.assert_close(corrected, torch.tensor([0.81, 0.25]).double())


def test_the_swap_fraction_falls_by_a_cosine_to_zero() -> None:
    method = SparseSubspaceVI(density=0.5, swap_every=10)
    optimizer = optimizer_of(method, nn.Linear(200, 100, bias=False), 400)
    sizes = []
    for step in range(400):
        optimizer.steps = step
        sizes.append(optimizer._swap_sizes()[0])
    taken = {step: size for step, size in enumerate(sizes) if size}
    assert list(taken) == list(range(10, 300, 10))
    assert taken[150] == pytest.approx(0.15 * 10_000, rel=1e-3)
    assert taken[10] == pytest.approx(0.3 * 10_000, rel=0.01)
    assert taken[290] < 10


def test_regression_with_a_sparse_truth() -> None:
    num_weights, num_observations = 100, 1000
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(num_observations, num_weights, generator=generator)
    features *= torch.linspace(1.0, 2.0, num_weights)
    support = torch.randperm(num_weights, generator=generator)[:10]
    truth = torch.zeros(num_weights)
    truth[support] = torch.tensor([1.0, -1.0]).repeat(5) * torch.linspace(0.3, 1.5, 10)
    labels = features @ truth + torch.randn(num_observations, generator=generator)
    module = nn.Linear(num_weights, 1, bias=False)
    method = SparseSubspaceVI(
        density=0.12,
        prior=IsotropicPrior(1.0),
        warm_start=0.25,
        swap_every=20,
        swap_until=0.5,
        learning_rate=2e-2,
        scale_learning_rate=2e-2,
    )
    steps = 1000
    optimizer = method.optimizer(
        module, num_observations=num_observations, total_steps=steps, generator=generator
    )
    for _ in range(steps):
        rows = torch.randint(num_observations, (500,), generator=generator)

        def closure(rows: Tensor = rows) -> Tensor:
            optimizer.zero_grad()
            loss = 0.5 * (module(features[rows])[:, 0] - labels[rows]).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
    posterior = optimizer.posterior
    active = posterior.index.long()
    assert len(active) == 12
    assert set(support.tolist()) <= set(active.tolist())
    # The exact posterior given these weights, and its best mean-field approximation.
    chosen = features[:, active].double()
    precision = chosen.T @ chosen + torch.eye(12).double()
    mean = torch.linalg.solve(precision, chosen.T @ labels.double())
    sd = precision.diagonal().rsqrt()
    ratio = posterior.variance[active].sqrt() / sd
    assert float((ratio - 1).abs().max()) < 0.15
    assert float(((posterior.mean[active] - mean) / sd).abs().max()) < 2.0


@pytest.mark.parametrize("kernels", KERNELS)
def test_state_has_the_length_of_the_active_set(kernels: str) -> None:
    module = nn.Sequential(*(nn.Linear(64, 64) for _ in range(4)))
    optimizer = optimizer_of(
        SparseSubspaceVI(density=0.1, kernels=kernels, swap_every=2), module, 20
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = module(torch.ones(2, 64)).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    active = sum(optimizer.flat.counts)
    assert active == 4 * (64 + 410)
    state = optimizer.state_dict()
    vectors = [*state["vectors"].values(), *state["posterior"].values()]
    assert [vector.numel() for vector in vectors] == 7 * [active]
    report = optimizer.sparsity_report()
    weights = 4 * 64 * 65
    assert report.dense_elbo_bytes == 9 * 4 * weights
    if kernels == "dense":
        assert report.state_bytes == 4 * (weights + 9 * active)
    else:
        # Biases, one NaN a layer, and of the matrices columns, rows, order and starts.
        own = 4 * (64 + 1 + 3 * 410 + 2 * 65)
        assert report.state_bytes == 4 * (own + 9 * active)
    # Of dense gradients one at a time is alive, and copies of one where a swap looks at it.
    optimizer.steps = 4
    with LiveStorages(4 * 64 * 64) as storages:
        optimizer.step(closure)
    assert storages.peak <= 3
    optimizer.steps = 5
    with LiveStorages(4 * 64 * 64) as storages:
        optimizer.step(closure)
    assert storages.peak <= (1 if kernels == "dense" else 0)


@pytest.mark.parametrize("kind", MODULES)
def test_both_kernels_give_the_same_posterior(kind: str) -> None:
    found = []
    for kernels in KERNELS:
        module = built(kind)
        method = SparseSubspaceVI(density=0.3, swap_every=5, warm_start=0.3, kernels=kernels)
        optimizer = optimizer_of(method, module)
        for closure in closures(optimizer, module, 40):
            optimizer.step(closure)
        found.append(optimizer.posterior)
    assert torch.equal(found[0].index, found[1].index)
    torch.testing.assert_close(found[0].mean, found[1].mean)
    torch.testing.assert_close(found[0].variance, found[1].variance)


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_resumed_run_and_a_deep_copy_go_on_alike(kernels: str) -> None:
    method = SparseSubspaceVI(density=0.3, swap_every=5, warm_start=0.3, kernels=kernels)
    module = built()
    optimizer = optimizer_of(method, module)
    for closure in closures(optimizer, module, 12):
        optimizer.step(closure)
    saved = copy.deepcopy((module.state_dict(), optimizer.state_dict()))
    pair = copy.deepcopy({"optimizer": optimizer, "module": module})
    assert type(pair["module"][0]) is nn.Linear
    other = built()
    other.load_state_dict(saved[0])
    resumed = optimizer_of(method, other)
    resumed.load_state_dict(saved[1])
    ends = []
    for o, m in ((optimizer, module), (resumed, other), (pair["optimizer"], pair["module"])):
        for closure in closures(o, m, 20, seed=1):
            o.step(closure)
        o.finalize()
        ends.append(gather(m))
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])
    assert not torch.equal(ends[0], built()[0].weight.new_zeros(len(ends[0])))


@pytest.mark.parametrize("kernels", KERNELS)
def test_an_earlier_posterior_can_be_put_back(kernels: str) -> None:
    module = built()
    optimizer = optimizer_of(SparseSubspaceVI(density=0.2, swap_every=2, kernels=kernels), module)
    data = closures(optimizer, module, 20)
    for closure in data[:7]:
        optimizer.step(closure)
    kept = {k: v.clone() for k, v in optimizer.posterior.state_dict().items()}
    mean = optimizer.posterior.mean
    for closure in data[7:]:
        optimizer.step(closure)
    optimizer.finalize()
    assert not torch.equal(optimizer.posterior.index, kept["index"])
    optimizer.posterior.load_state_dict(kept)
    optimizer.finalize()
    assert torch.equal(gather(module), mean)


@pytest.mark.parametrize("kernels", KERNELS)
def test_weights_that_the_user_loads_count_where_they_are_active(kernels: str) -> None:
    module = built()
    optimizer = optimizer_of(
        SparseSubspaceVI(density=0.2, learning_rate=1e-12, kernels=kernels), module
    )
    data = closures(optimizer, module, 3)
    optimizer.step(data[0])
    module.load_state_dict({k: torch.full_like(v, 3.0) for k, v in module.state_dict().items()})
    optimizer.step(data[1])
    active = optimizer.posterior.active
    torch.testing.assert_close(optimizer.posterior.mean, 3.0 * active.double())
    module.float()
    optimizer.flat.synchronise()
    assert optimizer.flat.values.dtype == torch.float32
    torch.testing.assert_close(gather(module), 3.0 * active.float())


def test_the_largest_weights_are_active_at_first_and_named_parameters_stay_dense() -> None:
    module = built()
    start = module[2].weight.detach().clone().reshape(-1)
    method = SparseSubspaceVI(density=0.25, layout="uniform", dense_parameters=("0.*", "3.*"))
    optimizer = optimizer_of(method, module)
    assert optimizer.flat.counts == [96, 16, 64, 16, 16, 1]
    slot = optimizer.flat.slots[2]
    active = slot.view(optimizer.posterior.active).reshape(-1)
    assert float(start[active].abs().min()) >= float(start[~active].abs().max())
    assert torch.equal(module[2].weight.reshape(-1), start * active)
    with pytest.raises(ValueError, match="pattern 'head' matches no trainable parameter"):
        optimizer_of(SparseSubspaceVI(dense_parameters=("head",)), module)


def test_a_prior_with_a_mean_for_each_weight_follows_the_swaps() -> None:
    module = built()
    size = sum(p.numel() for p in module.parameters())
    centre = torch.linspace(-1.0, 1.0, size).double()
    prior = CentredPrior(centre, torch.linspace(0.5, 2.0, size).double())
    method = SparseSubspaceVI(density=0.3, swap_every=1, prior=prior)
    optimizer = optimizer_of(method, module)
    for closure in closures(optimizer, module, 5):
        optimizer.step(closure)
        gradient = torch.zeros_like(optimizer.flat.values)
        optimizer.active_prior.add_gradient_(gradient, torch.zeros_like(gradient), 1.0)
        index = optimizer.posterior.index.long()
        scale = torch.linspace(0.5, 2.0, size).double()[index]
        torch.testing.assert_close(gradient, -centre[index] / scale.square())


@pytest.mark.parametrize("kernels", KERNELS)
def test_draws_and_other_optimizers_find_an_ordinary_module(kernels: str) -> None:
    module = built("transformer")
    optimizer = optimizer_of(SparseSubspaceVI(density=0.3, kernels=kernels, warm_start=0), module)
    inputs = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for closure in closures(optimizer, module, 3):
        optimizer.step(closure)
    module.eval()
    with torch.no_grad():
        own = module(inputs)
        with weights_at(module, optimizer.posterior.mean):
            torch.testing.assert_close(module(inputs), own)
        torch.testing.assert_close(copy.deepcopy(module)(inputs), own)
        optimizer.finalize()
        torch.testing.assert_close(module(inputs), own)
    module.train()
    module(inputs).square().mean().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in module.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": 0.0}, "density must be above 0 and at most 1, not 0.0"),
        ({"density": 1.5}, "density must be above 0 and at most 1, not 1.5"),
        ({"swap_until": 2.0}, "swap_until must be above 0 and at most 1, not 2.0"),
        ({"swap_fraction": -0.1}, "swap_fraction must be from 0 to 1, not -0.1"),
        ({"swap_every": 0}, "swap_every must be an integer of at least 1, not 0"),
        ({"layout": "flat"}, "layout must be one of erdos_renyi, uniform, not 'flat'"),
        ({"kernels": "csr"}, "kernels must be one of dense, sparse, not 'csr'"),
        ({"dense_parameters": "head"}, "dense_parameters must be a tuple of name patterns"),
        ({"scale_learning_rate": 0.0}, "scale_learning_rate must be positive, not 0.0"),
    ],
)
def test_bad_settings_say_what_is_wrong(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SparseSubspaceVI(**settings)
