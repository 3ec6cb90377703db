r"""Maximum likelihood in Lightning: the deterministic training of any network of ours.

The loss of a batch is :math:`\sum_i L_i / \sum_i n_i` in nats per observed point, with the sums
:math:`L_i` and counts :math:`n_i` of :mod:`tsbnn.forecasting.likelihood`.
"""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

import math
from typing import Any

import lightning.pytorch as pl
import torch
from gluonts.torch.model.lightning_util import has_validation_loop
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tsbnn.forecasting.likelihood import Batch, prepared, window_losses
from tsbnn.forecasting.prediction.paths import draw_paths
from tsbnn.networks.validated import validated


class LikelihoodLightningModule(pl.LightningModule):
    """Trains a network by Adam, and draws its paths.

    ``train_loss`` and, with validation data, ``val_loss`` are logged once an epoch, in nats per
    observed point. The learning rate is halved when the loss has not fallen for ``patience``
    epochs, as in GluonTS. There is no ``example_input_array``: a model summary would run the
    network with it and consume random numbers.

    Parameters
    ----------
    model
        The network, registered with :func:`tsbnn.forecasting.window_losses`.
    lr, weight_decay
        Adam's learning rate and L2 penalty.
    patience
        Epochs.
    num_parallel_samples
        Paths that ``forward`` draws by default.
    """

    @validated()
    def __init__(
        self,
        model: nn.Module,
        lr: float = 1e-3,
        weight_decay: float = 1e-8,
        patience: int = 10,
        num_parallel_samples: int = 100,
    ) -> None:
        super().__init__()
        self.model = model
        self.lr = lr
        self.weight_decay = weight_decay
        self.patience = patience
        self.num_parallel_samples = num_parallel_samples
        self._best: dict[str, Any] = {}
        self._validation: list[tuple[Tensor, Tensor]] = []

    def forward(self, num_parallel_samples: int | None = None, **inputs: Tensor) -> Tensor:
        """Draw paths from the inputs, ``batch x num_parallel_samples x prediction_length``."""
        count = self.num_parallel_samples if num_parallel_samples is None else num_parallel_samples
        return draw_paths(self.model, prepared(inputs, self.model), count).samples

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> dict[str, Any]:
        """Make it readable for the network."""
        return prepared(batch, self.model)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of the batch, 0-dim."""
        losses = window_losses(self.model, batch)
        loss = losses.total.sum() / losses.observed.sum().clamp(min=1.0)
        self.log(
            "train_loss",
            loss,
            on_epoch=True,
            on_step=False,
            prog_bar=True,
            batch_size=len(losses.total),
        )
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start the sums of one validation."""
        self._validation = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up the validation loss."""
        losses = window_losses(self.model, batch)
        self._validation.append((losses.total.sum(), losses.observed.sum()))

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss and keep the weights if it is the lowest so far."""
        if not self._validation:
            return
        total, observed = (torch.stack(sums).sum() for sums in zip(*self._validation, strict=True))
        loss = total / observed.clamp(min=1.0)
        self.log("val_loss", loss, prog_bar=True)
        if not self.trainer.sanity_checking and float(loss) < self._best.get("val_loss", math.inf):
            weights = {name: value.clone() for name, value in self.model.state_dict().items()}
            self._best = {"val_loss": float(loss), "weights": weights}

    def restore_best(self) -> float | None:
        """Put the weights with the lowest validation loss back; return that loss, if there is one.

        Without a validation the last weights stay.
        """
        if self._best:
            self.model.load_state_dict(self._best["weights"])
        return self._best.get("val_loss")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the best weights so far beside Lightning's own state."""
        checkpoint["tsbnn_best"] = self._best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the best weights so far."""
        self._best = checkpoint.get("tsbnn_best", {})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build Adam and its scheduler, which follows the validation loss where there is one."""
        optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        scheduler = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=self.patience)
        monitor = "val_loss" if has_validation_loop(self.trainer) else "train_loss"
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": monitor},
        }
