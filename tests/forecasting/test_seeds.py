"""Seeds by purpose, and loaders that repeat their passes."""

from __future__ import annotations

import threading
import time
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from tests.foreign.test_random_state import draw
from tsbnn import BayesianEstimator, BayesianPredictor
from tsbnn.forecasting.seeds import SeededLoader, derived_seed, generator
from tsbnn.foreign.random_state import RandomStream


class Noise:
    def __iter__(self):
        return iter(draw() for _ in range(3))


@pytest.mark.usefixtures("unchanged_global_random_state")
def test_a_seeded_loader_repeats_its_passes_whatever_happens_between_batches() -> None:
    loader = SeededLoader(Noise(), seed=5)
    undisturbed = list(loader)
    disturbed = []
    with RandomStream(9).active():
        for batch in loader:
            disturbed.append(batch)
            draw()
    assert disturbed == undisturbed
    assert len(set(undisturbed)) == 3


def test_derived_seeds_differ_by_purpose_and_fit_torch() -> None:
    seeds = {derived_seed(seed, purpose) for seed in range(50) for purpose in range(4)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert generator(max(seeds)).initial_seed() == max(seeds)


class Until(pl.Callback):
    """Ends a training after some steps, or when an event is set."""

    def __init__(self, event: threading.Event | None = None, most: int = 10**6) -> None:
        self.event, self.most = event, most
        self.steps = 0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.steps += 1
        is_set = self.event is not None and self.event.is_set()
        trainer.should_stop = is_set or self.steps >= self.most


def test_predictions_do_not_wait_for_a_training_and_change_nothing_of_it(tiny, series) -> None:
    predictor = BayesianEstimator(tiny("our_deepar"), "map").train(series)
    alone = [forecast.samples for forecast in predictor.predict(series)]
    ended = threading.Event()
    until = Until(ended)
    endless = {"max_steps": 10**6, "max_epochs": -1, "callbacks": [until]}
    trained: list[BayesianPredictor] = []

    def train(network: Any) -> None:
        trained.append(BayesianEstimator(network, "map").train(series))

    thread = threading.Thread(target=train, args=(tiny("our_deepar", endless),))
    thread.start()
    try:
        while until.steps < 5:
            time.sleep(0.001)
        for _ in range(3):
            beside = [forecast.samples for forecast in predictor.predict(series)]
            np.testing.assert_array_equal(beside, alone)
        assert thread.is_alive()
    finally:
        ended.set()
        thread.join()
    steps = trained[0].training_summary["steps"]
    # The same plan, cut short at the same place: the rate falls with the steps that are planned.
    cut = {**endless, "callbacks": [Until(most=steps)]}
    again = BayesianEstimator(tiny("our_deepar", cut), "map").train(series)
    assert again.training_summary["steps"] == steps
    assert torch.equal(again.posterior.mean, trained[0].posterior.mean)


def test_an_estimator_learns_nothing_from_an_earlier_training(tiny, series) -> None:
    """GluonTS's WaveNet samples windows by the mean length of the series that it has seen."""
    estimator = BayesianEstimator(tiny("wavenet"), "map", seed=3)
    first, second = (estimator.train(series).posterior.mean for _ in range(2))
    assert torch.equal(first, second)
