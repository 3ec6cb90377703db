"""What a gradient evaluation of score VI costs beside a step of GluonTS's DeepAR with Adam.

`python -m benchmarks.step_cost` writes results/step_cost.csv. All train GluonTS's default-size
DeepAR in Lightning's trainer with the same arguments on the same batches, and take turns. Without
gradient clipping on either side (GluonTS clips by default, which makes its step dearer). Time is
that from a batch's arrival to the end of its step, so data loading is not in it. Score VI's pairs
and the single evaluations of a warm start are rows of their own.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from gluonts.itertools import Cached
from gluonts.torch import DeepAREstimator

from benchmarks.output import show, write
from tests.inference.memory import LiveStorages
from tsbnn.datasets import load
from tsbnn.forecasting.lightning_module import BayesianLightningModule
from tsbnn.inference import ELBOVI, MAP, InferenceMethod, ProximalScoreVI, count_weights

REPEATS, BATCHES, WARM_UP = 9, 60, 10
METHODS = {
    "score, antithetic pairs": ProximalScoreVI(warm_start=0.0, probe_steps=1),
    "score, warm start": ProximalScoreVI(warm_start=0.99),
    "elbo": ELBOVI(warm_start=0.0),
    "map": MAP(),
}


class Batches:
    """The same batches again and again, as a loader."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class StepTimes(pl.Callback):
    """Seconds from each batch's arrival to the end of its step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def time_steps(module: pl.LightningModule, batches: Batches) -> float:
    """Return the median seconds of a step, after the warm-up."""
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            callbacks=[times],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(module, batches)
    return statistics.median(times.seconds[WARM_UP:])


def bytes_of(method: InferenceMethod, estimator: DeepAREstimator) -> dict[str, int]:
    """Return the state of a method in bytes, kept and passing, for the estimator's network."""
    network = estimator.create_lightning_module().model
    size = 4 * count_weights(network)
    # Without a horizon there is no warm start, and two steps lie behind one step of probing.
    optimizer = method.optimizer(network, num_observations=1000)

    def closure() -> torch.Tensor:
        optimizer.flat.gradient.normal_()
        return torch.zeros(())

    optimizer.step(closure)
    optimizer.step(closure)
    with LiveStorages(size) as storages:
        optimizer.step(closure)
    state = [*optimizer.posterior.buffers(), *optimizer._vectors.values()]
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in state}
    return {
        "weight_bytes": size,
        "kept_bytes": sum(kept.values()),
        "passing_bytes": storages.peak * size,
    }


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = load("seattle_weather")
    estimator = DeepAREstimator(
        freq=data.freq,
        prediction_length=data.prediction_length,
        num_batches_per_epoch=BATCHES + WARM_UP,
        dropout_rate=0.0,
    )
    transformed = Cached(estimator.create_transformation().apply(data.training, is_train=True))
    loader = estimator.create_training_data_loader(transformed, estimator.create_lightning_module())
    batches = Batches(list(loader))
    seconds: dict[str, list[float]] = {name: [] for name in ["gluonts adam", *METHODS]}
    for _ in range(REPEATS):
        seconds["gluonts adam"].append(time_steps(estimator.create_lightning_module(), batches))
        for name, method in METHODS.items():
            module = BayesianLightningModule(
                estimator.create_lightning_module().model,
                method,
                num_observations=5_000,
                total_steps=10 * len(batches),
                generator=torch.Generator().manual_seed(0),
            )
            spent = time_steps(module, batches)
            optimizer = module.bayesian_optimizer
            assert optimizer is not None
            evaluations = optimizer.gradient_evaluations / optimizer.steps
            seconds[name].append(spent / evaluations)
    rows = []
    for name, spent in seconds.items():
        ratios = [own / adam for own, adam in zip(spent, seconds["gluonts adam"], strict=True)]
        rows.append(
            {
                "optimizer": name,
                "ms_per_gradient_evaluation": 1e3 * statistics.median(spent),
                "ratio_to_adam_median": statistics.median(ratios),
                "ratio_to_adam_min": min(ratios),
                "ratio_to_adam_max": max(ratios),
                **(bytes_of(METHODS[name], estimator) if name in METHODS else {}),
            }
        )
    frame = pd.DataFrame(rows)
    print(f"wrote {write(frame, 'step_cost')}")
    show(frame, f"DeepAR, batch {estimator.batch_size}, medians over {REPEATS} turns")


if __name__ == "__main__":
    main()
