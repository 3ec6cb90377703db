"""The models that are compared, by name: "NETWORK, INFERENCE" or a peer's, perhaps " at RATE"."""

from __future__ import annotations

from typing import Any

from benchmarks import protocol
from benchmarks.cells import Cell
from benchmarks.forecasting.peers import PEERS, tft_student_t
from tsbnn import BayesianEstimator
from tsbnn.datasets import load
from tsbnn.evaluation import Backtest
from tsbnn.forecasting.catalogue import features, network

GRADIENT_EVALUATIONS = 5_000
#: Between a model's name and its learning rate.
AT = " at "

#: A mixture with the members and the budget of an ensemble.
FIVE_EQUAL = {"family": "mixture", "num_components": 5, "component_weights": "equal"}

#: Arguments of a network without GluonTS's clipping at 10, and without DeepAR's dropout of 0.1.
#: Posteriors are trained without both.
WITHOUT_CLIPPING: dict[str, Any] = {"trainer_kwargs": {"gradient_clip_val": None}}
WITHOUT_DROPOUT: dict[str, Any] = {"dropout_rate": 0.0}

#: Method and settings by the name of an inference; everything else is a default.
INFERENCE: dict[str, tuple[str, dict[str, Any]]] = {
    "score": ("score", {}),
    "score warm_start=0.8": ("score", {"warm_start": 0.8}),
    "elbo": ("elbo", {}),
    "elbo scale_learning_rate=0.01": ("elbo", {"scale_learning_rate": 1e-2}),
    "elbo scale_learning_rate=0.003": ("elbo", {"scale_learning_rate": 3e-3}),
    "elbo_natural": ("elbo_natural", {}),
    "map": ("map", {}),
    "bare map": ("map", {}),
    "mc_dropout": ("mc_dropout", {}),
    "ensemble": ("ensemble", {}),
    "ensemble without dropout": ("ensemble", {}),
    "ensemble x5": ("ensemble", {}),
    "score T=0.3": ("score", {"temperature": 0.3}),
    "score low rank": ("score", {"family": "low_rank"}),
    "score mixture": ("score", {"family": "mixture"}),
    "elbo mixture": ("elbo", {"family": "mixture"}),
    "score mixture of 5": ("score", FIVE_EQUAL),
    "elbo mixture of 5": ("elbo", FIVE_EQUAL),
    "alpha 0.5": ("alpha", {}),
    "swag": ("swag", {}),
    "laplace": ("laplace", {}),
    "sghmc": ("sghmc", {}),
    "cyclical": ("cyclical", {}),
    "ssvi": ("ssvi", {}),
}
#: Arguments of the network by the name of an inference.
NETWORK = {
    "bare map": WITHOUT_CLIPPING | WITHOUT_DROPOUT,
    "ensemble without dropout": WITHOUT_DROPOUT,
}
#: By network and inference or method, where the best of the trials (`tuning`) is not the method's
#: default.
LEARNING_RATES = {
    "deepar": {
        "score": 2e-3,
        "elbo": 2e-3,
        "elbo_natural": 2e-3,
        "mc_dropout": 2e-3,
        "map": 1e-2,
        "bare map": 5e-3,
        "alpha 0.5": 2e-3,
        "swag": 1e-2,
        "laplace": 2e-3,
        "sghmc": 2e-5,
        "cyclical": 4e-4,
        "ssvi": 2e-3,
    },
    "transformer": {
        "score": 2e-3,
        "elbo": 2e-3,
        "elbo_natural": 2e-3,
        "mc_dropout": 1e-2,
        "ensemble": 2e-3,
    },
    "patch_transformer": {"elbo": 1e-2, "map": 1e-2},
    # Without trials of its own: score VI's of the others, and GluonTS's.
    "tft": {"score": 2e-3, "map": 1e-3},
}
#: The five members of an ensemble share the budget, unless each has one of its own.
BUDGETS = {"ensemble x5": 5}


def _network(name: str, data: Any, **settings: Any) -> Any:
    """A network of ours, or GluonTS's TFT."""
    if name == "tft":
        return tft_student_t(data, settings)
    return network(
        name, prediction_length=data.prediction_length, **settings, **features(data.dataset)
    )


def estimator(name: str, data: Any, gradient_evaluations: int = GRADIENT_EVALUATIONS) -> Any:
    """Build a model for what ``tsbnn.datasets.load`` gave.

    Parameters
    ----------
    name
        "NETWORK, INFERENCE" or a peer; its learning rate is :data:`LEARNING_RATES`', else its
        method's default, unless " at RATE" follows.
    data
        The dataset.
    gradient_evaluations
        Budget.
    """
    name, _, at = name.partition(AT)
    rate = float(at) if at else None
    if name in PEERS:
        given = {} if rate is None else {"learning_rate": rate}
        return PEERS[name](data, gradient_evaluations, **given)
    which, inference = name.split(", ")
    method, settings = INFERENCE[inference]
    if rate is None:
        rates = LEARNING_RATES.get(which, {})
        rate = rates.get(inference, rates.get(method))
    if rate is not None:
        settings = settings | {"learning_rate": rate}
    return BayesianEstimator(
        _network(which, data, **NETWORK.get(inference, {})),
        method,
        inference_kwargs=settings,
        gradient_evaluations=BUDGETS.get(inference, 1) * gradient_evaluations,
    )


def evaluate(cell: Cell, gradient_evaluations: int = GRADIENT_EVALUATIONS) -> Backtest:
    """Train a model under a seed and score its forecasts of the test windows."""
    return protocol.test(cell, estimator(cell.model, load(cell.dataset), gradient_evaluations))
