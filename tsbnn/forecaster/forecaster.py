"""The forecaster: fit, predict, cross_validation, update, save and load on pandas frames."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import pandas as pd

from tsbnn.datasets import FrameDataset, from_frame
from tsbnn.forecaster.cross_validation import cross_validate
from tsbnn.forecaster.history import joined, without_horizon
from tsbnn.forecaster.parameters import NotFittedError
from tsbnn.forecaster.storing import Stored
from tsbnn.forecaster.training import Progress, dataset_of, horizon_of, part, trained
from tsbnn.forecaster.unlike import largest_share, warn_of_unlike
from tsbnn.forecasting import BayesianPredictor
from tsbnn.forecasting.frames import LEVELS, QUANTILES, FrameColumns, check_free
from tsbnn.inference import InferenceMethod

Names = Hashable | Sequence[Hashable]
#: Share of fitting's progress that training takes; the spread of its windows takes the rest.
_TRAINING = 0.95


class Forecaster(Stored):
    """A Bayesian neural forecaster of all series of a long frame.

    The constructor only stores its arguments; they are checked by :meth:`fit`. What fitting finds
    has names that end with an underscore.

    Parameters
    ----------
    freq
        Frequency of the timestamps, such as ``"D"``, ``"h"``, ``"MS"``; None infers it.
    prediction_length
        Steps to forecast.
    model
        Name of a network (``"deepar"``, ``"transformer"``, ``"patch_transformer"``,
        ``"gluonts_deepar"``), or an estimator: ours or one of GluonTS's torch estimators.
    inference
        Inference method: a name of :data:`tsbnn.inference.METHODS`, or one of its classes' objects.
    covariates
        Columns known ahead, through the horizon: calendar, prices.
    past_covariates
        Columns known up to the end of the history: weather as measured.
    static_features
        Columns with one value per series.
    fill_covariates
        Carry covariates over gaps, instead of raising.
    item_id, timestamp, target
        Columns of ids, timestamps and targets. "item_id" or "unique_id", "timestamp" or "ds" and
        "target" or "y" need not be told. Forecasts come back under the same names.
    support
        What targets can be: ``"real"`` numbers; ``"nonnegative"``, where paths are cut at 0; or
        ``"count"``, whole numbers from 0 with a negative binomial distribution. Other targets in
        the data are an error. An estimator as ``model`` has its own distribution.
    time_features
        Calendar features such as ``["hour_of_day", "day_of_week"]``, ``()`` for none: names of
        :data:`tsbnn.forecasting.time_features.TIME_FEATURES`. None: GluonTS's for the frequency,
        as far as the data go through their cycles one and a half times.
    gradient_evaluations, time_limit
        Training budget in minibatch gradients, and in seconds; without the first it is that of the
        estimator's ``trainer_kwargs``.
    num_draws, num_samples
        Weight draws and paths of one prediction.
    seed
        Decides everything random; None takes fresh entropy.
    verbose
        Whether training shows Lightning's progress bar and notices; ``progress`` takes their place.
    model_kwargs, inference_kwargs
        Further arguments of a network by name, e.g. ``{"context_length": 60}``, and of the method.

    Attributes
    ----------
    predictor_
        The trained :class:`tsbnn.BayesianPredictor`.
    frame_
        The data that forecasts start from; None after :meth:`load`.
    epistemic_share_
        The largest epistemic share of a training window's forecast, and the number of windows;
        None where there are too few.

    Examples
    --------
    >>> Forecaster(freq="D", prediction_length=28, covariates=["price"])
    Forecaster(freq='D', prediction_length=28, covariates=['price'])
    """

    def __init__(
        self,
        freq: str | None = None,
        prediction_length: int | None = None,
        *,
        model: Any = "deepar",
        inference: str | InferenceMethod = "score",
        covariates: Names = (),
        past_covariates: Names = (),
        static_features: Names = (),
        fill_covariates: bool = False,
        item_id: Hashable = None,
        timestamp: Hashable = None,
        target: Hashable = None,
        support: str = "real",
        time_features: str | Sequence[Any] | None = None,
        gradient_evaluations: int | None = 5000,
        time_limit: float | None = None,
        num_draws: int = 20,
        num_samples: int = 100,
        seed: int | None = 0,
        verbose: bool = True,
        model_kwargs: Mapping[str, Any] | None = None,
        inference_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.freq = freq
        self.prediction_length = prediction_length
        self.model = model
        self.inference = inference
        self.covariates = covariates
        self.past_covariates = past_covariates
        self.static_features = static_features
        self.fill_covariates = fill_covariates
        self.item_id = item_id
        self.timestamp = timestamp
        self.target = target
        self.support = support
        self.time_features = time_features
        self.gradient_evaluations = gradient_evaluations
        self.time_limit = time_limit
        self.num_draws = num_draws
        self.num_samples = num_samples
        self.seed = seed
        self.verbose = verbose
        self.model_kwargs = model_kwargs
        self.inference_kwargs = inference_kwargs

    def fit(self, df: pd.DataFrame | pd.Series, progress: Progress | None = None) -> Self:
        """Train on all series of a frame.

        Parameters
        ----------
        df
            One row for each series and time step. Rows at a series' end without a target hold
            covariates of the future. A copy is kept for :meth:`predict`.
        progress
            Called with the fraction done, from 0 to 1.

        Raises
        ------
        ValueError, TypeError
            For a frame (a ``FrameError`` that names series, column, row and value) or arguments
            of the constructor that do not fit.
        """
        dataset = dataset_of(self, df)
        check_free(FrameColumns().names, dataset.columns[:2])
        predictor = self._train(dataset, part(progress, 0, _TRAINING))
        return self._keep(predictor, dataset, df, part(progress, _TRAINING, 1))

    def predict(
        self,
        df: pd.DataFrame | pd.Series | None = None,
        future_covariates: pd.DataFrame | None = None,
        **options: Any,
    ) -> Any:
        """Forecast beyond the end of every series.

        Parameters
        ----------
        df
            Histories to forecast from; by default those of :meth:`fit` and :meth:`update`.
        future_covariates
            Known covariates of the horizon; from its first row on they replace the rows without a
            target that the histories end in, if any.
        **options
            ``quantiles``, ``levels``, ``num_samples``, ``seed``, ``return_samples``,
            ``calibration``, ``progress`` of :meth:`tsbnn.BayesianPredictor.predict_frame`, which
            says what comes back.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`, and without ``df`` after :meth:`load`.

        Warns
        -----
        UnlikeTrainingWarning
            Where forecasts have more epistemic share than windows of the training data, see
            :mod:`tsbnn.forecaster.unlike`. Paths fewer than ``num_samples`` cannot tell.
        """
        predictor = self._fitted()
        schema = predictor.frame_schema
        if df is None:
            if self.frame_ is None:
                raise NotFittedError("a model on disk holds no data: pass df, the histories")
            df = self.frame_
        is_frame = not isinstance(df, FrameDataset)
        if future_covariates is not None and is_frame and schema and schema.known_covariates:
            names = {name: options.get(name) for name in ("item_id", "timestamp", "target")}
            given = {name: column for name, column in names.items() if column is not None}
            df = without_horizon(df, future_covariates, replace(schema, **given))
        result = predictor.predict_frame(df, future_covariates=future_covariates, **options)
        fewer = (options.get("num_samples") or self.num_samples) < self.num_samples
        if self.epistemic_share_ is not None and not fewer:
            frame = result[0] if isinstance(result, tuple) else result
            column = options.get("item_id") or (schema and schema.item_id)
            warn_of_unlike(frame, predictor.prediction_length, column, *self.epistemic_share_)
        return result

    def cross_validation(
        self,
        df: pd.DataFrame | pd.Series,
        n_windows: int = 1,
        step: int | None = None,
        refit: bool | int = False,
        *,
        quantiles: Sequence[float] = QUANTILES,
        levels: Sequence[float] = LEVELS,
        num_samples: int | None = None,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """Forecast the last windows of every series from what came before them.

        Nothing that is fitted is used or changed: every model here trains on data that end
        before the windows that it forecasts.

        Parameters
        ----------
        df
            The frame, as for :meth:`fit`.
        n_windows
            Windows of ``prediction_length`` steps; the last one ends with the series.
        step
            Steps from one window to the next, by default ``prediction_length``.
        refit
            False trains once, before the first window; True before every window; a number n
            before every n-th.
        quantiles, levels, num_samples
            As in :meth:`predict`.
        progress
            As in :meth:`fit`.

        Returns
        -------
        pandas.DataFrame
            The columns of :meth:`predict`, and before them ``cutoff`` (the last timestamp of the
            history), ``step`` of the horizon, from 1, and the actual target (to the seven digits
            of float32, with which networks compute).

        Raises
        ------
        ValueError
            If a series is too short for the windows.
        """
        options = {"quantiles": quantiles, "levels": levels, "num_samples": num_samples}
        dataset, horizon = dataset_of(self, df), horizon_of(self)
        return cross_validate(
            self._train, dataset, horizon, n_windows, step, refit, options, progress
        )

    def update(self, df: pd.DataFrame | pd.Series, progress: Progress | None = None) -> Self:
        """Learn from new data, with the old posterior as the prior.

        Parameters
        ----------
        df
            New rows of old series, or new series. Networks train on these alone, so that they
            must be long enough for windows of ``prediction_length`` steps; rows that the old
            posterior has seen would count twice. Forecasts start from the old and the new rows;
            after :meth:`load`, which brings no old ones, :meth:`predict` needs its ``df``.
        progress
            As in :meth:`fit`.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        FrameError
            As from :meth:`fit`; also for rows that are there already.
        """
        predictor = self._fitted()
        schema = predictor.frame_schema or dataset_of(self, df).schema
        dataset = from_frame(df, **schema.arguments()).training
        frame = None
        if self.frame_ is not None:
            frame = joined(self.frame_, df, schema)
            # Rows that are there twice are told before any training.
            from_frame(frame, **schema.arguments())
        updated = trained(
            self,
            dataset,
            lambda estimator: estimator.train_from(predictor, dataset),
            part(progress, 0, _TRAINING),
        )
        return self._keep(updated, dataset, frame, part(progress, _TRAINING, 1))

    def _keep(
        self,
        predictor: BayesianPredictor,
        dataset: FrameDataset,
        df: pd.DataFrame | pd.Series | None,
        progress: Progress | None,
    ) -> Self:
        self.predictor_ = predictor
        self.frame_ = None if df is None else df.copy()
        self.epistemic_share_ = largest_share(predictor, dataset, progress)
        return self

    def _train(self, dataset: FrameDataset, progress: Progress | None) -> BayesianPredictor:
        return trained(self, dataset, lambda estimator: estimator.train(dataset), progress)
