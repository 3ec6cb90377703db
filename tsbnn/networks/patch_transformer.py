"""A direct transformer: all of the horizon at once, from patches of the context and the horizon."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

import torch
from gluonts.torch.distributions import DistributionOutput, StudentTOutput
from torch import Tensor, nn

from tsbnn.networks import head as heads
from tsbnn.networks.attention import AttentionLayers, linear, sinusoids
from tsbnn.networks.base import ForecastingNetwork, PointLosses, Predicted
from tsbnn.networks.checks import check_whole
from tsbnn.networks.patches import PatchFeatures
from tsbnn.networks.validated import validated

STUDENT_T = StudentTOutput()


class PatchTransformer(ForecastingNetwork):
    r"""Patches of a whole window, the horizon's targets hidden, and attention among all of them.

    Each patch of ``patch_len`` times becomes one token (:mod:`tsbnn.networks.patches`). Pre-norm
    layers without a mask (:mod:`tsbnn.networks.attention`) let every patch see all others, and
    sinusoids tell their places. Each patch of the horizon is then mapped to ``patch_len`` vectors,

    .. math:: h_{p,j} = \mathrm{relu}(W_j z_p + b_j), \qquad j = 1 \ldots \mathrm{patch\_len},

    from which the head takes the arguments of each time.

    Known covariates of the horizon thus enter at their own time, by the weights that read those of
    the context, and the number of weights depends neither on the context's nor on the horizon's
    length. PatchTST (Nie et al., arXiv 2211.14730), whose patches these are, maps all patches
    together to the whole horizon: ``num_patches * prediction_length * d_model**2`` weights, each
    with a posterior to learn. Hidden targets as in Moirai (Woo et al., arXiv 2402.02592).

    Parameters
    ----------
    context_length, prediction_length, num_feat_dynamic_real, num_past_feat_dynamic_real
    num_feat_static_real, num_feat_static_cat, cardinality, embedding_dimension, dropout_rate
    distr_output, scaling, default_scale
        As those of :class:`tsbnn.networks.base.ForecastingNetwork`; the context may be whole
        patches or not, and dropout acts on the corrections of each layer.
    patch_len
        Points of a patch.
    d_model
        Width of the layers, a multiple of ``nhead``.
    nhead
        Attention heads of a layer.
    num_layers
        Number of layers.
    dim_feedforward
        Hidden units of the feed-forward network of a layer.
    nonnegative_pred_samples
        Whether whoever samples is to give back samples below 0 as 0.

    Raises
    ------
    ValueError
        If an argument is not as said here.
    """

    positions: Tensor

    @validated()
    def __init__(
        self,
        context_length: int,
        prediction_length: int,
        num_feat_dynamic_real: int = 0,
        num_past_feat_dynamic_real: int = 0,
        num_feat_static_real: int = 0,
        num_feat_static_cat: int = 0,
        cardinality: list[int] | None = None,
        embedding_dimension: list[int] | None = None,
        patch_len: int = 8,
        d_model: int = 32,
        nhead: int = 4,
        num_layers: int = 2,
        dim_feedforward: int = 128,
        dropout_rate: float = 0.1,
        distr_output: DistributionOutput = STUDENT_T,
        scaling: bool | str | None = "mean",
        default_scale: float | None = None,
        nonnegative_pred_samples: bool = False,
    ) -> None:
        super().__init__(
            context_length=context_length,
            prediction_length=prediction_length,
            num_feat_dynamic_real=num_feat_dynamic_real,
            num_past_feat_dynamic_real=num_past_feat_dynamic_real,
            num_feat_static_real=num_feat_static_real,
            num_feat_static_cat=num_feat_static_cat,
            cardinality=cardinality,
            embedding_dimension=embedding_dimension,
            dropout_rate=dropout_rate,
            distr_output=distr_output,
            scaling=scaling,
            default_scale=default_scale,
            nonnegative_pred_samples=nonnegative_pred_samples,
        )
        self.patch_len = check_whole(patch_len, "patch_len")
        self.features = PatchFeatures(
            self.context_length,
            self.prediction_length,
            self.patch_len,
            self.num_feat_dynamic_real,
            self.num_past_feat_dynamic_real,
            self.num_feat_static_real,
            self.scaling,
            self.default_scale,
        )
        self.layers = AttentionLayers(
            d_model, nhead, num_layers, dim_feedforward, self.dropout_rate
        )
        self.embedder = self._build_embedder()
        self.patch_proj = nn.Linear(
            self.features.num_features + sum(self.embedding_dimension), d_model
        )
        self.time_proj = nn.Linear(d_model, self.patch_len * d_model)
        # GluonTS's own: its count heads scale the arguments in place, which views do not bear.
        self.param_proj = distr_output.get_args_proj(d_model)
        places = sinusoids(self.features.past_patches + self.features.future_patches, d_model)
        self.register_buffer("positions", places, persistent=False)

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> Tensor:
        """Read the patches of windows; all that depends on weights, but for the head.

        Parameters
        ----------
        tokens
            ``batch x patches x num_features``, those of the horizon last.
        static_cat
            Whole numbers, ``batch x num_feat_static_cat``.

        Returns
        -------
        Tensor
            Vectors that the head projects, ``batch x prediction_length x d_model``.
        """
        if self.embedder is not None:
            static = self.embedder(static_cat).unsqueeze(1).expand(-1, tokens.shape[1], -1)
            tokens = torch.cat((tokens, static), dim=-1)
        hidden, _ = self.layers(linear(self.patch_proj, tokens) + self.positions, causal=False)
        times = torch.relu(linear(self.time_proj, hidden[:, -self.features.future_patches :]))
        times = times.reshape(tokens.shape[0], -1, hidden.shape[-1])
        return times[:, : self.prediction_length]

    def forward(
        self,
        feat_static_cat: Tensor | None = None,
        feat_static_real: Tensor | None = None,
        past_time_feat: Tensor | None = None,
        past_target: Tensor | None = None,
        past_observed_values: Tensor | None = None,
        future_time_feat: Tensor | None = None,
        past_feat_dynamic_real: Tensor | None = None,
    ) -> Predicted:
        """Arguments of the head for the horizon, ``batch x prediction_length``.

        Parameters
        ----------
        feat_static_cat, feat_static_real
            ``batch x num_feat_static_cat`` and ``batch x num_feat_static_real``.
        past_time_feat, future_time_feat
            ``batch x context_length x num_feat_dynamic_real`` and ``batch x prediction_length x
            num_feat_dynamic_real``.
        past_target, past_observed_values
            ``batch x context_length``; gaps are filled with any number.
        past_feat_dynamic_real
            ``batch x context_length x num_past_feat_dynamic_real``.

        Returns
        -------
        Predicted
            The arguments and the windows' location and scale, each ``batch x 1``.

        Raises
        ------
        ValueError
            If a field that the network was built for is missing or of another size.
        """
        inputs = {
            "feat_static_cat": feat_static_cat,
            "feat_static_real": feat_static_real,
            "past_time_feat": past_time_feat,
            "past_target": past_target,
            "past_observed_values": past_observed_values,
            "future_time_feat": future_time_feat,
            "past_feat_dynamic_real": past_feat_dynamic_real,
        }
        patches, loc, scale = self.features(inputs)
        hidden = self.encode(patches, self.categories(inputs))
        return Predicted(tuple(self.param_proj(hidden)), loc, scale)

    def point_losses(
        self,
        *,
        past_target: Tensor,
        past_observed_values: Tensor,
        future_target: Tensor,
        future_observed_values: Tensor,
        past_time_feat: Tensor | None = None,
        future_time_feat: Tensor | None = None,
        feat_static_cat: Tensor | None = None,
        feat_static_real: Tensor | None = None,
        past_feat_dynamic_real: Tensor | None = None,
    ) -> PointLosses:
        """Negative log-likelihood of every target of the horizon given the context, in nats.

        Unobserved points give 0 and no gradient.

        Parameters
        ----------
        future_target, future_observed_values
            ``batch x prediction_length``.
        past_target, past_observed_values, past_time_feat, future_time_feat, feat_static_cat
        feat_static_real, past_feat_dynamic_real
            As those of :meth:`forward`.

        Returns
        -------
        PointLosses
            ``batch x prediction_length``.
        """
        args, loc, scale = self(
            feat_static_cat=feat_static_cat,
            feat_static_real=feat_static_real,
            past_time_feat=past_time_feat,
            past_target=past_target,
            past_observed_values=past_observed_values,
            future_time_feat=future_time_feat,
            past_feat_dynamic_real=past_feat_dynamic_real,
        )
        nll = heads.point_losses(
            self.distr_output, args, future_target, future_observed_values, loc, scale
        )
        return PointLosses(nll, future_observed_values)
