"""A frame in, a tidy frame of forecasts out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsbnn.datasets import FrameDataset, FrameSchema, from_frame
from tsbnn.forecasting.frames import (
    LEVELS,
    QUANTILES,
    Calibration,
    FrameBuilder,
    FrameColumns,
)
from tsbnn.forecasting.inputs import check_seed
from tsbnn.forecasting.prediction.prediction import Predicted
from tsbnn.inference import Posterior
from tsbnn.networks.checks import check_whole


class FramePredictor:
    """The part of :class:`tsbnn.forecasting.BayesianPredictor` that knows pandas frames."""

    frame_schema: FrameSchema | None
    num_samples: int
    seed: int
    prediction_length: int
    lead_time: int

    @property
    def posterior(self) -> Posterior:
        """The posterior over the network's flat weights."""
        raise NotImplementedError

    def _batches(
        self, dataset: Any, num_samples: int, seed: int
    ) -> Iterator[tuple[dict[str, Any], Predicted, np.ndarray]]:
        raise NotImplementedError

    def predict_frame(
        self,
        df: pd.DataFrame | pd.Series | FrameDataset,
        *,
        future_covariates: pd.DataFrame | None = None,
        quantiles: Sequence[float] = QUANTILES,
        levels: Sequence[float] = LEVELS,
        num_samples: int | None = None,
        seed: int | None = None,
        return_samples: bool = False,
        calibration: Calibration | None = None,
        item_id: Any = None,
        timestamp: Any = None,
        target: Any = None,
        progress: Callable[[float], None] | None = None,
    ) -> Any:
        """Forecast beyond the end of every series of a frame; return a tidy frame.

        Each series has its own end. Columns are read, categories encoded and gaps treated as in
        training; series that training has not seen are welcome, categories that it has not seen
        are an error. :mod:`tsbnn.forecasting.frames` describes the columns that come out.

        Parameters
        ----------
        df
            The histories, with the columns of the frame that training had; or a dataset that
            :func:`tsbnn.datasets.from_frame` made, cut for prediction.
        future_covariates
            Rows of the horizon with ids, timestamps and known covariates. Without it these are
            the rows at a series' end whose target is missing.
        quantiles
            Levels of quantiles, between 0 and 1.
        levels
            Central intervals, in percent.
        num_samples, seed
            As in :meth:`predict`.
        return_samples
            Return a second frame, of the paths: ids, timestamps, ``draw`` (of the weights),
            ``path``, ``value``.
        calibration
            Moves quantiles and bounds: a :class:`tsbnn.forecasting.ConformalCalibration`.
        item_id, timestamp, target
            Columns of ``df``, where they have other names than in training.
        progress
            Called with the share of series that is done.

        Returns
        -------
        pandas.DataFrame, or a tuple of two
            ``prediction_length`` rows for each series, in sorted order of ids and time.

        Warns
        -----
        UserWarning
            Where series end in as many missing targets as are to be forecast: forecasts start
            behind them.

        Raises
        ------
        ValueError
            If training had no dataset of ``from_frame``, so that the columns are not known.
        FrameError
            A ``ValueError`` that names series, column, row and value: a horizon whose covariates
            are missing, an unknown category; see :mod:`tsbnn.datasets.errors`.
        """
        columns = FrameColumns(quantiles, levels, calibration)
        if not isinstance(df, FrameDataset):
            names = {"item_id": item_id, "timestamp": timestamp, "target": target}
            df = self._dataset(df, future_covariates, names)
            _warn_of_dark_ends(df, self.prediction_length)
        builder = FrameBuilder(
            df, self.lead_time, self.prediction_length, columns, keep_paths=return_samples
        )
        num_samples = self.num_samples if num_samples is None else num_samples
        seed = self.seed if seed is None else seed
        batches = self._batches(df, check_whole(num_samples, "num_samples"), check_seed(seed))
        for _, predicted, draw_index in batches:
            done = builder.add(predicted, draw_index, num_atoms=self.posterior.num_atoms)
            if progress is not None:
                progress(done / len(df))
        return (builder.frame(), builder.paths()) if return_samples else builder.frame()

    def _dataset(
        self, df: Any, future_covariates: pd.DataFrame | None, names: dict[str, Any]
    ) -> FrameDataset:
        if self.frame_schema is None:
            raise ValueError(
                "this predictor was not trained on a dataset of tsbnn.from_frame, so that it does "
                "not know the columns of a frame: train on one, or give predict_frame what "
                "from_frame makes of df"
            )
        return from_frame(
            df,
            **self.frame_schema.arguments(**names),
            future_covariates=future_covariates,
            prediction_length=self.prediction_length,
        )


def _warn_of_dark_ends(dataset: FrameDataset, length: int) -> None:
    """Warn where series end in as many missing targets as are to be forecast."""
    dark = np.flatnonzero(np.isnan(dataset.targets(-length, length)).all(axis=1))
    if len(dark):
        whose = "" if dataset.columns.item_id is None else f", {dataset.item_ids[dark[0]]!r} first"
        warnings.warn(
            f"{len(dark)} of {len(dataset)} series end in {length} missing targets or more{whose}: "
            "their forecasts start behind these. If they are what is to be forecast, drop the rows",
            stacklevel=3,
        )
