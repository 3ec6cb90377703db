"""From a pandas frame to forecasts and back in one object, in scikit-learn's manners."""

from __future__ import annotations

from tsbnn.forecaster.forecaster import Forecaster
from tsbnn.forecaster.parameters import NotFittedError
from tsbnn.forecaster.unlike import UnlikeTrainingWarning

__all__ = ["Forecaster", "NotFittedError", "UnlikeTrainingWarning"]
