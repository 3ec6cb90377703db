"""What the estimators are given, checked when they are built: arguments and what they must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gluonts.time_feature import get_lags_for_frequency, time_features_from_frequency_str

from tsbnn.foreign.notices import without_foreign_warnings
from tsbnn.networks.checks import check_wholes


def check_learning(lr: float, weight_decay: float) -> None:
    """Refuse learning rates of 0 or less, negative decay, and infinite ones of either.

    Raises
    ------
    ValueError
        Naming the argument and its value.
    """
    if not 0 < lr < math.inf:
        raise ValueError(f"lr={lr}: expected a finite number above 0")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay={weight_decay}: expected a finite number of at least 0")


def check_sampler(sampler: Any, name: str, prediction_length: int) -> None:
    """Refuse a sampler whose windows may reach beyond the end of a series.

    Raises
    ------
    ValueError
        Naming the argument and what ``min_future`` must be.
    """
    if sampler.min_future < prediction_length:
        raise ValueError(
            f"{name} has min_future={sampler.min_future}: expected at least "
            f"prediction_length={prediction_length}, the targets that a window needs"
        )


def settled_cardinality(
    num_feat_static_cat: int,
    cardinality: Sequence[int] | None,
    embedding_dimension: Sequence[int] | None,
) -> list[int]:
    """Return the categories of each static feature: one feature of one category if there are none.

    Raises
    ------
    ValueError
        If ``cardinality`` is missing, or it or ``embedding_dimension`` does not fit.
    """
    if not num_feat_static_cat and list(cardinality or [1]) != [1]:
        raise ValueError(
            f"cardinality={cardinality} with num_feat_static_cat=0: no category would be read. "
            f"Pass num_feat_static_cat={len(cardinality or [])}"
        )
    # As in GluonTS, without such features there is one of one category.
    count, given = (num_feat_static_cat, cardinality) if num_feat_static_cat else (1, [1])
    categories: list[int] = check_wholes(given or [], "cardinality", count)
    if embedding_dimension is not None:
        check_wholes(embedding_dimension, "embedding_dimension", count)
    return categories


def settled_lags(freq: str, lags_seq: Sequence[int] | None) -> list[int]:
    """Return the lags, by default those that GluonTS has for the frequency.

    Raises
    ------
    ValueError
        If there are none, one is below 1, or GluonTS has none for the frequency.
    """
    if lags_seq is None:
        try:
            with without_foreign_warnings():
                return [int(lag) for lag in get_lags_for_frequency(freq)]
        except Exception as error:
            raise ValueError(f"GluonTS has no lags for freq={freq!r}: {error}") from error
    return check_wholes(lags_seq, "lags_seq")


def settled_time_features(freq: str, time_features: Sequence[Any] | None) -> list[Any]:
    """Return the time features, by default those that GluonTS has for the frequency.

    Raises
    ------
    ValueError
        If GluonTS does not know the frequency.
    """
    if time_features is not None:
        return list(time_features)
    try:
        with without_foreign_warnings():
            return list(time_features_from_frequency_str(freq))
    except Exception as error:
        raise ValueError(f"freq={freq!r} is no frequency that GluonTS knows: {error}") from error
