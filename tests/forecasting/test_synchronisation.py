"""A training step never waits for the device: nothing on it becomes a number of Python's.

On a CPU that is seen by who asks for a tensor's number; on CUDA the driver tells.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from tsbnn.forecasting import BayesianEstimator
from tsbnn.inference.evaluation import EvaluatingOptimizer
from tsbnn.inference.loss_average import LossAverage

BATCHES = 10
NETWORKS = ["our_deepar", "our_transformer", "our_patch_transformer"]
# Wait, or have outputs as long as the data say.
WAITING = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.nonzero.default,
}


class Asked(TorchDispatchMode):
    """Operations that would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        if func in WAITING:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


class Watch(Callback):
    """Looks at all steps of an epoch but the first, and at the loader between them."""

    def __init__(self) -> None:
        self.asked = Asked()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if batch_idx == 1:
            if pl_module.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("error")
            self.asked.__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if batch_idx == BATCHES - 1:
            self.asked.__exit__(None, None, None)
            if pl_module.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")


def train(tiny, name, series, inference, accelerator):
    watch = Watch()
    wrapped = tiny(
        name,
        trainer_kwargs={"max_epochs": 2, "callbacks": [watch], "accelerator": accelerator},
        num_batches_per_epoch=BATCHES,
    )
    BayesianEstimator(wrapped, inference).train(series)
    return watch.asked


@pytest.fixture
def looks_away(monkeypatch) -> None:
    """On an accelerator only every 50th evaluation is looked at, and losses stay there."""
    monkeypatch.setattr(EvaluatingOptimizer, "_look_at", lambda *arguments: None)
    monkeypatch.setattr(LossAverage, "add", lambda *arguments: None)


@pytest.mark.usefixtures("looks_away")
@pytest.mark.parametrize("inference", ["score", "map"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_step_asks_for_a_number(name, inference, tiny, series) -> None:
    asked = train(tiny, name, series, inference, "cpu")
    assert asked.found == []
    assert asked.calls > 100 * BATCHES


def test_what_asks_is_seen(tiny, series) -> None:
    """On a CPU every step's gradient is looked at, and its loss is averaged as a number."""
    asked = train(tiny, "our_patch_transformer", series, "map", "cpu")
    assert asked.found == ["aten._local_scalar_dense.default"] * (2 * 2 * (BATCHES - 1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("inference", ["score", "map"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_step_waits_for_the_device(name, inference, tiny, series, monkeypatch) -> None:
    monkeypatch.setattr(EvaluatingOptimizer, "_look_at", lambda *arguments: None)
    try:
        train(tiny, name, series, inference, "gpu")
    finally:
        torch.cuda.set_sync_debug_mode("default")
