"""Deterministic training, as GluonTS's estimators do it, without some of its habits.

A second ``train`` keeps its callbacks, nothing is written unless a ``default_root_dir`` is named,
no random numbers are spent on a summary of the model, and the weights that are kept are the best on
validation data or the last, never those of a lucky epoch of training.
"""

from __future__ import annotations

import functools
import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import lightning.pytorch as pl
import torch
from gluonts.dataset.common import Dataset
from gluonts.model import Predictor
from gluonts.torch.model.estimator import PyTorchLightningEstimator, TrainOutput
from gluonts.torch.model.predictor import PyTorchPredictor

from tsbnn.forecasting.checkpoints import same_network
from tsbnn.forecasting.estimators.lightning_module import LikelihoodLightningModule
from tsbnn.forecasting.inputs import check_dataset, check_no_more
from tsbnn.forecasting.kept_memory import keep_freed_memory
from tsbnn.forecasting.observed import count_observed, points_of_a_window
from tsbnn.forecasting.seeds import generator
from tsbnn.forecasting.settings import where_to_write
from tsbnn.forecasting.weights_fit import check_weights_fit
from tsbnn.forecasting.windows import Loading, data_loader
from tsbnn.foreign.notices import without_foreign_warnings
from tsbnn.networks.checks import check_whole


class MaximumLikelihoodEstimator(PyTorchLightningEstimator):
    """Deterministic training of a network, with or without validation data.

    Subclasses define what :class:`gluonts.torch.model.estimator.PyTorchLightningEstimator` asks
    for; their Lightning module is a :class:`LikelihoodLightningModule`.
    """

    def _adapted(self, training_data: Dataset, from_predictor: Predictor | None) -> Self:
        """Return the estimator whose network is trained; subclasses may follow the data."""
        return self

    def train_model(
        self,
        training_data: Dataset,
        validation_data: Dataset | None = None,
        from_predictor: Predictor | None = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = True,
        cache_limit: int | None = None,
        ckpt_path: str | None = None,
        **kwargs: Any,
    ) -> TrainOutput:
        """Train as :meth:`train` does; return the Lightning module and the trainer as well."""
        check_no_more(kwargs)
        if cache_limit is not None:
            check_whole(cache_limit, "cache_limit")
        check_dataset(training_data, "training_data")
        if validation_data is not None:
            check_dataset(validation_data, "validation_data")
        needed = points_of_a_window(self)
        # Above stands `train`, then the caller.
        found = count_observed(training_data, needed, getattr(self, "distr_output", None))
        found.warn_of_short(needed, stacklevel=3)
        keep_freed_memory()
        with ExitStack() as stack:
            # A caller's inference mode would leave nothing to differentiate.
            stack.enter_context(torch.inference_mode(False))
            estimator = self._adapted(training_data, from_predictor)
            transformation = estimator.create_transformation()
            module = estimator.create_lightning_module()
            if from_predictor is not None:
                _continue(module, from_predictor)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tsbnn-")))
            stack.enter_context(without_foreign_warnings())
            settings: dict[str, Any] = {"accelerator": "auto", "devices": 1, "logger": False}
            settings |= self.trainer_kwargs
            trainer = pl.Trainer(**where_to_write(settings, folder))
            load = functools.partial(
                data_loader, estimator, transformation, module=module, cache_data=cache_data
            )
            wanted = Loading(
                is_single_pass=False,
                generator=generator(int(torch.randint(2**62, ()))),
                device=trainer.strategy.root_device,
                shuffle_buffer_length=shuffle_buffer_length,
                memory_limit=cache_limit,
                name="training_data",
            )
            batches = load(training_data, loading=wanted)
            validation = None
            if validation_data is not None:
                # The same windows every time: weights are compared, not lucky windows.
                wanted = wanted._replace(
                    is_single_pass=True, generator=generator(0), name="validation_data"
                )
                validation = load(validation_data, loading=wanted)
            stack.enter_context(warnings.catch_warnings())
            # That there is no validation is what the user wants.
            warnings.filterwarnings("ignore", "You defined a `validation_step`")
            with same_network(trainer, estimator, ckpt_path):
                trainer.fit(module, batches, validation, ckpt_path=ckpt_path)
        module.restore_best()
        return TrainOutput(
            transformation=transformation,
            trained_net=module,
            trainer=trainer,
            predictor=estimator.create_predictor(transformation, module),
        )

    def train(
        self,
        training_data: Dataset,
        validation_data: Dataset | None = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = True,
        cache_limit: int | None = None,
        ckpt_path: str | None = None,
        **kwargs: Any,
    ) -> PyTorchPredictor:
        """Fit the network by maximum likelihood.

        Initial weights, windows and dropout come from the global random state, as in GluonTS:
        ``lightning.seed_everything`` before makes it repeatable.

        Parameters
        ----------
        training_data
            A GluonTS dataset; missing targets are NaN and count for nothing.
        validation_data
            If given, the weights with the lowest validation loss are kept, instead of the last.
        shuffle_buffer_length
            As in GluonTS.
        cache_data
            Transform every series once and keep the result in memory. GluonTS's default is not to.
        cache_limit
            Bytes that the transformed series may take, by default a quarter of the free memory.
            Larger data are streamed.
        ckpt_path
            A Lightning checkpoint of an earlier run on the same data to go on from.
        **kwargs
            None: GluonTS, whose signature this is, ignores further names, misspelt ones too.

        Raises
        ------
        TypeError
            For further names, and for data that are no GluonTS dataset or can be read once only.
        ValueError
            If a series lacks a field or one has another shape than the arguments say, if nothing
            is observed, and if no series is long enough for a window.
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
        predictor: Predictor,
        training_data: Dataset,
        validation_data: Dataset | None = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = True,
        cache_limit: int | None = None,
        ckpt_path: str | None = None,
    ) -> PyTorchPredictor:
        """Go on from the weights of an earlier predictor of an estimator like this one.

        Raises
        ------
        TypeError
            If ``predictor`` is none of these estimators'.
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


def _continue(module: LikelihoodLightningModule, predictor: Predictor) -> None:
    """Put the weights of a predictor's network into the module."""
    old = predictor.network if isinstance(predictor, PyTorchPredictor) else None
    if not isinstance(old, LikelihoodLightningModule):
        raise TypeError(
            f"train_from needs a predictor of an estimator like this one, trained "
            f"deterministically, not {type(predictor).__name__}"
        )
    check_weights_fit(old.model, module.model)
    module.load_state_dict(old.state_dict())
