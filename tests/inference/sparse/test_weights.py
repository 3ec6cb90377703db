"""State of active length: what it holds, how it is resumed and copied, what the module sees."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.inference.memory import LiveStorages
from tests.inference.scenarios import gather
from tests.inference.sparse.modules import KERNELS, MODULES, built, closures, optimizer_of
from tsbnn.inference import CentredPrior, SparseSubspaceVI, weights_at


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
    method = SparseSubspaceVI(
        density=0.25, layout="uniform", dense_parameters=("0.*", "3.*"), keep_norm=False
    )
    optimizer = optimizer_of(method, module)
    assert optimizer.flat.counts == [96, 16, 64, 16, 16, 1]
    slot = optimizer.flat.slots[2]
    active = slot.view(optimizer.posterior.active).reshape(-1)
    assert float(start[active].abs().min()) >= float(start[~active].abs().max())
    assert torch.equal(module[2].weight.reshape(-1), start * active)
    other = built()
    optimizer_of(method.replace(keep_norm=True), other)
    torch.testing.assert_close(other[2].weight.norm(), start.norm())
    weight = module[2].weight
    torch.testing.assert_close(other[2].weight, weight * start.norm() / weight.norm())
    assert torch.equal(other[0].weight, module[0].weight)
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
