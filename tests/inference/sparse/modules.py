"""Small modules and runs of sparse inference, shared by its tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tsbnn.inference import SparseSubspaceVI
from tsbnn.inference.sparse.ssvi import SparseSubspaceOptimizer

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
