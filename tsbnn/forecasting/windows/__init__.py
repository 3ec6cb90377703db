"""Windows of many series, cut by one gather: GluonTS's batches at a fraction of their price."""

from __future__ import annotations

from tsbnn.forecasting.windows.serving import Loading, data_loader, estimator_windows
from tsbnn.forecasting.windows.window_loader import WindowLoader

__all__ = ["Loading", "WindowLoader", "data_loader", "estimator_windows"]
