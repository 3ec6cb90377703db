"""Weight draws of a network all at once, beside one after the other, over draws, paths and sizes.

`python -m benchmarks.speed.draws` prints the table that the choice of
:func:`tsbnn.forecasting.prediction.draws.choose` rests on. Both sides give the same paths.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from gluonts.dataset.common import ListDataset
from gluonts.dataset.loader import InferenceDataLoader
from gluonts.itertools import select
from gluonts.torch import PatchTSTEstimator, SimpleFeedForwardEstimator
from gluonts.torch.batchify import batchify
from torch import Tensor, nn

from benchmarks.speed.timing import alternate, row
from tsbnn import DeepAREstimator, TransformerEstimator
from tsbnn.forecasting.prediction.drawn_paths import DrawnPaths

HORIZON, REPEATS = 30, 2
# Draws and paths of each.
SIZES = [(2, 1), (5, 20), (20, 5), (100, 1)]
# Of all drawn weights together: what a machine of 8 GiB holds beside the rest.
MOST_BYTES = 3 * 2**30
# On a GPU, at 100 draws.
CUDA_GOAL = 1 / 8


def estimators() -> dict[str, Any]:
    """Every kind of network, small and wide."""
    frequency = {"freq": "B", "prediction_length": HORIZON}
    direct = {"prediction_length": HORIZON, "context_length": 2 * HORIZON}
    return {
        "deepar": DeepAREstimator(**frequency),
        "deepar, 200 units": DeepAREstimator(**frequency, hidden_size=200),
        "transformer": TransformerEstimator(**frequency),
        "transformer, width 256": TransformerEstimator(
            **frequency, d_model=256, dim_feedforward=1024
        ),
        "simple_feedforward": SimpleFeedForwardEstimator(**direct),
        "simple_feedforward, 1000 units": SimpleFeedForwardEstimator(
            **direct, hidden_dimensions=[1000, 1000]
        ),
        "patch_tst": PatchTSTEstimator(**direct, patch_len=8),
        "patch_tst, width 256": PatchTSTEstimator(
            **direct, patch_len=8, d_model=256, dim_feedforward=1024
        ),
    }


def windows(estimator: Any, num_series: int, device: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """Build a network, and inputs of random series."""
    torch.manual_seed(0)
    module = estimator.create_lightning_module()
    predictor = estimator.create_predictor(estimator.create_transformation(), module)
    rng = np.random.default_rng(0)
    entries = [
        {"start": "2000-01-03", "target": 10 + rng.normal(size=1500)} for _ in range(num_series)
    ]
    loader = InferenceDataLoader(
        ListDataset(entries, freq="B"),
        transform=predictor.input_transform,
        batch_size=num_series,
        stack_fn=lambda data: batchify(data, device),
    )
    inputs = select(predictor.input_names, next(iter(loader)), ignore_missing=True)
    return module.model.to(device).eval(), inputs


def rows(devices: list[str] | None = None) -> list[dict[str, Any]]:
    """Measure on the CPU, and on a CUDA device where there is one."""
    return list(measured(devices))


def measured(devices: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Measure one after the other."""
    if devices is None:
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        for name, estimator in estimators().items():
            for num_series in (8, 32):
                for sizes in SIZES:
                    found = compare(name, estimator, num_series, sizes, device)
                    if found is not None:
                        yield found


def compare(
    name: str, estimator: Any, num_series: int, sizes: tuple[int, int], device: str
) -> dict[str, Any] | None:
    """Time both ways for some draws and paths, unless the weights alone take too much memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network, inputs = windows(estimator, num_series, device)
        draws, paths = sizes
        mean = torch.cat([p.detach().flatten() for p in network.parameters() if p.requires_grad])
        if draws * len(mean) * mean.element_size() > MOST_BYTES:
            return None
        weights = torch.randn(draws, len(mean), device=device).mul_(0.01).add_(mean)
        ways = {way: DrawnPaths.of(network, way, keep=True) for way in ("loop", "batched")}

        def predict(way: str) -> None:
            with torch.no_grad():
                ways[way](weights, inputs, paths)
            if device == "cuda":
                torch.cuda.synchronize()

        sides = {way: lambda way=way: predict(way) for way in ways}
        seconds = alternate(sides, REPEATS, warm_up=1)
    return row(
        "draws",
        f"{name} ({len(mean):,} weights), {draws} draws x {paths} paths, {num_series} series, "
        f"{device}",
        seconds["batched"],
        seconds["loop"],
        goal=CUDA_GOAL if device == "cuda" and draws == 100 else None,
        against="the loop over draws",
    )


if __name__ == "__main__":
    for found in measured():
        print(
            f"{found['case']}: {found['own_s']:.3f} s, loop {found['other_s']:.3f} s, "
            f"ratio {found['ratio']:.2f}",
            flush=True,
        )
