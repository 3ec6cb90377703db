"""What every network of ours is told, checked once; and how losses and forecasts are handed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gluonts.torch.distributions import DistributionOutput
from gluonts.torch.modules.feature import FeatureEmbedder
from torch import Tensor, nn

from tsbnn.networks.checks import (
    check_default_scale,
    check_fields,
    check_rate,
    check_scaling,
    check_whole,
    check_wholes,
)
from tsbnn.networks.head import check_head


class PointLosses(NamedTuple):
    """Weighted negative log-likelihoods in nats, and the weights, each ``batch x time``."""

    nll: Tensor
    observed: Tensor


class Predicted(NamedTuple):
    """Arguments of the head, each ``batch x time``; loc and scale of the windows, ``batch x 1``."""

    args: tuple[Tensor, ...]
    loc: Tensor
    scale: Tensor


class ForecastingNetwork(nn.Module):
    """Base of all networks: the arguments that they share.

    Parameters
    ----------
    context_length
        Points before the forecast start that are read; at least 1.
    prediction_length
        Points to forecast.
    num_feat_dynamic_real
        Time features and known covariates, together.
    num_past_feat_dynamic_real
        Covariates known up to the forecast start only.
    num_feat_static_real, num_feat_static_cat
        Static features of a series.
    cardinality, embedding_dimension
        Number of values of each static category, and into how many numbers it is embedded; by
        default ``min(50, (cardinality + 1) // 2)``.
    dropout_rate
        In training.
    distr_output
        A GluonTS distribution head with a likelihood.
    scaling
        ``"mean"`` (or True), ``"std"`` or None (or False), see
        :class:`tsbnn.networks.scaling.WindowScaler`.
    default_scale
        Scale of windows without an observed point, in target units; by default that of the batch.
    nonnegative_pred_samples
        Whether samples below 0 are given back as 0.

    Raises
    ------
    ValueError
        If an argument is not as said here.
    """

    def __init__(
        self,
        *,
        context_length: int,
        prediction_length: int,
        num_feat_dynamic_real: int,
        num_past_feat_dynamic_real: int,
        num_feat_static_real: int,
        num_feat_static_cat: int,
        cardinality: Sequence[int] | None,
        embedding_dimension: Sequence[int] | None,
        dropout_rate: float,
        distr_output: DistributionOutput,
        scaling: bool | str | None,
        default_scale: float | None,
        nonnegative_pred_samples: bool,
    ) -> None:
        super().__init__()
        self.context_length = check_whole(context_length, "context_length")
        self.prediction_length = check_whole(prediction_length, "prediction_length")
        self.num_feat_dynamic_real = check_whole(num_feat_dynamic_real, "num_feat_dynamic_real", 0)
        self.num_past_feat_dynamic_real = check_whole(
            num_past_feat_dynamic_real, "num_past_feat_dynamic_real", 0
        )
        self.num_feat_static_real = check_whole(num_feat_static_real, "num_feat_static_real", 0)
        self.num_feat_static_cat = check_whole(num_feat_static_cat, "num_feat_static_cat", 0)
        self.cardinality = check_wholes(cardinality or [], "cardinality", num_feat_static_cat)
        if embedding_dimension is None:
            embedding_dimension = [min(50, (values + 1) // 2) for values in self.cardinality]
        self.embedding_dimension = check_wholes(
            embedding_dimension, "embedding_dimension", num_feat_static_cat
        )
        self.dropout_rate = check_rate(dropout_rate, "dropout_rate")
        self.scaling = check_scaling(scaling)
        self.default_scale = check_default_scale(default_scale)
        self.nonnegative_pred_samples = bool(nonnegative_pred_samples)
        check_head(distr_output, self.scaling)
        self.distr_output = distr_output

    @property
    def past_length(self) -> int:
        """Points before the forecast start that a window needs."""
        return self.context_length

    @property
    def _past_length(self) -> int:
        """What GluonTS's splitters ask for."""
        return self.past_length

    def _build_embedder(self) -> FeatureEmbedder | None:
        """Build the embeddings of the static categories, if there are any."""
        if not self.cardinality:
            return None
        return FeatureEmbedder(self.cardinality, self.embedding_dimension)

    def categories(self, inputs: Mapping[str, Tensor | None]) -> Tensor | None:
        """Return the static categories of a batch; ValueError where they are missing."""
        static_cat = inputs.get("feat_static_cat")
        check_fields({"feat_static_cat": (len(self.cardinality), static_cat)})
        return static_cat
