"""Networks by name, made to fit a dataset: what a command line offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gluonts.model import Estimator

from tsbnn.forecasting.time_features import named_time_features

if TYPE_CHECKING:
    from tsbnn.datasets import FrameDataset


def _deepar(**arguments: Any) -> Estimator:
    from tsbnn.forecasting.estimators import DeepAREstimator

    return DeepAREstimator(**arguments)


def _transformer(**arguments: Any) -> Estimator:
    from tsbnn.forecasting.estimators import TransformerEstimator

    return TransformerEstimator(**arguments)


def _patch_transformer(**arguments: Any) -> Estimator:
    from tsbnn.forecasting.estimators import PatchTransformerEstimator

    return PatchTransformerEstimator(**arguments)


def _gluonts_deepar(**arguments: Any) -> Estimator:
    if past := arguments.get("num_past_feat_dynamic_real"):
        raise ValueError(
            f"gluonts_deepar takes no past covariates, and there are {past}: leave them out, or "
            "use deepar, the same network with them"
        )
    from gluonts.torch import DeepAREstimator

    return DeepAREstimator(**arguments)


#: Makers of estimators by the name of their network; GluonTS's own are called ``gluonts_…``.
NETWORKS: Mapping[str, Callable[..., Estimator]] = {
    "deepar": _deepar,
    "transformer": _transformer,
    "patch_transformer": _patch_transformer,
    "gluonts_deepar": _gluonts_deepar,
}


def features(dataset: FrameDataset) -> dict[str, Any]:
    """Return what a network must know of a dataset, as arguments of :func:`network`.

    Its frequency, the numbers of covariates and static features, and their cardinality.
    """
    return {
        "freq": dataset.freq,
        "num_feat_dynamic_real": dataset.num_feat_dynamic_real,
        "num_past_feat_dynamic_real": dataset.num_past_feat_dynamic_real,
        "num_feat_static_cat": dataset.num_feat_static_cat,
        "num_feat_static_real": dataset.num_feat_static_real,
        "cardinality": dataset.cardinality,
    }


def network(
    name: str,
    *,
    freq: str,
    prediction_length: int,
    num_feat_dynamic_real: int = 0,
    num_past_feat_dynamic_real: int = 0,
    num_feat_static_cat: int = 0,
    num_feat_static_real: int = 0,
    cardinality: list[int] | None = None,
    time_features: str | Sequence[str | Callable[..., Any]] | None = None,
    **settings: Any,
) -> Estimator:
    """Build the estimator of a network, for the series and features of one dataset.

    Parameters
    ----------
    name
        A key of :data:`NETWORKS`.
    freq, prediction_length
        Pandas alias, and steps to forecast.
    num_feat_dynamic_real, num_past_feat_dynamic_real, num_feat_static_cat, num_feat_static_real
        Numbers of known and past covariates and of static features.
    cardinality
        Number of categories of each categorical static feature.
    time_features
        What the network is told of the calendar: names of
        :data:`tsbnn.forecasting.time_features.TIME_FEATURES` or such functions; nothing if empty.
        None takes those that GluonTS has for the frequency; our networks leave out what their
        training data cannot teach.
    **settings
        Further arguments of the estimator.

    Raises
    ------
    ValueError
        If there is no such network or time feature (the message lists those there are), or the
        network takes no past covariates and there are some.
    """
    if name not in NETWORKS:
        raise ValueError(f"no network is named {name!r}; there are {', '.join(NETWORKS)}")
    counts: dict[str, Any] = {
        "num_feat_dynamic_real": num_feat_dynamic_real,
        "num_past_feat_dynamic_real": num_past_feat_dynamic_real,
        "num_feat_static_cat": num_feat_static_cat,
        "num_feat_static_real": num_feat_static_real,
        "cardinality": list(cardinality or []) or None,
    }
    given = {key: value for key, value in counts.items() if value}
    if time_features is not None:
        given["time_features"] = named_time_features(time_features)
    return NETWORKS[name](freq=freq, prediction_length=prediction_length, **given, **settings)
