"""What the estimators of our networks share: arguments, fields, windows, predictor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from gluonts.dataset.common import Dataset
from gluonts.dataset.field_names import FieldName
from gluonts.dataset.loader import as_stacked_batches
from gluonts.dataset.stat import calculate_dataset_statistics
from gluonts.itertools import Cyclic
from gluonts.torch.distributions import Output
from gluonts.torch.model.predictor import PyTorchPredictor
from gluonts.transform import (
    DummyValueImputation,
    ExpectedNumInstanceSampler,
    InstanceSplitter,
    MissingValueImputation,
    TestSplitSampler,
    Transformation,
    ValidationSplitSampler,
)
from gluonts.transform.sampler import InstanceSampler
from torch import nn

from tsbnn.forecasting.estimators.adapting import AdaptingEstimator
from tsbnn.forecasting.estimators.checks import (
    check_learning,
    check_sampler,
    settled_cardinality,
)
from tsbnn.forecasting.estimators.fields import transformation
from tsbnn.forecasting.estimators.lightning_module import LikelihoodLightningModule
from tsbnn.forecasting.windows.window_sampler import no_window
from tsbnn.networks.checks import check_default_scale, check_rate, check_scaling, check_whole
from tsbnn.networks.head import check_head

_INPUTS = [
    "feat_static_cat",
    "feat_static_real",
    "past_time_feat",
    "past_target",
    "past_observed_values",
    "future_time_feat",
]
_PAST_COVARIATES = "past_feat_dynamic_real"
_LABELS = ["future_target", "future_observed_values"]


class NetworkEstimator(AdaptingEstimator):
    """A GluonTS estimator of one of our networks; subclasses add what is the network's own.

    The arguments are those of :class:`DeepAREstimator`, which says what they mean. Subclasses
    define :meth:`create_network`.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be right.
    """

    def __init__(
        self,
        *,
        freq: str,
        prediction_length: int,
        context_length: int,
        lr: float,
        weight_decay: float,
        dropout_rate: float,
        patience: int,
        num_feat_dynamic_real: int,
        num_past_feat_dynamic_real: int,
        num_feat_static_cat: int,
        num_feat_static_real: int,
        cardinality: list[int] | None,
        embedding_dimension: list[int] | None,
        distr_output: Output,
        scaling: bool | str | None,
        default_scale: float | None,
        time_features: list[Any] | None,
        num_parallel_samples: int,
        batch_size: int,
        num_batches_per_epoch: int,
        imputation_method: MissingValueImputation | None,
        trainer_kwargs: dict[str, Any] | None,
        train_sampler: InstanceSampler | None,
        validation_sampler: InstanceSampler | None,
        nonnegative_pred_samples: bool,
        age_feature: bool,
        **sizes: int,
    ) -> None:
        settings = {"max_epochs": 100, "gradient_clip_val": 10.0} | (trainer_kwargs or {})
        super().__init__(trainer_kwargs=settings)
        counts = {
            "prediction_length": prediction_length,
            "context_length": context_length,
            "num_parallel_samples": num_parallel_samples,
            "batch_size": batch_size,
            "num_batches_per_epoch": num_batches_per_epoch,
        }
        features = {
            "patience": patience,
            "num_feat_dynamic_real": num_feat_dynamic_real,
            "num_past_feat_dynamic_real": num_past_feat_dynamic_real,
            "num_feat_static_cat": num_feat_static_cat,
            "num_feat_static_real": num_feat_static_real,
        }
        for name, value in {**counts, **sizes}.items():
            check_whole(value, name)
        for name, value in features.items():
            check_whole(value, name, least=0)
        check_learning(lr, weight_decay)
        self.distr_output = distr_output
        self.freq = freq
        self.prediction_length = prediction_length
        self.context_length = context_length
        self.lr = lr
        self.weight_decay = weight_decay
        self.dropout_rate = check_rate(dropout_rate, "dropout_rate")
        self.patience = patience
        self.num_feat_dynamic_real = num_feat_dynamic_real
        self.num_past_feat_dynamic_real = num_past_feat_dynamic_real
        self.num_feat_static_cat = num_feat_static_cat
        self.num_feat_static_real = num_feat_static_real
        self.cardinality = settled_cardinality(
            num_feat_static_cat, cardinality, embedding_dimension
        )
        self.embedding_dimension = embedding_dimension
        self.scaling = check_scaling(scaling)
        check_head(distr_output, self.scaling)
        self.default_scale = check_default_scale(default_scale)
        self._settle_time_features(time_features)
        self.age_feature = age_feature
        self.num_parallel_samples = num_parallel_samples
        self.batch_size = batch_size
        self.num_batches_per_epoch = num_batches_per_epoch
        self.imputation_method = imputation_method or DummyValueImputation(
            distr_output.value_in_support
        )
        self.train_sampler = train_sampler or ExpectedNumInstanceSampler(
            num_instances=1.0, min_future=prediction_length
        )
        self.validation_sampler = validation_sampler or ValidationSplitSampler(
            min_future=prediction_length
        )
        check_sampler(self.train_sampler, "train_sampler", prediction_length)
        check_sampler(self.validation_sampler, "validation_sampler", prediction_length)
        self.nonnegative_pred_samples = nonnegative_pred_samples

    @classmethod
    def derive_auto_fields(cls, train_iter: Dataset) -> dict[str, Any]:
        """Numbers of features and categories in a dataset, as constructor arguments."""
        found = calculate_dataset_statistics(train_iter)
        return {
            "num_feat_dynamic_real": found.num_feat_dynamic_real,
            "num_past_feat_dynamic_real": found.num_past_feat_dynamic_real,
            "num_feat_static_real": len(found.feat_static_real),
            "num_feat_static_cat": len(found.feat_static_cat),
            # Categories count from 0; one that no series has may lie between.
            "cardinality": [int(max(seen)) + 1 for seen in found.feat_static_cat],
        }

    def create_network(self) -> nn.Module:
        """Build the network, with initial weights from torch's global random state."""
        raise NotImplementedError

    def network_arguments(self) -> dict[str, Any]:
        """Arguments that every network takes.

        As in GluonTS, series without static features have one category and one 0. Where the age
        is left out, a 0 stands in its place.
        """
        return {
            "context_length": self.context_length,
            "prediction_length": self.prediction_length,
            "num_feat_dynamic_real": 1 + self.num_feat_dynamic_real + len(self.time_features),
            "num_past_feat_dynamic_real": self.num_past_feat_dynamic_real,
            "num_feat_static_real": max(1, self.num_feat_static_real),
            "num_feat_static_cat": max(1, self.num_feat_static_cat),
            "cardinality": self.cardinality,
            "embedding_dimension": self.embedding_dimension,
            "dropout_rate": self.dropout_rate,
            "distr_output": self.distr_output,
            "scaling": self.scaling,
            "default_scale": self.default_scale,
            "nonnegative_pred_samples": self.nonnegative_pred_samples,
        }

    def create_transformation(self) -> Transformation:
        """Check a series' fields, and make those of the network of them."""
        return transformation(self)

    def _create_instance_splitter(
        self, module: LikelihoodLightningModule, mode: str
    ) -> InstanceSplitter:
        samplers = {
            "training": self.train_sampler,
            "validation": self.validation_sampler,
            "test": TestSplitSampler(),
        }
        past = [FieldName.FEAT_DYNAMIC_REAL] if self.num_past_feat_dynamic_real else []
        return InstanceSplitter(
            target_field=FieldName.TARGET,
            is_pad_field=FieldName.IS_PAD,
            start_field=FieldName.START,
            forecast_start_field=FieldName.FORECAST_START,
            instance_sampler=samplers[mode],
            past_length=module.model.past_length,
            future_length=self.prediction_length,
            time_series_fields=[FieldName.FEAT_TIME, FieldName.OBSERVED_VALUES, *past],
            dummy_value=self.distr_output.value_in_support,
        )

    def _input_names(self) -> list[str]:
        return _INPUTS + ([_PAST_COVARIATES] if self.num_past_feat_dynamic_real else [])

    def create_training_data_loader(
        self,
        data: Dataset,
        module: LikelihoodLightningModule,
        shuffle_buffer_length: int | None = None,
        **kwargs: Any,
    ) -> Iterable[Any]:
        """Batches of windows that ``train_sampler`` chooses, ``num_batches_per_epoch`` of them.

        Raises
        ------
        FrameError
            If no series is long enough for a window; GluonTS would look for one forever.
        """
        sampler = self.train_sampler
        bounds = (sampler._get_bounds(entry[FieldName.TARGET]) for entry in data)
        if not any(first <= last for first, last in bounds):
            lengths = [entry[FieldName.TARGET].shape[-1] for entry in data]
            items = [entry.get(FieldName.ITEM_ID) for entry in data]
            raise no_window("training_data", lengths, items, sampler)
        windows = self._create_instance_splitter(module, "training").apply(
            Cyclic(data).stream(), is_train=True
        )
        return self._batches(
            windows,
            num_batches_per_epoch=self.num_batches_per_epoch,
            shuffle_buffer_length=shuffle_buffer_length,
        )

    def create_validation_data_loader(
        self, data: Dataset, module: LikelihoodLightningModule, **kwargs: Any
    ) -> Iterable[Any]:
        """Batches of windows that ``validation_sampler`` chooses."""
        return self._batches(
            self._create_instance_splitter(module, "validation").apply(data, is_train=True)
        )

    def _batches(self, windows: Dataset, **options: Any) -> Iterable[Any]:
        return as_stacked_batches(
            windows,
            batch_size=self.batch_size,
            field_names=self._input_names() + _LABELS,
            output_type=torch.tensor,
            **options,
        )

    def create_lightning_module(self) -> LikelihoodLightningModule:
        """Build the network and what trains it."""
        return LikelihoodLightningModule(
            model=self.create_network(),
            lr=self.lr,
            weight_decay=self.weight_decay,
            patience=self.patience,
            num_parallel_samples=self.num_parallel_samples,
        )

    def create_predictor(
        self, transformation: Transformation, module: LikelihoodLightningModule
    ) -> PyTorchPredictor:
        """Build the predictor of a trained network: sample forecasts."""
        return PyTorchPredictor(
            input_transform=transformation + self._create_instance_splitter(module, "test"),
            input_names=self._input_names(),
            prediction_net=module,
            batch_size=self.batch_size,
            prediction_length=self.prediction_length,
            device="auto",
        )
