"""The models that are compared, by name: "NETWORK, INFERENCE", or a peer's name."""

from __future__ import annotations

from typing import Any

from benchmarks import protocol
from benchmarks.cells import Cell
from benchmarks.forecasting.peers import PEERS
from tsbnn import BayesianEstimator
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest
from tsbnn.forecasting.catalogue import features, network

GRADIENT_EVALUATIONS = 5_000

#: Method and settings by the name of an inference; everything else is a default.
INFERENCE: dict[str, tuple[str, dict[str, Any]]] = {
    "score": ("score", {}),
    "elbo": ("elbo", {}),
    "elbo_natural": ("elbo_natural", {}),
    "map": ("map", {}),
    "score at 2e-3": ("score", {"learning_rate": 2e-3}),
    "elbo at 2e-3": ("elbo", {"learning_rate": 2e-3}),
    "map at 5e-3": ("map", {"learning_rate": 5e-3}),
    "mc_dropout": ("mc_dropout", {}),
    "ensemble": ("ensemble", {}),
    "ensemble x5": ("ensemble", {}),
    "score low rank": ("score", {"family": "low_rank"}),
    "score mixture": ("score", {"family": "mixture"}),
    "elbo mixture": ("elbo", {"family": "mixture"}),
    "alpha 0.5": ("alpha", {}),
    "swag": ("swag", {}),
    "laplace": ("laplace", {}),
    "sghmc": ("sghmc", {}),
    "cyclical": ("cyclical", {}),
    "ssvi": ("ssvi", {}),
}
#: Where the best of the trials is not the method's default.
LEARNING_RATES = {"map": 2e-3, "mc_dropout": 2e-3, "ensemble": 2e-3}
#: The five members of an ensemble share the budget, unless each has one of its own.
BUDGETS = {"ensemble x5": 5}


def estimator(
    name: str,
    data: Any,
    gradient_evaluations: int = GRADIENT_EVALUATIONS,
    learning_rate: float | None = None,
) -> Any:
    """Build a model, "NETWORK, INFERENCE" or a peer, for what ``tsbnn.datasets.load`` gave.

    Its learning rate is the best of its trials (see `tuning`) where none is given.
    """
    if name in PEERS:
        given = {} if learning_rate is None else {"learning_rate": learning_rate}
        return PEERS[name](data, gradient_evaluations, **given)
    which, inference = name.split(", ")
    method, settings = INFERENCE[inference]
    rate = LEARNING_RATES.get(inference) if learning_rate is None else learning_rate
    if rate is not None:
        settings = settings | {"learning_rate": rate}
    return BayesianEstimator(
        network(which, prediction_length=data.prediction_length, **features(data.dataset)),
        method,
        inference_kwargs=settings,
        gradient_evaluations=BUDGETS.get(inference, 1) * gradient_evaluations,
    )


def evaluate(
    cell: Cell,
    gradient_evaluations: int = GRADIENT_EVALUATIONS,
    learning_rate: float | None = None,
) -> Backtest:
    """Train a model under a seed and score its forecasts of the test windows."""
    tried = estimator(cell.model, load(cell.dataset), gradient_evaluations, learning_rate)
    return protocol.test(cell, tried)
