"""Weights of GluonTS's networks in ours."""

from __future__ import annotations

from gluonts.torch.model.deepar.module import DeepARModel
from gluonts.torch.scaler import MeanScaler

from tsbnn.networks.deepar import DeepAR


def from_gluonts(model: DeepARModel) -> DeepAR:
    """Build our DeepAR with the settings and a copy of the weights of GluonTS's.

    Both then give equal distributions for equal inputs, up to rounding.

    Parameters
    ----------
    model
        GluonTS's network: ``predictor.prediction_net.model`` of a trained ``DeepAREstimator``.

    Returns
    -------
    DeepAR
        On the model's device, in its dtype and mode.

    Raises
    ------
    TypeError
        If ``model`` is none of GluonTS's DeepAR.
    """
    if not isinstance(model, DeepARModel):
        raise TypeError(
            f"model={type(model).__name__}: expected gluonts.torch.model.deepar.module.DeepARModel "
            "(predictor.prediction_net.model of a trained DeepAREstimator)"
        )
    is_scaled = isinstance(model.scaler, MeanScaler)
    network = DeepAR(
        context_length=model.context_length,
        prediction_length=model.prediction_length,
        # GluonTS counts lags from the last value read.
        lags_seq=[lag + 1 for lag in model.lags_seq],
        num_feat_dynamic_real=model.num_feat_dynamic_real,
        num_feat_static_real=model.num_feat_static_real,
        num_feat_static_cat=model.num_feat_static_cat,
        cardinality=[embedding.num_embeddings for embedding in model.embedder._embedders],
        embedding_dimension=list(model.embedding_dimension),
        num_layers=model.rnn.num_layers,
        hidden_size=model.rnn.hidden_size,
        dropout_rate=model.rnn.dropout,
        distr_output=model.distr_output,
        scaling="mean" if is_scaled else None,
        default_scale=model.scaler.default_scale if is_scaled else None,
        num_parallel_samples=model.num_parallel_samples,
        nonnegative_pred_samples=model.nonnegative_pred_samples,
    )
    # GluonTS's scales are 1e-10 or more, and its weights have learnt with that.
    network.features.scaler.scaler = model.scaler
    weight = model.rnn.weight_ih_l0
    network.to(device=weight.device, dtype=weight.dtype).load_state_dict(model.state_dict())
    return network.train(model.training)
