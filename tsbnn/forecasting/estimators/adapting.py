"""Estimators whose default lags and calendar follow the training data."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

from gluonts.dataset.common import Dataset
from gluonts.model import Predictor
from gluonts.torch.model.estimator import TrainOutput

from tsbnn.forecasting.estimators.checks import settled_lags, settled_time_features
from tsbnn.forecasting.estimators.maximum_likelihood import MaximumLikelihoodEstimator
from tsbnn.forecasting.estimators.teachable import (
    Extent,
    inputs_of,
    teachable_lags,
    teachable_time_features,
)
from tsbnn.forecasting.inputs import check_dataset


class AdaptingEstimator(MaximumLikelihoodEstimator):
    """Trains a copy of itself that reads what the training data can teach.

    ``lags_seq`` and ``time_features`` that nobody chose are GluonTS's for the frequency, less those
    that the data cannot teach; what was chosen stays. Subclasses set ``freq``, then settle both.
    """

    freq: str
    lags_seq: list[int]
    time_features: list[Any]
    _unchosen: frozenset[str] = frozenset()

    def _settle_lags(self, lags_seq: Sequence[int] | None) -> None:
        self.lags_seq = settled_lags(self.freq, lags_seq)
        if lags_seq is None:
            self._unchosen |= {"lags_seq"}

    def _settle_time_features(self, time_features: Sequence[Any] | None) -> None:
        self.time_features = settled_time_features(self.freq, time_features)
        if time_features is None:
            self._unchosen |= {"time_features"}

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
        if not self._unchosen:
            return self
        extent = Extent.of(training_data)
        found: dict[str, Any] = {}
        if "lags_seq" in self._unchosen:
            found["lags_seq"] = teachable_lags(self.lags_seq, extent)
        if "time_features" in self._unchosen:
            found["time_features"] = teachable_time_features(self.time_features, extent)
        return self._reading(found)

    def adapted_like(self, predictor: Predictor) -> Self:
        """Return the estimator that reads what a trained predictor's network reads."""
        return self._reading(inputs_of(predictor))

    def _reading(self, inputs: dict[str, Any]) -> Self:
        """Return the estimator with other inputs in place of those that nobody chose."""
        other = copy.copy(self)
        chosen = {name: value for name, value in inputs.items() if name in self._unchosen}
        other.__dict__.update(chosen, _unchosen=frozenset())
        other.__init_args__ = {**self.__init_args__, **chosen}
        return other

    def train_model(
        self,
        training_data: Dataset,
        validation_data: Dataset | None = None,
        from_predictor: Predictor | None = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = True,
        ckpt_path: str | None = None,
        **kwargs: Any,
    ) -> TrainOutput:
        """Train as :meth:`train` does; return the Lightning module and the trainer as well."""
        if from_predictor is None:
            adapted = self.adapted_to(training_data)
        else:
            adapted = self.adapted_like(from_predictor)
        return super(AdaptingEstimator, adapted).train_model(
            training_data,
            validation_data,
            from_predictor,
            shuffle_buffer_length=shuffle_buffer_length,
            cache_data=cache_data,
            ckpt_path=ckpt_path,
        )
