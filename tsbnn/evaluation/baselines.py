"""The two baselines that stand in every table, made to fit a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tsbnn.evaluation.windows import Entry

SEASONAL_NAIVE = "seasonal_naive"
GLUONTS_DEEPAR = "gluonts_deepar"


def frequency(dataset: Any, entries: Sequence[Entry]) -> str:
    """Pandas alias of a dataset's frequency: its ``freq``, or that of the first start.

    Raises
    ------
    ValueError
        If two series differ.
    """
    found = {entry["start"].freq.freqstr: entry for entry in entries}
    if len(found) > 1:
        each = ", ".join(f"{alias} (series {e['item_id']!r})" for alias, e in found.items())
        raise ValueError(f"the series have different frequencies: {each}")
    return str(getattr(dataset, "freq", None) or next(iter(found)))


def default_season(freq: str) -> int:
    """Season of a frequency by GluonTS's table: 24 for hours, 5 for business days, 1 for days."""
    from gluonts.time_feature import get_seasonality

    return int(get_seasonality(freq))


def gluonts_deepar(
    entries: Iterable[Entry],
    freq: str,
    prediction_length: int,
    gradient_evaluations: int | None = None,
    **settings: Any,
) -> Any:
    """GluonTS's own DeepAREstimator at its defaults, for the covariates that the data have.

    Parameters
    ----------
    entries
        Series, from which the numbers of features and categories are read.
    freq, prediction_length
        As GluonTS takes them.
    gradient_evaluations
        Batches to train on: one gradient each. GluonTS's default of 100 epochs of 50 if None.
    **settings
        Further arguments of DeepAREstimator; they win.

    Returns
    -------
    gluonts.torch.DeepAREstimator

    Raises
    ------
    ValueError
        If ``gradient_evaluations`` is less than 1, or GluonTS does not take the frequency or a
        setting.
    """
    from gluonts.time_feature import get_lags_for_frequency
    from gluonts.torch import DeepAREstimator

    arguments: dict[str, Any] = {"freq": freq, "prediction_length": prediction_length}
    if gradient_evaluations is not None:
        if gradient_evaluations < 1:
            raise ValueError(f"gradient_evaluations must be at least 1, not {gradient_evaluations}")
        arguments["num_batches_per_epoch"] = min(50, gradient_evaluations)
        arguments["trainer_kwargs"] = {"max_steps": gradient_evaluations, "max_epochs": -1}
    arguments |= _features(list(entries))
    arguments |= settings
    try:
        if arguments.get("lags_seq") is None:  # GluonTS would choose them when training starts
            get_lags_for_frequency(freq)
        return DeepAREstimator(**arguments)
    except Exception as error:
        raise ValueError(
            f"GluonTS's DeepAR does not take these data (freq={freq!r}): {error}"
        ) from (error)


def _features(entries: list[Entry]) -> dict[str, Any]:
    """Arguments for the features that every series has."""
    found: dict[str, Any] = {}
    if rows := _common(entries, "feat_dynamic_real"):
        found["num_feat_dynamic_real"] = len(rows[0])
    if rows := _common(entries, "feat_static_real"):
        found["num_feat_static_real"] = len(rows[0])
    if rows := _common(entries, "feat_static_cat"):
        found["num_feat_static_cat"] = len(rows[0])
        found["cardinality"] = [int(most) + 1 for most in np.max(rows, axis=0)]
    return found


def _common(entries: list[Entry], key: str) -> list[Any]:
    values = [entry.get(key) for entry in entries]
    if any(value is None or not len(value) for value in values):
        return []
    return values
