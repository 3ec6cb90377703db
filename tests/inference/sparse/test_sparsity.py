"""Layout of the active weights, and operations counted against those of formulas."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tsbnn.inference import ELBOVI, InferenceMethod, ProximalScoreVI, SparseSubspaceVI
from tsbnn.inference.flat import slots
from tsbnn.inference.sparse.sparsity import SparsityReport, active_counts

BATCH = 7


def report_of(module: nn.Module, data: Tensor, **settings: object) -> SparsityReport:
    method = SparseSubspaceVI(**settings)
    optimizer = method.optimizer(module, num_observations=100, total_steps=10)

    def closure() -> Tensor:
        optimizer.zero_grad()
        output = module(data)
        loss = (output[0] if isinstance(output, tuple) else output).square().mean()
        loss.backward()
        return loss

    before = optimizer.posterior.mean
    report = optimizer.sparsity_report(closure)
    assert torch.equal(optimizer.posterior.mean, before)
    assert optimizer.gradient_evaluations == 0
    return report


def test_uniform_layout() -> None:
    module = nn.Sequential(nn.Linear(100, 50), nn.Linear(50, 2))
    dense = [False, True, False, True]
    assert active_counts(slots(module), dense, 0.1, "uniform") == [500, 50, 10, 2]
    assert active_counts(slots(module), dense, 1e-9, "uniform") == [1, 50, 1, 2]


def test_erdos_renyi_layout_keeps_the_budget_and_fills_small_layers() -> None:
    module = nn.Sequential(nn.Linear(100, 50), nn.Linear(50, 50), nn.Linear(50, 2))
    dense = [False, True] * 3
    counts = active_counts(slots(module), dense, 0.2)
    # 5000 + 2500 + 100 weights: the last layer is full, the others share 1420 as 150 to 100.
    assert counts == [852, 50, 568, 50, 100, 2]
    assert active_counts(slots(module), dense, 1.0) == [5000, 50, 2500, 50, 100, 2]


@pytest.mark.parametrize("kernels", ["dense", "sparse"])
def test_operations_of_linear_layers(kernels: str) -> None:
    module = nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 20))
    data = torch.randn(BATCH, 40, generator=torch.Generator().manual_seed(0))
    report = report_of(module, data, density=0.25, layout="uniform", kernels=kernels)
    # Forward and weight gradient of both layers, and the second's gradient of its inputs.
    dense = 2 * BATCH * (2 * 40 * 30 + 3 * 30 * 20)
    assert report.dense_flops == dense
    assert report.theoretical_flops == dense / 4
    assert report.executed_flops == (dense if kernels == "dense" else dense / 4)


def test_operations_of_a_recurrent_network_are_seen_through_fused_kernels() -> None:
    module = nn.LSTM(6, 5, batch_first=True)
    data = torch.randn(BATCH, 3, 6, generator=torch.Generator().manual_seed(0))
    report = report_of(module, data, density=0.5, layout="uniform", kernels="sparse")
    # Three steps: inputs (no gradient of the data), and the state, whose first is constant.
    forward = 2 * BATCH * 3 * 20 * (6 + 5)
    assert report.executed_flops == report.dense_flops
    assert 2 * forward <= report.dense_flops <= 3 * forward
    assert report.theoretical_flops == pytest.approx(report.dense_flops / 2, rel=0.15)
    assert not any(layer.sparse_kernel for layer in report.layers)


def test_operations_of_a_convolution() -> None:
    module = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Conv1d(8, 8, 3))
    data = torch.randn(BATCH, 4, 12, generator=torch.Generator().manual_seed(0))
    report = report_of(module, data, density=0.5, layout="uniform")
    first, second = 2 * BATCH * 10 * 8 * 4 * 3, 2 * BATCH * 8 * 8 * 8 * 3
    assert report.dense_flops == 2 * first + 3 * second
    assert report.theoretical_flops == report.dense_flops / 2


def test_attention_is_counted_and_stays_dense() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    data = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    report = report_of(layer, data, density=0.25, layout="uniform", kernels="sparse")
    kernels = {layer.name: layer.sparse_kernel for layer in report.layers}
    assert [name for name, own in kernels.items() if own] == ["linear1.weight", "linear2.weight"]
    weights = 8 * 24 + 8 * 8 + 2 * 8 * 16
    attention = 2 * 2 * 2 * 3 * 3 * 8 * 3
    # The gradient of the data is not asked for: in_proj has two products, the others three.
    dense = 2 * 6 * (3 * weights - 8 * 24) + attention
    assert report.dense_flops == dense
    assert report.executed_flops == dense - 0.75 * 2 * 6 * 3 * 2 * 8 * 16
    assert report.theoretical_flops == attention + (dense - attention) / 4


def test_without_a_closure_there_are_no_operations_and_the_table_names_the_layers() -> None:
    module = nn.Linear(10, 10)
    optimizer = SparseSubspaceVI(density=0.2, layout="uniform").optimizer(
        module, num_observations=10, total_steps=10
    )
    report = optimizer.sparsity_report()
    assert (report.active, report.weights) == (30, 110)
    assert report.executed_flops is None
    text = str(report)
    assert "weight" in text
    assert "20 of        100 active (20.0%), dense kernel" in text
    assert "FLOPs" not in text


@pytest.mark.parametrize("dense", [ELBOVI(), ProximalScoreVI()], ids=lambda method: method.name)
def test_the_dense_state_it_is_compared_with_is_what_dense_methods_keep(
    dense: InferenceMethod,
) -> None:
    module = nn.Linear(30, 30)
    settings = {"num_observations": 10, "total_steps": 10}
    report = SparseSubspaceVI().optimizer(copy.deepcopy(module), **settings).sparsity_report()
    optimizer = dense.optimizer(module, **settings)
    state = [optimizer.flat.values, optimizer.flat.gradient]
    state += [*optimizer.posterior.buffers(), *optimizer._vectors.values()]
    kept = {t.data_ptr(): 4 * t.numel() for t in state if t.numel() == 30 * 31}
    assert sum(kept.values()) == getattr(report, f"dense_{dense.name}_bytes")
