"""GluonTS's DeepAR with random weights, ours with the same ones, and windows for both."""

from __future__ import annotations

from typing import Any

import torch
from gluonts.torch.distributions import (
    BetaOutput,
    DistributionOutput,
    GammaOutput,
    LaplaceOutput,
    NegativeBinomialOutput,
    NormalOutput,
    PoissonOutput,
    StudentTOutput,
)
from gluonts.torch.model.deepar.module import DeepARModel
from torch import Tensor

from tsbnn.networks import DeepAR, from_gluonts

Fields = dict[str, Tensor]

# Every head of GluonTS 0.17 whose loss is a log-likelihood and which its DeepAR can train.
HEADS = (
    StudentTOutput,
    NormalOutput,
    LaplaceOutput,
    NegativeBinomialOutput,
    PoissonOutput,
    GammaOutput,
    BetaOutput,
)


def pair(seed: int = 0, **settings: Any) -> tuple[DeepARModel, DeepAR]:
    """Build GluonTS's network, with weights far from their small initial values, and ours."""
    torch.manual_seed(seed)
    settings = {
        "context_length": 5,
        "prediction_length": 4,
        "num_feat_dynamic_real": 3,
        "num_feat_static_real": 2,
        "num_feat_static_cat": 2,
        "cardinality": [3, 4],
        "embedding_dimension": [2, 3],
        "hidden_size": 7,
        "lags_seq": [1, 2, 3, 6],
    } | settings
    theirs = DeepARModel(freq="D", **settings).eval()
    with torch.no_grad():
        for weights in theirs.parameters():
            weights.mul_(2.0)
    return theirs, from_gluonts(theirs)


def targets(head: DistributionOutput, batch: int, time: int) -> Tensor:
    """Random values in the support of a head, of another size for each series."""
    if isinstance(head, BetaOutput):
        return torch.rand(batch, time) * 0.2 + 0.3
    values = torch.randn(batch, time).cumsum(1) + 3.0
    values = values * torch.logspace(-1, 2, batch).unsqueeze(1)
    if isinstance(head, GammaOutput):
        return values.abs() + 0.1
    if isinstance(head, NegativeBinomialOutput | PoissonOutput):
        return values.abs().round()
    return values


def windows(network: DeepAR, batch: int = 4, gaps: float = 0.0, seed: int = 1) -> Fields:
    """Fields of a training batch; a share of the points is unobserved, filled as GluonTS does."""
    torch.manual_seed(seed)
    past = network.past_length
    time = past + network.prediction_length
    target = targets(network.distr_output, batch, time)
    observed = (torch.rand(batch, time) >= gaps).float()
    filled = torch.full_like(target, network.distr_output.value_in_support)
    target = torch.where(observed > 0, target, filled)
    features = torch.randn(batch, time, network.num_feat_dynamic_real)
    fields = {
        "past_target": target[:, :past],
        "past_observed_values": observed[:, :past],
        "past_time_feat": features[:, :past],
        "future_time_feat": features[:, past:],
        "feat_static_real": torch.randn(batch, network.num_feat_static_real),
        "future_target": target[:, past:],
        "future_observed_values": observed[:, past:],
    }
    if network.cardinality:
        columns = [torch.randint(values, (batch,)) for values in network.cardinality]
        fields["feat_static_cat"] = torch.stack(columns, dim=1)
    if network.num_past_feat_dynamic_real:
        covariates = torch.randn(batch, past, network.num_past_feat_dynamic_real)
        fields["past_feat_dynamic_real"] = covariates
    return fields


def inputs(fields: Fields) -> Fields:
    """The fields that prediction has."""
    future = ("future_target", "future_observed_values")
    return {name: field for name, field in fields.items() if name not in future}
