r"""Negative log-likelihood of windows over their *observed* points, for every supported network.

GluonTS's networks average gaps in as zeros (DeepAR, WaveNet) or average within each window first
(the others), so their own mean loss is not the likelihood's. Here every window gives its sum and
its count,

.. math:: L_i = -\sum_{t\,\mathrm{observed}} \log p(y_{it} \mid \theta), \qquad n_i,

and the loss of a batch of B windows is :math:`\sum_i L_i / (B \bar n)` with :math:`\bar n` the
mean count per window (see :mod:`tsbnn.forecasting.lightning_module`).

A new network is one registration::

    @window_losses.register(MyModel)
    def _(network, batch):
        return WindowLosses(total, observed)  # both ``batch``
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache, singledispatch
from typing import Any, NamedTuple

import torch
from gluonts.torch.distributions import DistributionOutput, StudentTOutput
from gluonts.torch.model.d_linear.module import DLinearModel
from gluonts.torch.model.deepar.module import DeepARModel
from gluonts.torch.model.i_transformer.module import ITransformerModel
from gluonts.torch.model.lag_tst.module import LagTSTModel
from gluonts.torch.model.patch_tst.module import PatchTSTModel
from gluonts.torch.model.simple_feedforward.module import SimpleFeedForwardModel
from gluonts.torch.model.tft.module import TemporalFusionTransformerModel
from gluonts.torch.model.tide.module import TiDEModel
from gluonts.torch.model.wavenet.module import WaveNet
from gluonts.torch.util import take_last
from torch import Tensor, nn

from tsbnn.networks import ForecastingNetwork
from tsbnn.networks.head import has_density

Batch = Mapping[str, Any]
OBSERVED = ("past_observed_values", "future_observed_values")


class WindowLosses(NamedTuple):
    """Summed negative log-likelihood in nats and number of observed points, each ``batch``."""

    total: Tensor
    observed: Tensor


def prepared(batch: Batch, network: nn.Module) -> dict[str, Any]:
    """Return a batch of GluonTS's as a network can read it.

    Points before a series' start are marked as unobserved: GluonTS's splitter pads the indicator of
    observed values with the same number as the target, so that with heads whose support excludes 0
    (gamma, beta) padding would count as half observed. And numbers have the dtype of the weights:
    GluonTS's simple networks fail on the float64 of a pandas frame.
    """
    dtype = next(network.parameters()).dtype
    fields = dict(batch)
    for name, field in fields.items():
        if name in OBSERVED:
            fields[name] = (field >= 1).to(dtype)
        elif isinstance(field, Tensor) and field.is_floating_point():
            fields[name] = field.to(dtype)
    return fields


@cache
def _arguments(function: Any) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def call_with(network: nn.Module, method: str, batch: Batch, **options: Any) -> Any:
    """Call a method of a network with those fields of the batch that it takes."""
    names = _arguments(getattr(type(network), method))
    fields = {name: value for name, value in batch.items() if name in names}
    return getattr(network, method)(**fields, **options)


@singledispatch
def window_losses(network: nn.Module, batch: Batch) -> WindowLosses:
    """Summed negative log-likelihood and observed points of each window.

    Parameters
    ----------
    network
        The torch model (not the Lightning module around it).
    batch
        Fields by name, as GluonTS's training loader gives them, each ``batch x ...``.

    Raises
    ------
    TypeError
        For a network that is not registered.
    """
    raise _unknown(network)


def _unknown(network: object) -> TypeError:
    return TypeError(
        f"{type(network).__module__}.{type(network).__qualname__} is not known as a network with a "
        "likelihood. Register it: @tsbnn.forecasting.window_losses.register(YourModel) on a "
        "function (network, batch) that returns WindowLosses(total, observed), the summed negative "
        "log-likelihood and the number of observed points of each window."
    )


@window_losses.register(DLinearModel)
@window_losses.register(ITransformerModel)
@window_losses.register(LagTSTModel)
@window_losses.register(PatchTSTModel)
@window_losses.register(SimpleFeedForwardModel)
@window_losses.register(TemporalFusionTransformerModel)
@window_losses.register(TiDEModel)
def _averaged(network: nn.Module, batch: Batch) -> WindowLosses:
    """Undo the average over the last axis: there GluonTS divides by max(observed, 1)."""
    means = call_with(network, "loss", batch)
    observed = batch["future_observed_values"].sum(-1)
    # Multivariate windows (iTransformer) have one such average for each time.
    batch_first = means.shape[0], -1
    total = (means * observed.clamp(min=1.0)).reshape(batch_first).sum(1)
    return WindowLosses(total, observed.reshape(batch_first).sum(1))


@window_losses.register
def _deepar(network: DeepARModel, batch: Batch) -> WindowLosses:
    total = call_with(network, "loss", batch, aggregate_by=torch.sum)
    context = take_last(batch["past_observed_values"], dim=-1, num=network.context_length - 1)
    return WindowLosses(total, context.sum(-1) + batch["future_observed_values"].sum(-1))


@window_losses.register
def _wavenet(network: WaveNet, batch: Batch) -> WindowLosses:
    total = call_with(network, "loss", batch).sum(-1)
    observed = torch.cat([batch[name] for name in OBSERVED], dim=-1)
    return WindowLosses(total, observed[..., network.receptive_field :].sum(-1))


@window_losses.register(ForecastingNetwork)
def _ours(network: Any, batch: Batch) -> WindowLosses:
    losses, observed = network.point_losses(**batch)
    return WindowLosses(losses.sum(-1), observed.sum(-1))


def check_head(owner: object, name: str) -> None:
    """Refuse an estimator or network whose output head is no likelihood.

    Parameters
    ----------
    owner
        An estimator or a network; looked at is its ``distr_output``. Those without one (WaveNet:
        a categorical distribution over bins) are left to :func:`window_losses`.
    name
        What to call it in the message.

    Raises
    ------
    ValueError
        For quantile heads and other losses that are no log-likelihood, for distributions without a
        density, and for beta-NLL.
    """
    head = getattr(owner, "distr_output", None)
    if head is None:
        return
    if not isinstance(head, DistributionOutput) or type(head).loss is not DistributionOutput.loss:
        raise ValueError(
            f"{name} has the head {type(head).__name__}, whose loss is not a log-likelihood: "
            "there is no posterior to infer from it. Pass a distribution head instead, "
            f"e.g. distr_output={StudentTOutput.__name__}()."
        )
    if head.event_shape == () and not has_density(head):
        raise ValueError(
            f"{name} has the head {type(head).__name__}, whose distribution has no log_prob: there "
            "is no likelihood to infer a posterior from. Pass a head with a density instead, "
            f"e.g. distr_output={StudentTOutput.__name__}()."
        )
    if getattr(head, "beta", 0.0) > 0:
        raise ValueError(
            f"{name} has the head {type(head).__name__}(beta={head.beta}): the beta-NLL weighs "
            "observations by their variance and is no likelihood. "
            f"Pass distr_output={type(head).__name__}() with beta=0."
        )


def check_network(lightning_module: nn.Module) -> nn.Module:
    """Return the torch model inside a GluonTS Lightning module if it has a known likelihood.

    Raises
    ------
    TypeError
        If there is no ``model`` inside, or it is not registered with :func:`window_losses`.
    ValueError
        As :func:`check_head`.
    """
    network = getattr(lightning_module, "model", None)
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"{type(lightning_module).__name__} keeps no torch model in its attribute 'model'"
        )
    check_head(network, type(network).__name__)
    if window_losses.dispatch(type(network)) is window_losses.dispatch(object):
        raise _unknown(network)
    return network
