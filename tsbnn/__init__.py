"""tsbnn: neural time-series forecasters that know what they do not know.

Names are loaded on first use, so that ``import tsbnn`` and ``tsbnn --help`` stay fast.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_HOMES = {
    "BayesianEstimator": "tsbnn.forecasting",
    "BayesianForecast": "tsbnn.forecasting",
    "BayesianPredictor": "tsbnn.forecasting",
    "DeepAREstimator": "tsbnn.forecasting",
    "ConformalCalibration": "tsbnn.forecasting",
    "ELBOVI": "tsbnn.inference",
    "Forecaster": "tsbnn.forecaster",
    "MAP": "tsbnn.inference",
    "PatchTransformerEstimator": "tsbnn.forecasting",
    "ProximalScoreVI": "tsbnn.inference",
    "TransformerEstimator": "tsbnn.forecasting",
    "backtest": "tsbnn.evaluation",
    "from_frame": "tsbnn.datasets",
    "load": "tsbnn.forecasting",
    "save": "tsbnn.forecasting",
}
_SUBPACKAGES = (
    "datasets",
    "evaluation",
    "forecaster",
    "forecasting",
    "inference",
    "networks",
    "plotting",
)

__all__ = ["__version__", *sorted(_HOMES), *_SUBPACKAGES]

try:
    __version__ = version("tsbnn")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _SUBPACKAGES:
        return import_module(f"tsbnn.{name}")
    raise AttributeError(f"module 'tsbnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
