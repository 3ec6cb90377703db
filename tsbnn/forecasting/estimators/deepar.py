"""DeepAR: an LSTM over lags and features that draws its paths step by step."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from typing import Any

from gluonts.time_feature import TimeFeature
from gluonts.torch.distributions import Output, StudentTOutput
from gluonts.transform import MissingValueImputation
from gluonts.transform.sampler import InstanceSampler

from tsbnn.forecasting.estimators.base import NetworkEstimator
from tsbnn.networks.deepar import DeepAR
from tsbnn.networks.validated import validated


class DeepAREstimator(NetworkEstimator):
    """Trains a :class:`tsbnn.networks.DeepAR` (Salinas, Flunkert, Gasthaus, arXiv 1704.04110).

    Names and defaults are those of GluonTS's ``DeepAREstimator``, but for the age and for lags and
    time features that the training data cannot teach, and so is the network: equal weights give
    equal likelihoods (:func:`tsbnn.networks.from_gluonts` copies them). It works on
    its own, trained by maximum likelihood, and inside :class:`tsbnn.BayesianEstimator`.

    Parameters
    ----------
    freq
        Pandas alias of the data's frequency, e.g. ``"h"``, ``"15min"``, ``"W-SUN"``, ``"M"``.
    prediction_length
        Steps to forecast.
    context_length
        Steps before the forecast that the network reads one by one, besides its lags; by default
        ``prediction_length``. Series may be shorter.
    num_layers, hidden_size
        Layers of the LSTM, and units of each.
    lr, weight_decay, patience
        Adam's learning rate and L2 penalty; epochs without a lower loss after which the rate is
        halved. Inference methods have their own.
    dropout_rate
        Between the layers of the LSTM. 0 under posterior methods.
    num_feat_dynamic_real
        Known covariates: rows of ``feat_dynamic_real``, which reaches to the end of the forecast.
    num_past_feat_dynamic_real
        Covariates known up to the forecast only: rows of ``past_feat_dynamic_real``, as long as
        the target. The network reads them one step late, and 0 for those that it cannot know.
    num_feat_static_cat, cardinality, embedding_dimension
        Categorical features of a series (``feat_static_cat``), the number of categories of each,
        and the widths of their embeddings, by default ``min(50, (categories + 1) // 2)``.
    num_feat_static_real
        Numbers that describe a series (``feat_static_real``).
    distr_output
        One of GluonTS's distribution heads.
    scaling
        ``"mean"`` (or True) divides the target by the mean of its absolute values in the context,
        ``"std"`` standardises it, None (or False) leaves it.
    default_scale
        Scale of a context without observations; by default the mean scale of the batch.
    lags_seq
        Steps back to the earlier values that the network sees at each step, from 1; by default
        GluonTS's for the frequency that at least half of all training points know.
    time_features
        Functions of the calendar; by default GluonTS's for the frequency whose cycle the training
        data go through one and a half times. See :meth:`adapted_to`.
    num_parallel_samples
        Paths per series of a forecast.
    batch_size
        Windows per batch, in training and prediction.
    num_batches_per_epoch
        Batches of one epoch.
    imputation_method
        Fills missing target values in the network's inputs; by default a constant. They count for
        nothing in the loss.
    trainer_kwargs
        Arguments of ``lightning.pytorch.Trainer``. Nothing is written unless they name a
        ``default_root_dir``; then the last checkpoint is kept there.
    train_sampler, validation_sampler
        Which windows; by default one per series and pass on average, and the last one.
    nonnegative_pred_samples
        Cut paths at 0 once they are drawn.
    age_feature
        Whether the network is told how old a series is, log10(2 + t) after t steps, as GluonTS's
        are. Where series begin together that is the time by another name, and forecasts are older
        than anything in training; where they begin one after another, try True.

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
        num_layers: int = 2,
        hidden_size: int = 40,
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
            num_layers=num_layers,
            hidden_size=hidden_size,
        )
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self._settle_lags(lags_seq)

    def create_network(self) -> DeepAR:
        """Build the network, with initial weights from torch's global random state."""
        return DeepAR(
            **self.network_arguments(),
            lags_seq=self.lags_seq,
            num_parallel_samples=self.num_parallel_samples,
            num_layers=self.num_layers,
            hidden_size=self.hidden_size,
        )
