"""The network of a forecaster: by its name, made to fit the series, or an estimator as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluonts.torch.distributions import NegativeBinomialOutput

from tsbnn.datasets import FrameDataset
from tsbnn.forecasting.catalogue import features, network

#: What targets can be, and the arguments of a network that this means.
SUPPORTS: Mapping[str, Mapping[str, Any]] = {
    "real": {},
    "nonnegative": {"nonnegative_pred_samples": True},
    "count": {"distr_output": NegativeBinomialOutput()},
}


def network_of(
    model: Any,
    dataset: FrameDataset,
    prediction_length: int,
    support: str,
    time_features: Any,
    settings: Mapping[str, Any],
) -> Any:
    """Build the estimator of a network by name, or check an estimator.

    Parameters
    ----------
    model
        A name of :data:`tsbnn.forecasting.catalogue.NETWORKS`, or an estimator.
    dataset
        The series to train on.
    prediction_length
        Steps to forecast.
    support
        A key of :data:`SUPPORTS`.
    time_features
        Names for a network by name, or None.
    settings
        Further arguments of a network by name.

    Raises
    ------
    ValueError
        Naming what does not fit the series, the horizon or the estimator.
    """
    if support not in SUPPORTS:
        raise ValueError(f"support={support!r} must be one of {', '.join(SUPPORTS)}")
    if isinstance(model, str):
        arguments = {**SUPPORTS[support], "time_features": time_features, **settings}
        return network(
            model,
            prediction_length=prediction_length,
            **features(dataset),
            **arguments,
        )
    name = type(model).__name__
    if settings:
        raise ValueError(f"model_kwargs are for a network by name: give them to {name} itself")
    if support != "real":
        raise ValueError(
            f"support={support!r} is for a network by name: {name} has its own distr_output"
        )
    if time_features is not None:
        raise ValueError(f"time_features are for a network by name: give them to {name} itself")
    counts = {key: value for key, value in features(dataset).items() if key.startswith("num_")}
    found = {"prediction_length": prediction_length, **counts}
    for argument, value in found.items():
        told = getattr(model, argument, value)
        if told != value:
            raise ValueError(
                f"{name} was told {argument}={told}, and the columns and arguments given here "
                f"make it {value}"
            )
    return model
