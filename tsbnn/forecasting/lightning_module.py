r"""Bayesian training in Lightning's automatic optimisation: one loss for every network and method.

The loss of a batch of windows is

.. math:: \mathrm{loss} = \frac{\sum_i L_i}{\bar n}, \qquad
          \bar n = \text{mean over batches of } \sum_i n_i,

with the sums :math:`L_i` and counts :math:`n_i` of :mod:`tsbnn.forecasting.likelihood`, and
:math:`\bar n` the mean over all batches so far. Where windows hold unequally many observed points,
dividing by the batch's own count would give points in sparse batches more weight; dividing by the
mean makes the average of the minibatch scores the gradient of the sum over all observed points.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn

from tsbnn.forecasting.batch_sums import batch_sums, trains_together
from tsbnn.forecasting.likelihood import Batch, prepared
from tsbnn.inference import BayesianOptimizer, InferenceMethod


class BayesianLightningModule(pl.LightningModule):
    """Trains the posterior of a network with any inference method.

    ``train_loss`` is logged once an epoch, in nats per observed point; for posterior methods also
    ``elbo``, likewise, and ``learnt_nothing``, a share of the weights (see
    :class:`tsbnn.inference.Diagnostics`).

    Parameters
    ----------
    network
        The torch model.
    method
        The inference method.
    num_observations
        N, observed target points in the training data.
    total_steps
        Optimizer steps to come, or None where the trainer has no limit.
    generator
        Source of the weight noise.
    draw_evaluation
        How a step of a posterior method evaluates several draws on one batch: ``"auto"``,
        ``"loop"`` or ``"batched"``, see :mod:`tsbnn.forecasting.batch_sums`.
    """

    # Of training batches; may be replaced by a compiled version.
    sums = staticmethod(batch_sums)
    expected_points: Tensor
    batches_seen: Tensor

    def __init__(
        self,
        network: nn.Module,
        method: InferenceMethod,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator,
        draw_evaluation: str = "auto",
    ) -> None:
        super().__init__()
        self.network = network
        self.method = method
        self.num_observations = num_observations
        self.total_steps = total_steps
        self.generator = generator
        self.draw_evaluation = draw_evaluation
        self.trace: dict[str, list[float]] = {"gradient_evaluations": [], "loss": []}
        self._optimizer: BayesianOptimizer | None = None
        # The optimizer that knows how to evaluate its draws.
        self._way_known_for: BayesianOptimizer | None = None
        self._is_new_batch = True
        self._epoch: list[Tensor] = []
        self.register_buffer("expected_points", torch.zeros(()))
        self.register_buffer("batches_seen", torch.zeros(()))

    @property
    def bayesian_optimizer(self) -> BayesianOptimizer:
        """The optimizer that holds the posterior, once training has started."""
        if self._optimizer is None:
            raise ValueError("training has not started: call trainer.fit first")
        return self._optimizer

    def configure_optimizers(self) -> BayesianOptimizer:
        """Let the inference method build its optimizer for the network, where it lies now."""
        self._optimizer = self.method.optimizer(
            self.network,
            num_observations=self.num_observations,
            total_steps=self.total_steps,
            generator=self.generator,
        )
        return self._optimizer

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> dict[str, Any]:
        """Make it readable for the network, once for all evaluations of the batch."""
        return prepared(batch, self.network)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Remember that the next evaluation is the first one of its batch."""
        self._is_new_batch = True
        optimizer = self.bayesian_optimizer
        if self._way_known_for is not optimizer:
            self._way_known_for = optimizer
            # Lightning may clip the gradients of other methods, and clips those of one network.
            optimizer.evaluates_together = self.method.is_posterior and trains_together(
                self.network,
                optimizer.flat.values,
                batch,
                self.method.evaluations_together,
                self.draw_evaluation,
            )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss at the weights in place, in nats per observed point, 0-dim.

        While the optimizer has several draws: the mean of the losses there.
        """
        optimizer = self.bayesian_optimizer
        totals, observed = self.sums(self.network, batch, optimizer.draws)
        if self._is_new_batch:
            self._is_new_batch = False
            self.batches_seen += 1
            self.expected_points += (observed - self.expected_points) / self.batches_seen
        self._epoch = _add(self._epoch, totals.sum(), totals.numel() * observed)
        losses = totals / self.expected_points.clamp(min=1.0)
        return losses if optimizer.draws is None else optimizer.mean_of(losses)

    def on_train_epoch_end(self) -> None:
        """Log the mean loss of the epoch, and what the posterior has learnt so far."""
        if self._epoch:
            loss, self._epoch = _ratio(self._epoch), []
            self.trace["gradient_evaluations"].append(self.bayesian_optimizer.gradient_evaluations)
            self.trace["loss"].append(float(loss))
            self.log("train_loss", loss, prog_bar=True)
        if self.method.is_posterior and self.bayesian_optimizer.ready:
            found = self.bayesian_optimizer.diagnostics()
            shown = {"elbo": found.elbo, "learnt_nothing": found.learnt_nothing}
            for name, value in shown.items():
                if value is not None:
                    self.log(name, value, prog_bar=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the losses so far beside Lightning's own state."""
        checkpoint["tsbnn_trace"] = copy.deepcopy(self.trace)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the losses so far."""
        self.trace = copy.deepcopy(checkpoint.get("tsbnn_trace", self.trace))

    def finish(self, batches: Iterable[Batch] = ()) -> BayesianOptimizer:
        """End training: leave the network at the posterior mean.

        Parameters
        ----------
        batches
            Minibatches for the last pass of a method that makes one, at least as many as its
            ``last_pass``. Their losses are those of training, divided by the same number of points.
        """
        optimizer, count = self.bayesian_optimizer, self.method.last_pass
        if not count:
            optimizer.finalize()
            return optimizer
        # Recurrent layers of cuDNN have gradients in training mode only.
        self.network.train()
        points = self.expected_points.clamp(min=1.0)
        closures = (self._closure(batch, points) for batch in itertools.islice(batches, count))
        optimizer.finalize(closures, float(points))
        return optimizer

    def _closure(self, batch: Batch, points: Tensor) -> Callable[[], Tensor]:
        """Make the loss of one batch of the last pass."""
        moved = prepared(move_data_to_device(dict(batch), points.device), self.network)

        def closure() -> Tensor:
            self.bayesian_optimizer.zero_grad()
            loss = batch_sums(self.network, moved)[0] / points
            loss.backward()
            return loss

        return closure


class ValidatedLightningModule(BayesianLightningModule):
    """Validates at the posterior mean, and ends with the best posterior instead of the last.

    Of an ensemble, whose average is no network, the first member stands for all.

    ``val_loss`` is logged in nats per observed point. It must be computed on the same windows
    every time: what is compared are posteriors, not lucky draws.

    Attributes
    ----------
    stop_after
        Training ends after so many validations in turn without a new lowest loss, counted from
        where there is a posterior to keep; None never ends it.
    """

    stop_after: int | None = None
    best_val_loss: float | None = None
    best_step: int | None = None
    _best_posterior: dict[str, Tensor] | None = None
    _best_losses: dict[str, Any] | None = None
    _validated_step: int | None = None
    _validations_without_gain = 0

    def on_validation_epoch_start(self) -> None:
        """Start the sums of one validation."""
        self._validation: list[Tensor] = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up the validation loss; the network rests at the posterior mean."""
        self._validation = _add(self._validation, *batch_sums(self.network, batch))

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss and keep the posterior if it is the best so far."""
        if self._validation:
            loss = _ratio(self._validation)
            self.log("val_loss", loss, prog_bar=True)
            if not self.trainer.sanity_checking:
                self._compare(float(loss))
                if self.stop_after is not None:
                    stops = self._validations_without_gain >= self.stop_after
                    self.trainer.should_stop = self.trainer.should_stop or stops

    def validate_last(self, batches: Iterable[Batch]) -> None:
        """Validate the last posterior too, if training stopped between two validations."""
        self.bayesian_optimizer.rest()
        if self._validated_step == self.bayesian_optimizer.steps:
            return
        self.network.eval()
        device = next(self.network.parameters()).device
        sums: list[Tensor] = []
        with torch.no_grad():
            for batch in batches:
                moved = move_data_to_device(dict(batch), device)
                sums = _add(sums, *batch_sums(self.network, prepared(moved, self.network)))
        if sums:
            self._compare(float(_ratio(sums)))

    def finish(self, batches: Iterable[Batch] = ()) -> BayesianOptimizer:
        """End training: leave network and optimizer at the best posterior, a last pass's place.

        Parameters
        ----------
        batches
            As of :meth:`BayesianLightningModule.finish`.
        """
        optimizer = self.bayesian_optimizer
        # Weights that were moved to another device would be taken for new ones later.
        optimizer.rest()
        if self._best_posterior is not None:
            optimizer.posterior.load_state_dict(self._best_posterior)
            if self._best_losses is not None:
                optimizer.losses.load_state_dict(self._best_losses)
        return super().finish(batches)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the best posterior so far as well."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["tsbnn_best"] = {
            "val_loss": self.best_val_loss,
            "step": self.best_step,
            "posterior": self._best_posterior,
            "losses": self._best_losses,
            "validations_without_gain": self._validations_without_gain,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the best posterior so far as well."""
        super().on_load_checkpoint(checkpoint)
        best = checkpoint.get("tsbnn_best", {})
        self.best_val_loss, self.best_step = best.get("val_loss"), best.get("step")
        self._best_posterior = best.get("posterior")
        self._best_losses = best.get("losses")
        self._validations_without_gain = best.get("validations_without_gain", 0)

    def _compare(self, loss: float) -> None:
        optimizer = self.bayesian_optimizer
        self._validated_step = optimizer.steps
        if not optimizer.ready and not self.method.last_pass:
            # A good mean, perhaps, but no posterior yet. (A last pass makes one of any mean.)
            return
        self._validations_without_gain += 1
        if self.best_val_loss is None or loss < self.best_val_loss:
            if not math.isnan(loss):
                self._validations_without_gain = 0
            state = optimizer.posterior.state_dict()
            self._best_posterior = {name: value.clone() for name, value in state.items()}
            self._best_losses = optimizer.losses.state_dict()
            # Not a number is better than nothing, and anything is better than that.
            self.best_val_loss = None if math.isnan(loss) else loss
            self.best_step = optimizer.steps


def _add(sums: list[Tensor], total: Tensor, observed: Tensor) -> list[Tensor]:
    new = [total.detach(), observed.detach()]
    return [old + value for old, value in zip(sums, new, strict=True)] if sums else new


def _ratio(sums: list[Tensor]) -> Tensor:
    return sums[0] / sums[1].clamp(min=1.0)
