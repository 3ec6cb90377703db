"""Any GluonTS torch estimator with a distribution head, trained to a posterior over its weights."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

import copy
from typing import Any

from gluonts.dataset.common import Dataset
from gluonts.model import Estimator
from gluonts.torch.model.estimator import TrainOutput

from tsbnn.forecasting.inputs import check_no_more, check_seed
from tsbnn.forecasting.prediction.chunks import check_memory_limit
from tsbnn.forecasting.prediction.draws import check_evaluation
from tsbnn.forecasting.predictor import BayesianPredictor
from tsbnn.forecasting.settings import check_budget, check_estimator
from tsbnn.forecasting.time_limit import check_time_limit
from tsbnn.forecasting.training import train
from tsbnn.foreign.names import network_name
from tsbnn.inference import InferenceMethod, from_dict, method
from tsbnn.networks.checks import check_whole
from tsbnn.networks.validated import validated


class BayesianEstimator(Estimator):
    """Turns a neural forecaster into a Bayesian one.

    ``train`` infers a posterior over the network's weights with Lightning and the wrapped
    estimator's data loaders, batch size and ``trainer_kwargs``; the wrapped estimator itself is
    never changed. Its learning rate, weight decay and scheduler belong to GluonTS's optimizer and
    are not used. For ``max_epochs`` epochs a method takes ``num_batches_per_epoch`` steps each,
    and as many gradient evaluations per step as it needs (score: one in its warm start, then two;
    ensemble: one for each member), and perhaps some after the last step (laplace);
    ``gradient_evaluations`` sets the budget in evaluations instead.

    Parameters
    ----------
    estimator
        One of ours (:class:`tsbnn.DeepAREstimator`, …) or of GluonTS's torch estimators, with a
        distribution head.
    inference
        An inference method, its name in :data:`tsbnn.inference.METHODS` (``"score"``, ``"elbo"``,
        ``"ensemble"``, ``"sghmc"``, …), or what its ``to_dict`` gave.
    num_draws
        Weight draws of one prediction.
    num_samples
        Paths per series of one prediction; by default the estimator's ``num_parallel_samples``
        where it has them, else 100.
    seed
        Decides the initial weights, the windows, the weight noise, and predictions. Global random
        state is left as it is. None takes fresh entropy at each training, recorded in the
        predictor's ``training_summary``.
    num_observations
        N of the target density; by default the number of observed target points of the training
        data, each counted once.
    gradient_evaluations
        Training budget; excludes ``max_epochs`` and ``max_steps`` in ``trainer_kwargs``.
    stop_after
        Ends training early, after this many validations in turn without a new lowest loss; by
        default never. It needs ``validation_data``, whose windows are the same every time, and
        counts from where there is a posterior: no warm start is cut short. Validations come once an
        epoch, or as ``check_val_every_n_epoch`` or ``val_check_interval`` in ``trainer_kwargs``
        say. Schedules over the planned steps (learning rates that decay, say) break off where
        training stops; the posterior kept is the best one in any case. (GluonTS's ``patience`` is
        something else: when its optimizer's learning rate is halved.)
    compile
        Whether ``torch.compile`` compiles the training loss, for one weight draw at a time; on CUDA
        it is then replayed as CUDA graphs. See :mod:`tsbnn.forecasting.compiled` for what it costs
        and brings. Predictors hold nothing compiled.
    time_limit
        Seconds that training may take, reading the data included. A few steps are timed first, and
        at most as many are planned as fit, so that schedules end with them: see
        :mod:`tsbnn.forecasting.time_limit`. Results then depend on the machine.
    inference_kwargs
        Settings of the inference method, e.g. ``{"temperature": 0.1}``.
    draw_evaluation
        How several weight draws are evaluated, in predictions (see :class:`BayesianPredictor`) and
        in training, where a step's draws on one batch (a pair, the K of ``alpha``) are all at once
        as well with ``"batched"``, and with ``"auto"`` where that was found to be faster. It takes
        the memory of K passes.
    memory_limit
        Of predictions, as that of :class:`BayesianPredictor`.

    Raises
    ------
    TypeError
        If ``estimator`` is no GluonTS torch estimator.
    ValueError
        For heads that are no likelihood, weight decay, unknown methods or settings, counts below 1,
        and ``gradient_evaluations`` that do not pay for a single step.
    """

    @validated()
    def __init__(
        self,
        estimator: Any,
        inference: Any = "score",
        num_draws: int = 20,
        num_samples: int | None = None,
        seed: int | None = 0,
        num_observations: int | None = None,
        gradient_evaluations: int | None = None,
        inference_kwargs: dict[str, Any] | None = None,
        draw_evaluation: str = "auto",
        memory_limit: int | None = None,
        stop_after: int | None = None,
        compile: bool = False,
        time_limit: float | None = None,
    ) -> None:
        check_estimator(estimator)
        super().__init__(lead_time=estimator.lead_time)
        counts = {
            "num_draws": num_draws,
            "num_samples": num_samples,
            "num_observations": num_observations,
            "gradient_evaluations": gradient_evaluations,
            "stop_after": stop_after,
        }
        for name, value in counts.items():
            if value is not None:
                check_whole(value, name)
        if seed is not None:
            check_seed(seed)
        self.estimator = estimator
        self.inference = _method(inference, inference_kwargs or {})
        if gradient_evaluations is not None:
            check_budget(self.inference, gradient_evaluations)
        self.draw_evaluation = check_evaluation(draw_evaluation)
        self.memory_limit = check_memory_limit(memory_limit)
        self.num_draws = num_draws
        self.num_samples = num_samples or int(getattr(estimator, "num_parallel_samples", 100))
        self.seed = seed
        self.num_observations = num_observations
        self.gradient_evaluations = gradient_evaluations
        self.stop_after = stop_after
        self.compile = compile
        self.time_limit = check_time_limit(time_limit)
        self.prediction_length = estimator.prediction_length
        # What serde writes: the method in JSON terms, with its settings settled.
        self.__init_args__ |= {"inference": self.inference.to_dict(), "inference_kwargs": None}

    def train(
        self,
        training_data: Dataset,
        validation_data: Dataset | None = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = True,
        cache_limit: int | None = None,
        ckpt_path: str | None = None,
        **kwargs: Any,
    ) -> BayesianPredictor:
        """Infer the posterior.

        Parameters
        ----------
        training_data
            A GluonTS dataset; missing targets are NaN and count for nothing.
        validation_data
            If given, the posterior with the lowest validation loss at its mean is kept, instead of
            the last one. The windows are the same at every validation.
        shuffle_buffer_length
            As in GluonTS.
        cache_data
            Transform every series once, keep the result in memory, where training runs, and cut
            every batch out of it by one gather a field: the batches that GluonTS would give, with
            the same law of windows, without most of the loader's time. Where that cannot be (an
            unknown sampler, a splitter other than an InstanceSplitter) GluonTS's loader is used,
            over series in memory, and the log says why. False reads and transforms the series
            again and again, as GluonTS does by default.
        cache_limit
            Bytes that the transformed series may take, by default a quarter of the free memory.
            Larger data are streamed, as if ``cache_data`` were False. They should then lie on disk:
            GluonTS's ``FileDataset(path, freq)`` reads Arrow files (memory-mapped) and Parquet,
            which its ``ArrowWriter`` and ``ParquetWriter`` in ``gluonts.dataset.arrow`` write, with
            ``pip install tsbnn[parquet]``.
        ckpt_path
            A Lightning checkpoint of an earlier run on these data to go on from: weights,
            posterior, optimizer and weight noise continue exactly, the sequence of windows starts
            anew.
        **kwargs
            None: GluonTS, whose signature this is, ignores further names, misspelt ones too.

        Raises
        ------
        TypeError
            For further names, and for data that are no GluonTS dataset or can be read once only: a
            pandas frame (see :func:`tsbnn.datasets.from_frame`), an iterator.
        """
        check_no_more(kwargs)
        return self.train_model(
            training_data,
            validation_data,
            shuffle_buffer_length=shuffle_buffer_length,
            cache_data=cache_data,
            cache_limit=cache_limit,
            ckpt_path=ckpt_path,
        ).predictor

    def train_from(
        self,
        predictor: BayesianPredictor,
        training_data: Dataset,
        validation_data: Dataset | None = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = True,
        cache_limit: int | None = None,
        ckpt_path: str | None = None,
    ) -> BayesianPredictor:
        """Infer the posterior with an earlier one as the prior, starting at its mean.

        Weights without a spread there are centred at their old values with the scale of this
        estimator's own prior: all of them after ``map``, and after ``mc_dropout``, ``ensemble`` and
        ``swag``, whose spread is no belief formed by data. The data should be new: what the old
        posterior has seen would count twice.

        Warns
        -----
        UserWarning
            If both posteriors have a temperature other than 1: the old data are tempered twice.

        Raises
        ------
        TypeError
            If ``predictor`` is no :class:`BayesianPredictor`.
        ValueError
            If its network is another one.
        """
        return self.train_model(
            training_data,
            validation_data,
            from_predictor=predictor,
            shuffle_buffer_length=shuffle_buffer_length,
            cache_data=cache_data,
            cache_limit=cache_limit,
            ckpt_path=ckpt_path,
        ).predictor

    def train_model(
        self,
        training_data: Dataset,
        validation_data: Dataset | None = None,
        from_predictor: BayesianPredictor | None = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = True,
        cache_limit: int | None = None,
        ckpt_path: str | None = None,
        **kwargs: Any,
    ) -> TrainOutput:
        """Train as :meth:`train` does; return the Lightning module and the trainer as well."""
        check_no_more(kwargs)
        return train(
            self,
            training_data,
            validation_data,
            from_predictor=from_predictor,
            shuffle_buffer_length=shuffle_buffer_length,
            cache_data=cache_data,
            cache_limit=cache_limit,
            ckpt_path=ckpt_path,
        )

    def adapted_to(self, training_data: Dataset) -> "BayesianEstimator":
        """Return the estimator that :meth:`train` trains.

        One of ours leaves out default lags and time features that the data cannot teach, see
        :meth:`tsbnn.DeepAREstimator.adapted_to`; GluonTS's stay as they are.
        """
        if not hasattr(self.estimator, "adapted_to"):
            return self
        return self._around(self.estimator.adapted_to(training_data))

    def adapted_like(self, predictor: BayesianPredictor) -> "BayesianEstimator":
        """Return the estimator that :meth:`train_from` trains: it reads what the old one reads."""
        if not hasattr(self.estimator, "adapted_like"):
            return self
        return self._around(self.estimator.adapted_like(predictor))

    def _around(self, estimator: Any) -> "BayesianEstimator":
        other = copy.copy(self)
        other.estimator = estimator
        other.__init_args__ = {**self.__init_args__, "estimator": estimator}
        return other

    def with_seed(self, seed: int | None) -> "BayesianEstimator":
        """Return an estimator that differs in its seed only.

        Raises
        ------
        ValueError
            If ``seed`` is no whole number in ``0..2**63-1``.
        """
        other = copy.copy(self)
        other.seed = seed if seed is None else check_seed(seed)
        other.__init_args__ = {**self.__init_args__, "seed": other.seed}
        return other

    def describe(self) -> dict[str, str]:
        """Name the network, the inference method and its posterior family."""
        return {
            "network": network_name(type(self.estimator)),
            "inference": self.inference.name,
            "family": self.inference.family,
        }


def _method(inference: Any, settings: dict[str, Any]) -> InferenceMethod:
    if isinstance(inference, str):
        return method(inference, **settings)
    if isinstance(inference, dict):
        inference = from_dict(inference)
    if not isinstance(inference, InferenceMethod):
        raise TypeError(
            "inference must be a name, an inference method or its description as a dict, "
            f"not {type(inference).__name__}"
        )
    return inference.replace(**settings)
