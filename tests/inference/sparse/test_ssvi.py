"""Sparse subspace inference: fixed density, swaps, a known sparse posterior."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.inference.scenarios import gather
from tests.inference.sparse.modules import KERNELS, MODULES, built, closures, optimizer_of
from tsbnn.inference import IsotropicPrior, SparseSubspaceVI


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
        keep_norm=False,
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


def test_only_active_weights_count_against_the_observations() -> None:
    module = nn.Linear(100, 10)
    made = SparseSubspaceVI(density=0.1, temperature="auto").optimizer(
        module, num_observations=55, total_steps=50
    )
    # A tenth of the matrix, and the biases.
    assert made.temperature == pytest.approx(55 / 110)


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": 0.0}, "density must be above 0 and at most 1, not 0.0"),
        ({"density": 1.5}, "density must be above 0 and at most 1, not 1.5"),
        ({"swap_until": 2.0}, "swap_until must be above 0 and at most 1, not 2.0"),
        ({"swap_fraction": -0.1}, "swap_fraction must be from 0 to 1, not -0.1"),
        ({"keep_norm": 1}, "keep_norm must be True or False, not 1"),
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
