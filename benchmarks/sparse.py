"""Sparse subspace inference beside dense mean-field: memory, operations, time, and forecasts.

`python -m benchmarks.sparse memory` writes results/sparse_memory.csv: 20 steps of each method on a
transformer of 10 million weights, the methods taking turns. State is what lives between two steps;
passing bytes are what a step allocates beyond, activations among them. Times are of steps after
the warm start, those with a swap (one in five here, one in ten by default) apart. Operations are
counted as the kernels execute them (masked dense work is dense work); those in theory are a bound.

`python -m benchmarks.sparse trials` writes results/sparse_trials.csv: the trials on validation
windows of etth1 that the defaults were chosen by (one seed, 2,000 gradient evaluations).

`python -m benchmarks.sparse forecasting` writes results/sparse_forecasting.csv: GluonTS's DeepAR on
the test windows of etth1, by dense score VI and ELBO and by SSVI, 5 seeds, 3,000 gradient
evaluations for each.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from gluonts.torch import DeepAREstimator
from torch import Tensor, nn

from benchmarks import protocol
from benchmarks.cells import Cell, run_cells
from benchmarks.forecasting.tables import scoreboard
from benchmarks.output import markdown, show, write
from tests.inference.memory import LiveStorages
from tsbnn import BayesianEstimator
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest
from tsbnn.inference import (
    ELBOVI,
    BayesianOptimizer,
    FanInPrior,
    InferenceMethod,
    ProximalScoreVI,
    SparseSubspaceVI,
)
from tsbnn.inference.sparse.sparsity import counted
from tsbnn.inference.sparse.ssvi import SparseSubspaceOptimizer

FIRST = SparseSubspaceVI(learning_rate=5e-3, swap_every=50, keep_norm=False)
FAST = FIRST.replace(learning_rate=1e-2)
OFTEN = FIRST.replace(learning_rate=2e-2, swap_every=10)
TRIALS = {
    "first settings": FIRST,
    "lr 1e-2": FAST,
    "uniform layout": FIRST.replace(layout="uniform"),
    "lr 2e-2": FIRST.replace(learning_rate=2e-2),
    "lr 1e-2, swaps every 20": FAST.replace(swap_every=20),
    "lr 1e-2, prior gain 3": FAST.replace(prior=FanInPrior(3.0)),
    "lr 2e-2, swaps every 10": OFTEN,
    "lr 2e-2, swaps every 10, norm kept": OFTEN.replace(keep_norm=True),
    "lr 2e-2, swaps every 10, warm start 0.75": OFTEN.replace(warm_start=0.75),
    "lr 2e-2, swaps every 10, norm kept, uniform layout": OFTEN.replace(
        keep_norm=True, layout="uniform"
    ),
}
DATASET, SEEDS = "etth1", range(5)
TRIAL_EVALUATIONS, GRADIENT_EVALUATIONS = 2_000, 3_000
FORECASTERS: dict[str, InferenceMethod] = {
    "score": ProximalScoreVI(),
    "elbo": ELBOVI(),
    "ssvi 0.1": SparseSubspaceVI(density=0.1),
    "ssvi 0.05": SparseSubspaceVI(density=0.05),
}
WIDTH, HEADS, HIDDEN, LAYERS, FEATURES = 512, 8, 1536, 4, 16
BATCH, LENGTH = 8, 16
STEPS, SWAP_EVERY = 20, 5
PLAN: dict[str, Any] = {"warm_start": 0.25}
SPARSE: dict[str, Any] = {**PLAN, "swap_every": SWAP_EVERY}
METHODS: dict[str, InferenceMethod] = {
    "elbo": ELBOVI(**PLAN),
    "score": ProximalScoreVI(**PLAN),
    "ssvi 0.1": SparseSubspaceVI(density=0.1, **SPARSE),
    "ssvi 0.1, sparse kernels": SparseSubspaceVI(density=0.1, kernels="sparse", **SPARSE),
    "ssvi 0.05": SparseSubspaceVI(density=0.05, **SPARSE),
    "ssvi 0.05, sparse kernels": SparseSubspaceVI(density=0.05, kernels="sparse", **SPARSE),
}


def transformer() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, LAYERS)
    return nn.Sequential(nn.Linear(FEATURES, WIDTH), encoder, nn.Linear(WIDTH, 1))


def closure_of(optimizer: BayesianOptimizer, module: nn.Module, seed: int) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(BATCH, LENGTH, FEATURES, generator=generator)
    labels = inputs.sum(-1, keepdim=True)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (module(inputs) - labels).square().mean()
        loss.backward()
        return loss

    return closure


def state_bytes(optimizer: BayesianOptimizer) -> int:
    """Count what a dense method keeps between two steps, weights and gradient included."""
    kept = [optimizer.flat.values, optimizer.flat.gradient]
    kept += [*optimizer.posterior.buffers(), *optimizer._vectors.values()]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    return sum(storages.values())


def figures(optimizer: BayesianOptimizer, module: nn.Module) -> dict[str, float | None]:
    closure = closure_of(optimizer, module, 0)
    places = optimizer.flat.slots
    if isinstance(optimizer, SparseSubspaceOptimizer):
        report = optimizer.sparsity_report(closure)
        kept, active = report.state_bytes, report.active
        flops: tuple[int | None, ...] = (
            report.executed_flops,
            report.dense_flops,
            report.theoretical_flops,
        )
    else:
        kept, active = state_bytes(optimizer), optimizer.flat.num_weights
        flops = counted(closure, places, [slot.size for slot in places])
    return {
        "weights": optimizer.posterior.num_weights,
        "active_weights": active,
        "state_bytes": kept,
        "executed_flops_per_evaluation": flops[0],
        "all_dense_flops_per_evaluation": flops[1],
        "theoretical_sparse_flops_per_evaluation": flops[2],
    }


def memory() -> None:
    modules = {name: transformer() for name in METHODS}
    optimizers = {
        name: method.optimizer(
            modules[name],
            num_observations=10_000,
            total_steps=STEPS,
            generator=torch.Generator().manual_seed(0),
        )
        for name, method in METHODS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    swap_seconds: dict[str, float] = {}
    passing: dict[str, dict[str, int]] = {name: {} for name in METHODS}
    for step in range(STEPS):
        for name, optimizer in optimizers.items():
            closure = closure_of(optimizer, modules[name], step)
            # Two steps are watched for what they allocate, the first with a swap.
            if step in (2 * SWAP_EVERY, 2 * SWAP_EVERY + 1):
                with LiveStorages(1) as storages:
                    optimizer.step(closure)
                kind = "swap" if step == 2 * SWAP_EVERY else "step"
                passing[name][f"passing_bytes_{kind}"] = storages.peak_bytes
                continue
            before, started = optimizer.gradient_evaluations, time.perf_counter()
            optimizer.step(closure)
            spent = time.perf_counter() - started
            spent /= optimizer.gradient_evaluations - before
            if step == SWAP_EVERY:
                swap_seconds[name] = spent
            elif step > SWAP_EVERY and step % SWAP_EVERY:
                seconds[name].append(spent)
    rows = []
    for name, optimizer in optimizers.items():
        ratios = [a / b for a, b in zip(seconds[name], seconds["elbo"], strict=True)]
        rows.append(
            {
                "method": name,
                **figures(optimizer, modules[name]),
                **passing[name],
                "s_per_evaluation_median": statistics.median(seconds[name]),
                "s_per_evaluation_with_swap": swap_seconds[name],
                "time_ratio_to_elbo_median": statistics.median(ratios),
                "time_ratio_to_elbo_min": min(ratios),
                "time_ratio_to_elbo_max": max(ratios),
            }
        )
    frame = pd.DataFrame(rows)
    for dense in ("elbo", "score"):
        own = frame.state_bytes[frame.method == dense].item()
        frame.insert(4, f"state_ratio_to_{dense}", frame.state_bytes / own)
    print(f"wrote {write(frame, 'sparse_memory')}")
    show(frame.set_index("method").T.reset_index(), f"Transformer, {STEPS} steps")


def estimator(method: InferenceMethod, gradient_evaluations: int) -> BayesianEstimator:
    data = load(DATASET)
    network = DeepAREstimator(freq=data.freq, prediction_length=data.prediction_length)
    return BayesianEstimator(network, method, gradient_evaluations=gradient_evaluations)


def validate(cell: Cell) -> Backtest:
    tried = estimator(TRIALS[cell.model], TRIAL_EVALUATIONS)
    return protocol.validate(cell, tried, {"windows": 24})


def trials() -> None:
    results = run_cells(validate, [Cell(DATASET, trial, 0) for trial in TRIALS], "sparse_trials")
    print(f"\nValidation windows, density 0.1:\n\n{markdown(scoreboard(results, DATASET))}")


def test(cell: Cell) -> Backtest:
    return protocol.test(cell, estimator(FORECASTERS[cell.model], GRADIENT_EVALUATIONS))


def forecasting() -> None:
    cells = [Cell(DATASET, name, seed) for seed in SEEDS for name in FORECASTERS]
    results = run_cells(test, cells, "sparse_forecasting")
    print(f"\nTest windows:\n\n{markdown(scoreboard(results, DATASET))}")
    crps = results[results.metric == "crps"].groupby("model", sort=False).value.mean()
    print((crps / crps["score"]).round(4).to_string())


def main() -> None:
    torch.set_num_threads(1)
    parts = {"memory": memory, "trials": trials, "forecasting": forecasting}
    for part in sys.argv[1:] or parts:
        parts[part]()


if __name__ == "__main__":
    main()
