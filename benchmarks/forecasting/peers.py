"""The peers: GluonTS's networks as GluonTS trains them, statsforecast's, and the seasonal naive.

GluonTS's networks run with their defaults but for the learning rate, which has as many trials on
validation windows as every method here (see `tuning`), and `cache_data=True`, which spares them
their loader. The best epoch by training loss is kept, as GluonTS does it.
"""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from gluonts.core.component import validated
from gluonts.model import Estimator, Predictor
from gluonts.model.predictor import RepresentablePredictor
from gluonts.transform import LastValueImputation

from tsbnn.evaluation import SeasonalNaiveGaussian

#: Learning rates by network, the best of the trials (of TFT with its own head).
LEARNING_RATES = {
    "gluonts_deepar": 1e-2,
    "gluonts_tft": 1e-3,
    "gluonts_tft_student_t": 1e-3,
    "gluonts_patch_tst": 1e-3,
}
# A peer whose fit takes seconds a window sees this many seasons of its history.
SEASONS, SHORTEST = 20, 400
QUANTILES = [round(0.025 * k, 3) for k in range(1, 40)]


class Cached(Estimator):
    """A GluonTS network trained by GluonTS, its series transformed once."""

    @validated()
    def __init__(self, estimator: Any, network: str) -> None:
        super().__init__(lead_time=estimator.lead_time)
        self.estimator, self.network = estimator, network
        self.prediction_length = estimator.prediction_length

    def train(self, training_data: Any, validation_data: Any = None) -> Predictor:
        return self.estimator.train(training_data, validation_data, cache_data=True)

    def describe(self) -> dict[str, str]:
        return {"network": self.network, "inference": "adam", "family": "point"}


class Refitted(Estimator):
    """A model of statsforecast, fitted anew to the end of every history."""

    @validated()
    def __init__(self, name: str, prediction_length: int, season: int) -> None:
        super().__init__()
        self.name, self.prediction_length, self.season = name, prediction_length, season

    def train(self, training_data: Any, validation_data: Any = None) -> Predictor:
        from gluonts.ext import statsforecast

        settings = {"AutoARIMA": {"approximation": True}, "AutoETS": {}}[self.name]
        model = getattr(statsforecast, f"{self.name}Predictor")(
            prediction_length=self.prediction_length,
            quantile_levels=QUANTILES,
            season_length=self.season,
            **settings,
        )
        return Shortened(model, max(SEASONS * self.season, SHORTEST))

    def describe(self) -> dict[str, str]:
        return {"network": self.name, "inference": "none", "family": "point"}


class Shortened(RepresentablePredictor):
    """Predicts from the last steps of every history."""

    @validated()
    def __init__(self, predictor: Any, steps: int) -> None:
        super().__init__(prediction_length=predictor.prediction_length)
        self.predictor, self.steps = predictor, steps

    def predict(self, dataset: Iterable[Any], **_: Any) -> Iterator[Any]:
        return self.predictor.predict([self._shortened(entry) for entry in dataset])

    def _shortened(self, entry: Any) -> Any:
        target = np.asarray(entry["target"])
        left = max(0, len(target) - self.steps)
        # statsforecast takes no gaps.
        filled = LastValueImputation()(target[left:])
        return {**entry, "start": entry["start"] + left, "target": filled}


def _trained(network: str) -> Callable[..., Any]:
    def make(data: Any, steps: int, learning_rate: float | None = None) -> Any:
        rate = LEARNING_RATES[network] if learning_rate is None else learning_rate
        trainer = {"max_steps": steps, "max_epochs": -1}
        return Cached(_ESTIMATORS[network](data, {"lr": rate, "trainer_kwargs": trainer}), network)

    return make


def _deepar(data: Any, settings: dict[str, Any]) -> Any:
    from gluonts.torch import DeepAREstimator

    return DeepAREstimator(
        freq=data.freq,
        prediction_length=data.prediction_length,
        num_feat_dynamic_real=data.dataset.num_feat_dynamic_real,
        **settings,
    )


def _tft(data: Any, settings: dict[str, Any]) -> Any:
    from gluonts.torch import TemporalFusionTransformerEstimator

    known = data.dataset.num_feat_dynamic_real
    return TemporalFusionTransformerEstimator(
        freq=data.freq,
        prediction_length=data.prediction_length,
        dynamic_dims=[known] if known else None,
        **settings,
    )


def tft_student_t(data: Any, settings: dict[str, Any]) -> Any:
    """GluonTS's TFT with a likelihood for a head in place of its quantiles."""
    from gluonts.torch.distributions import StudentTOutput

    return _tft(data, {"distr_output": StudentTOutput(), **settings})


def _patch_tst(data: Any, settings: dict[str, Any]) -> Any:
    from gluonts.torch import PatchTSTEstimator

    return PatchTSTEstimator(
        prediction_length=data.prediction_length,
        patch_len=8,
        num_feat_dynamic_real=data.dataset.num_feat_dynamic_real,
        **settings,
    )


_ESTIMATORS = {
    "gluonts_deepar": _deepar,
    "gluonts_tft": _tft,
    "gluonts_tft_student_t": tft_student_t,
    "gluonts_patch_tst": _patch_tst,
}


def _naive(data: Any, steps: int) -> Any:
    return SeasonalNaiveGaussian(data.prediction_length, data.season)


def _refitted(name: str) -> Callable[..., Any]:
    return lambda data, steps: Refitted(name, data.prediction_length, data.season)


#: Makers of peers from the data and the number of steps, by name.
PEERS: dict[str, Callable[..., Any]] = {
    "seasonal_naive": _naive,
    "auto_ets": _refitted("AutoETS"),
    "auto_arima": _refitted("AutoARIMA"),
    **{network: _trained(network) for network in _ESTIMATORS},
}
