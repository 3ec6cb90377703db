r"""Monte Carlo dropout in weight space: variational inference with columns of weights missing.

Training minimises, with fresh masks z at every step,

.. math:: \mathbb E_z\, \mathrm{loss}(\theta) - \tfrac1N \log p(W), \qquad
          \theta = W \operatorname{diag}(z)/(1-p), \quad z_i \sim \mathrm{Bernoulli}(1-p),

over W with Adam; prediction draws masks as well. Dropping an input unit of a matrix is the same as
dropping that column of its weights, so the mask is a weight draw. That is not what ``nn.Dropout``
does when it is left on for prediction: there every time step, window and path has a mask of its
own, which is noise in the *forecast* and no belief about the *network*. Here one draw is one
network: its mask is shared by all windows, time steps and paths (for a recurrent network, the
variational dropout of the second source, on input and recurrent matrices alike), so paths of one
draw can be told from another's, and a draw can be saved and used again.

Sources: Y. Gal, Z. Ghahramani, arXiv 1506.02142 (eq. 8 without its exact KL term: the prior acts
on W as in MAP) and arXiv 1512.05287.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.checks import are_texts, is_positive, require
from tsbnn.inference.flat import Slot
from tsbnn.inference.method import InferenceMethod
from tsbnn.inference.modules import disable_dropout, refuse_batch_statistics
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import DropoutPosterior
from tsbnn.inference.posteriors.dropout import multiply_by_masks_
from tsbnn.inference.priors import match_names


@dataclass(frozen=True, kw_only=True)
class MCDropout(InferenceMethod):
    """Monte Carlo dropout, one mask per weight draw.

    The network's own dropout layers are switched off: they would be a second source of noise.
    Gradients may be clipped.

    Parameters
    ----------
    dropout_rate
        p, the probability that an input unit of a matrix is missing, above 0 and below 1.
    dropped_parameters
        Shell-style patterns over the names of the weight matrices and convolution kernels whose
        input units are dropped; by default all but embeddings.
    """

    name: ClassVar[str] = "mc_dropout"
    family = "dropout"
    is_posterior: ClassVar[bool] = False

    dropout_rate: float = 0.1
    dropped_parameters: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        rate, patterns = self.dropout_rate, self.dropped_parameters
        fits = is_positive(rate) and rate < 1
        require(fits, "dropout_rate", rate, "above 0 and below 1")
        require(
            patterns is None or (patterns != () and are_texts(patterns)),
            "dropped_parameters",
            patterns,
            "a tuple of name patterns or None",
        )

    @property
    def optimizer_class(self) -> type[MCDropoutOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return MCDropoutOptimizer


class MCDropoutOptimizer(AdamMeanOptimizer):
    """Adam on the weights, its gradients taken at masked weights."""

    method: MCDropout
    posterior: DropoutPosterior

    def __init__(
        self,
        module: nn.Module,
        method: MCDropout,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        # Each mask has activations of its own, but all would share the running statistics.
        refuse_batch_statistics(module, "would be those of all masks mixed", "the method MAP")
        super().__init__(module, method, num_observations, total_steps, generator)
        disable_dropout(module)
        self._layout = dropped_layout(self.flat.slots, method.dropped_parameters)
        values = self.flat.values
        layout = torch.tensor(self._layout, device=values.device)
        rate = torch.full_like(values[0], method.dropout_rate)
        self.posterior = DropoutPosterior(values.clone(), rate, layout)

    def _step(self, closure: Closure) -> Tensor:
        weights, gradient, mean = self.flat.values, self.flat.gradient, self.posterior.mean
        masks = self.posterior.masks(1, self.generator)
        weights.copy_(mean)
        multiply_by_masks_(weights[None], masks, self._layout)
        loss = self._evaluate(closure)
        # The chain rule from the masked weights to W.
        multiply_by_masks_(gradient[None], masks, self._layout)
        self._descend(self.learning_rate())
        return loss


def dropped_layout(places: list[Slot], patterns: tuple[str, ...] | None) -> list[list[int]]:
    """Find the matrices whose input units are dropped.

    Returns
    -------
    list of list of int
        ``offset, outer, units, inner`` for each; see :class:`DropoutPosterior`.

    Raises
    ------
    ValueError
        If there is nothing to drop, or a pattern matches no matrix (biases that it matches as well
        are left alone).
    """
    matrices = [
        slot
        for slot in places
        if len(slot.shape) >= 2 and not isinstance(slot.owner, nn.Embedding | nn.EmbeddingBag)
    ]
    if not matrices:
        names = ", ".join(slot.name for slot in places)
        raise ValueError(f"mc_dropout finds no weight matrix to drop input units of in: {names}")
    chosen = [True] * len(matrices)
    if patterns is not None:
        chosen = match_names(list(patterns), matrices)
    rows = []
    for slot, wanted in zip(matrices, chosen, strict=True):
        if wanted:
            # Kernels are output x input x width, those of transposed convolutions input x output.
            axis = 0 if isinstance(slot.owner, _ConvTransposeNd) else 1
            outer, inner = slot.shape[:axis].numel(), slot.shape[axis + 1 :].numel()
            rows.append([slot.offset, outer, slot.shape[axis], inner])
    return rows
