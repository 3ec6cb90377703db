"""An autoregressive transformer: causal attention over lags and features, paths step by step."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from typing import Any

from gluonts.time_feature import TimeFeature
from gluonts.torch.distributions import Output, StudentTOutput
from gluonts.transform import MissingValueImputation
from gluonts.transform.sampler import InstanceSampler

from tsbnn.forecasting.estimators.base import NetworkEstimator
from tsbnn.networks.checks import check_heads
from tsbnn.networks.transformer import Transformer
from tsbnn.networks.validated import validated


class TransformerEstimator(NetworkEstimator):
    """Trains a :class:`tsbnn.networks.Transformer`: pre-norm causal attention, autoregressive.

    The tokens are DeepAR's: lags, static embeddings, calendar and covariates of each step. It works
    on its own, trained by maximum likelihood, and inside :class:`tsbnn.BayesianEstimator`. All
    arguments but the sizes below are those of :class:`DeepAREstimator`.

    Parameters
    ----------
    d_model
        Width of a token inside the network; a multiple of ``nhead``.
    nhead
        Attention heads.
    num_layers
        Layers, each of attention and a feed-forward network.
    dim_feedforward
        Hidden width of the feed-forward networks.
    dropout_rate
        Of what each layer adds. 0 under posterior methods.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be right.
    """

    @validated()
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        context_length: int | None = None,
        d_model: int = 32,
        nhead: int = 4,
        num_layers: int = 2,
        dim_feedforward: int = 128,
        lr: float = 1e-3,
        weight_decay: float = 1e-8,
        dropout_rate: float = 0.1,
        patience: int = 10,
        num_feat_dynamic_real: int = 0,
        num_feat_static_cat: int = 0,
        num_feat_static_real: int = 0,
        cardinality: list[int] | None = None,
        embedding_dimension: list[int] | None = None,
        distr_output: Output = StudentTOutput(),  # noqa: B008 (as in GluonTS; never changed)
        scaling: bool | str | None = "mean",
        default_scale: float | None = None,
        lags_seq: list[int] | None = None,
        time_features: list[TimeFeature] | None = None,
        num_parallel_samples: int = 100,
        batch_size: int = 32,
        num_batches_per_epoch: int = 50,
        imputation_method: MissingValueImputation | None = None,
        trainer_kwargs: dict[str, Any] | None = None,
        train_sampler: InstanceSampler | None = None,
        validation_sampler: InstanceSampler | None = None,
        nonnegative_pred_samples: bool = False,
        num_past_feat_dynamic_real: int = 0,
        age_feature: bool = False,
    ) -> None:
        super().__init__(
            freq=freq,
            prediction_length=prediction_length,
            context_length=prediction_length if context_length is None else context_length,
            lr=lr,
            weight_decay=weight_decay,
            dropout_rate=dropout_rate,
            patience=patience,
            num_feat_dynamic_real=num_feat_dynamic_real,
            num_past_feat_dynamic_real=num_past_feat_dynamic_real,
            num_feat_static_cat=num_feat_static_cat,
            num_feat_static_real=num_feat_static_real,
            cardinality=cardinality,
            embedding_dimension=embedding_dimension,
            distr_output=distr_output,
            scaling=scaling,
            default_scale=default_scale,
            time_features=time_features,
            num_parallel_samples=num_parallel_samples,
            batch_size=batch_size,
            num_batches_per_epoch=num_batches_per_epoch,
            imputation_method=imputation_method,
            trainer_kwargs=trainer_kwargs,
            train_sampler=train_sampler,
            validation_sampler=validation_sampler,
            nonnegative_pred_samples=nonnegative_pred_samples,
            age_feature=age_feature,
            d_model=d_model,
            nhead=nhead,
            num_layers=num_layers,
            dim_feedforward=dim_feedforward,
        )
        check_heads(d_model, nhead)
        self.d_model = d_model
        self.nhead = nhead
        self.num_layers = num_layers
        self.dim_feedforward = dim_feedforward
        self._settle_lags(lags_seq)

    def create_network(self) -> Transformer:
        """Build the network, with initial weights from torch's global random state."""
        return Transformer(
            **self.network_arguments(),
            lags_seq=self.lags_seq,
            num_parallel_samples=self.num_parallel_samples,
            d_model=self.d_model,
            nhead=self.nhead,
            num_layers=self.num_layers,
            dim_feedforward=self.dim_feedforward,
        )
