"""Estimators whose default lags and calendar follow the training data."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from gluonts.dataset.common import Dataset
from gluonts.model import Predictor

from tsbnn.forecasting.estimators.check_fields import step
from tsbnn.forecasting.estimators.checks import settled_lags, settled_time_features
from tsbnn.forecasting.estimators.maximum_likelihood import MaximumLikelihoodEstimator
from tsbnn.forecasting.estimators.teachable import (
    Extent,
    Inputs,
    teachable_lags,
    teachable_time_features,
)
from tsbnn.forecasting.inputs import check_dataset
from tsbnn.forecasting.observed import points_of_a_window


class AdaptingEstimator(MaximumLikelihoodEstimator):
    """Trains a copy of itself that reads what the training data can teach.

    ``lags_seq`` and ``time_features`` that nobody chose are GluonTS's for the frequency, less those
    that the data cannot teach; what was chosen stays. Subclasses set ``freq``, then settle both.
    """

    freq: str
    lags_seq: list[int]
    time_features: list[Any]
    age_feature: bool
    #: Settled values of inputs that nobody chose.
    _defaults: Mapping[str, Any] = MappingProxyType({})

    def _settle_lags(self, lags_seq: Sequence[int] | None) -> None:
        self.lags_seq = settled_lags(self.freq, lags_seq)
        if lags_seq is None:
            self._defaults = {**self._defaults, "lags_seq": self.lags_seq}

    def _settle_time_features(self, time_features: Sequence[Any] | None) -> None:
        self.time_features = settled_time_features(self.freq, time_features)
        if time_features is None:
            self._defaults = {**self._defaults, "time_features": self.time_features}

    @property
    def _unchosen(self) -> set[str]:
        """Inputs that are still what the constructor made them when nobody chose."""
        return {name for name, value in self._defaults.items() if getattr(self, name) is value}

    def adapted_to(self, training_data: Dataset) -> Self:
        """Return the estimator that :meth:`train` trains.

        Default lags and time features that ``training_data`` cannot teach are left out: see
        :mod:`tsbnn.forecasting.estimators.teachable`.

        Raises
        ------
        TypeError
            For data that are no GluonTS dataset or can be read once only.
        ValueError
            For a series whose target is missing or no numbers.
        """
        check_dataset(training_data, "training_data")
        unchosen = self._unchosen
        if not unchosen:
            return self
        extent = Extent.of(training_data, points_of_a_window(self))
        found: dict[str, Any] = {}
        if "lags_seq" in unchosen:
            found["lags_seq"] = teachable_lags(self.lags_seq, extent)
        if "time_features" in unchosen:
            found["time_features"] = teachable_time_features(self.time_features, extent)
        return self._reading(found)

    def adapted_like(self, predictor: Predictor) -> Self:
        """Return the estimator that reads what a trained predictor's network reads.

        Predictors of other networks change nothing.

        Raises
        ------
        ValueError
            If the old network has learnt from another frequency, or was told the age of a series
            and this one shall not be, or the other way round.
        """
        old = Inputs.of(predictor)
        if old is None:
            return self
        if old.freq is not None and step(old.freq) != step(self.freq):
            raise ValueError(
                f"the predictor was trained on freq={old.freq!r}, and the estimator has "
                f"freq={self.freq!r}: lags and calendar would mean something else"
            )
        if old.age_feature != self.age_feature:
            raise ValueError(
                f"the predictor was trained with age_feature={old.age_feature}, and the estimator "
                f"has age_feature={self.age_feature}"
            )
        inputs = {"lags_seq": old.lags_seq, "time_features": old.time_features}
        return self._reading({name: inputs[name] for name in self._unchosen})

    def _reading(self, inputs: dict[str, Any]) -> Self:
        """Return the estimator with other inputs in place of those that nobody chose."""
        other = copy.copy(self)
        other.__dict__.update(inputs, _defaults={})
        taken = inspect.signature(type(self).__init__).parameters
        told = {name: value for name, value in inputs.items() if name in taken}
        other.__init_args__ = {**self.__init_args__, **told}
        return other

    def _adapted(self, training_data: Dataset, from_predictor: Predictor | None) -> Self:
        if from_predictor is None:
            return self.adapted_to(training_data)
        return self.adapted_like(from_predictor)
