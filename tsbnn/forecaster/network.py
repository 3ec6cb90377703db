"""The network of a forecaster: by its name, made to fit the series, or an estimator as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluonts.torch.distributions import NegativeBinomialOutput

from tsbnn.datasets import FrameDataset
from tsbnn.forecasting.catalogue import network

#: What targets can be, and the arguments of a network that this means.
SUPPORTS: Mapping[str, Mapping[str, Any]] = {
    "real": {},
    "nonnegative": {"nonnegative_pred_samples": True},
    "count": {"distr_output": NegativeBinomialOutput()},
}
_FEATURES = (
    "num_feat_dynamic_real",
    "num_past_feat_dynamic_real",
    "num_feat_static_cat",
    "num_feat_static_real",
)


def network_of(
    model: Any,
    dataset: FrameDataset,
    prediction_length: int,
    support: str,
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
    settings
        Further arguments of a network by name.

    Raises
    ------
    ValueError
        Naming what does not fit the series, the horizon or the estimator.
    """
    if support not in SUPPORTS:
        raise ValueError(f"support={support!r} must be one of {', '.join(SUPPORTS)}")
    features = {name: getattr(dataset, name) for name in _FEATURES}
    if isinstance(model, str):
        arguments = {**SUPPORTS[support], **settings}
        return network(
            model,
            freq=dataset.freq,
            prediction_length=prediction_length,
            cardinality=dataset.cardinality,
            **features,
            **arguments,
        )
    name = type(model).__name__
    if settings:
        raise ValueError(f"model_kwargs are for a network by name: give them to {name} itself")
    if support != "real":
        raise ValueError(
            f"support={support!r} is for a network by name: {name} has its own distr_output"
        )
    found = {"prediction_length": prediction_length, **features}
    for argument, value in found.items():
        told = getattr(model, argument, value)
        if told != value:
            raise ValueError(
                f"{name} was told {argument}={told}, and the columns and arguments given here "
                f"make it {value}"
            )
    return model
