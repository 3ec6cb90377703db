"""What only a CUDA device can show: training beside GluonTS, draws in parallel, a large network."""

from __future__ import annotations

import logging
import tempfile
import warnings
from typing import Any

import torch
from gluonts.torch import DeepAREstimator as GluonTSDeepAR
from torch import Tensor, nn

from benchmarks.speed.timing import Side, alternate, row
from tsbnn import BayesianEstimator, DeepAREstimator, TransformerEstimator
from tsbnn.datasets import load
from tsbnn.inference import count_weights, method

EVALUATIONS, REPEATS = 2_000, 5
LAYERS, WIDTH = 24, 1_024
TRAINING_GOAL, STEP_GOAL = 1 / 5, 1.10


def rows() -> list[dict[str, Any]]:
    """Measure everything, or nothing where there is no device."""
    if not torch.cuda.is_available():
        print("no CUDA device")
        return []
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    return [*training_rows(), *large_rows()]


def training_rows() -> list[dict[str, Any]]:
    """Train by score VI, beside deterministic training with GluonTS's own loader.

    GluonTS has no autoregressive Transformer for torch: its side there is our network, trained
    from GluonTS's loader by Adam.
    """
    data = load("exchange_rate")
    epochs = EVALUATIONS // 50
    settings: dict[str, Any] = {"freq": data.freq, "prediction_length": data.prediction_length}
    settings["dropout_rate"] = 0.0
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cuda"}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        theirs = {**quiet, "max_epochs": epochs, "default_root_dir": folder}
        for name, our, their in (
            ("DeepAR", DeepAREstimator, GluonTSDeepAR),
            ("Transformer", TransformerEstimator, TransformerEstimator),
        ):
            bayesian = BayesianEstimator(
                our(**settings, trainer_kwargs=quiet), gradient_evaluations=EVALUATIONS
            )
            other = their(**settings, trainer_kwargs=theirs)
            sides: dict[str, Side] = {
                "score": lambda estimator=bayesian: estimator.train(data.training),
                # Without a cache our estimators, too, are fed by GluonTS's own loader.
                "gluonts": lambda estimator=other: estimator.train(data.training, cache_data=False),
            }
            seconds = alternate(sides, REPEATS)
            found.append(
                row(
                    "cuda",
                    f"{name}, score, {EVALUATIONS:,} evaluations, exchange_rate",
                    seconds["score"],
                    seconds["gluonts"],
                    goal=TRAINING_GOAL,
                    against="deterministic training from GluonTS's loader",
                )
            )
    return found


def large_rows() -> list[dict[str, Any]]:
    """Time a step on 300 million weights over Adam's, and print the memory of both."""
    sides: dict[str, Side] = {}
    peaks = {}
    weights = 0
    for name in ("score", "adam"):
        # Weights, gradient and state of this side are counted, those of the other are not.
        before = torch.cuda.memory_allocated()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 16, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        network = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).cuda()
        weights = count_weights(network)
        data = torch.randn(32, 96, WIDTH, device="cuda")
        optimizer: Any = (
            torch.optim.Adam(network.parameters(), 1e-4, fused=True)
            if name == "adam"
            else method("score", warm_start=0.0, probe_steps=2).optimizer(
                network, num_observations=1_000, total_steps=1_000
            )
        )

        def closure(network: Any = network, optimizer: Any = optimizer, data: Any = data) -> Tensor:
            optimizer.zero_grad()
            with torch.autocast("cuda", torch.bfloat16):
                loss = network(data).float().square().mean()
            loss.backward()
            return loss

        evaluations = 1 if name == "adam" else 2

        def run(
            optimizer: Any = optimizer, closure: Any = closure, steps: int = 8 // evaluations
        ) -> None:
            for _ in range(steps):
                optimizer.step(closure)
            torch.cuda.synchronize()

        run()
        torch.cuda.reset_peak_memory_stats()
        run()
        peaks[name] = torch.cuda.max_memory_allocated() - before
        sides[name] = run
    seconds = alternate(sides, 7, warm_up=1)
    step = row(
        "cuda",
        f"8 gradient evaluations of score VI on {weights / 1e6:.0f} million weights",
        seconds["score"],
        seconds["adam"],
        goal=STEP_GOAL,
        against="as many of torch's fused Adam",
    )
    vectors = (peaks["score"] - peaks["adam"]) / (4 * weights)
    memory = {
        "part": "cuda",
        "case": f"peak memory of that step: {peaks['score']:,} bytes",
        "against": f"Adam's: {peaks['adam']:,} bytes; in weight-sized vectors more",
        "ratio": vectors,
        "goal": 3.0,
        "met": vectors <= 3.0,
    }
    return [step, memory]
