"""A network together with the posterior over its weights: what a predictor keeps."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

import copy
from typing import Any

import torch
from torch import nn

from tsbnn.inference import Posterior, posterior_from_config
from tsbnn.networks.validated import validated


class PosteriorNetwork(nn.Module):
    """A network at its posterior mean, and the posterior.

    All posterior tensors are buffers, so GluonTS's ``serialize`` and ``state_dict`` carry them.

    Parameters
    ----------
    network
        The torch model, whose constructor GluonTS's serde can encode.
    posterior
        The posterior's configuration, as :meth:`tsbnn.inference.Posterior.to_config` gives it;
        its tensors come with ``load_state_dict``.
    """

    @validated()
    def __init__(self, network: nn.Module, posterior: dict[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.posterior = posterior_from_config(posterior)
        # Whatever torch's default type is where a saved one is built.
        self.to(torch.float32)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network at the weights in place, by default the posterior mean."""
        return self.network(*args, **kwargs)

    @classmethod
    def of(cls, network: nn.Module, posterior: Posterior) -> "PosteriorNetwork":
        """Copy a trained network and its posterior, in float32 on the CPU."""
        wrapped = cls(network=copy.deepcopy(network).cpu(), posterior=posterior.to_config())
        wrapped.posterior.load_state_dict(posterior.state_dict())
        return wrapped
