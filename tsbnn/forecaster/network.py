"""The network of a forecaster: by its name, made to fit the series, or an estimator as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluonts.torch.distributions import NegativeBinomialOutput
from gluonts.torch.distributions.output import Output

from tsbnn.datasets import FrameDataset
from tsbnn.forecasting.catalogue import features, network
from tsbnn.forecasting.observed import check_nonnegative

#: What targets can be, and the arguments of a network that this means.
SUPPORTS: Mapping[str, Mapping[str, Any]] = {
    "real": {},
    "nonnegative": {"nonnegative_pred_samples": True},
    "count": {"distr_output": NegativeBinomialOutput()},
}

# What GluonTS's temporal fusion transformer calls them.
_TFT = {
    "num_feat_dynamic_real": "dynamic_dims",
    "num_past_feat_dynamic_real": "past_dynamic_dims",
    "num_feat_static_real": "static_dims",
    "num_feat_static_cat": "static_cardinalities",
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
        for argument, value in SUPPORTS[support].items():
            if argument in settings:
                raise ValueError(
                    f"support={support!r} means {argument}={_shown(value)}, and model_kwargs say "
                    f"{argument}={_shown(settings[argument])}: leave one out"
                )
        if support != "real":
            who, is_count = f"support={support!r}", support == "count"
            other = "'nonnegative', or 'real'" if is_count else "'real'"
            check_nonnegative(dataset, who, f"choose support={other}", whole=is_count)
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
    told_length = getattr(model, "prediction_length", prediction_length)
    told = {"prediction_length": told_length, **{key: _told(model, key) for key in counts}}
    found = {"prediction_length": prediction_length, **counts}
    for argument, value in found.items():
        if told[argument] is None and value:
            raise ValueError(
                f"{name} has no {argument}, and the columns and arguments given here make it "
                f"{value}: leave these columns out, or take a network that reads them"
            )
        if (told[argument] or 0) != value:
            raise ValueError(
                f"{name} was told {argument}={told[argument]}, and the columns and arguments given "
                f"here make it {value}"
            )
    return model


def _shown(value: Any) -> str:
    """Heads have no short repr."""
    return f"{type(value).__name__}()" if isinstance(value, Output) else repr(value)


def _told(model: Any, argument: str) -> int | None:
    """How many features an estimator reads; None if it has no such argument."""
    told: int | None = getattr(model, argument, None)
    if told is None and argument in _TFT:
        values = getattr(model, _TFT[argument], None)
        is_width = argument != "num_feat_static_cat"
        told = None if values is None else sum(values) if is_width else len(values)
    return told
