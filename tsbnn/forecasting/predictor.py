"""Predictions under the posterior: K weight draws, and paths of each."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gluonts.dataset.common import Dataset
from gluonts.dataset.loader import InferenceDataLoader
from gluonts.itertools import select
from gluonts.torch.batchify import batchify
from gluonts.torch.model.predictor import OutputTransform, PyTorchPredictor
from gluonts.transform import SelectFields, Transformation

from tsbnn.datasets import FrameSchema
from tsbnn.forecasting.forecast import BayesianForecast
from tsbnn.forecasting.frame_predictor import FramePredictor
from tsbnn.forecasting.inputs import check_dataset, check_seed
from tsbnn.forecasting.likelihood import prepared
from tsbnn.forecasting.posterior_network import PosteriorNetwork
from tsbnn.forecasting.prediction.chunks import check_memory_limit
from tsbnn.forecasting.prediction.draws import check_evaluation
from tsbnn.forecasting.prediction.prediction import Predicted, Prediction
from tsbnn.forecasting.seeds import derived_seed
from tsbnn.foreign.notices import without_foreign_warnings
from tsbnn.foreign.random_state import RandomStream
from tsbnn.inference import Posterior
from tsbnn.networks.checks import check_whole
from tsbnn.networks.validated import validated

_WEIGHTS, _PATHS = 1, 2


class BayesianPredictor(FramePredictor, PyTorchPredictor):
    """A GluonTS predictor whose paths come from several weight draws.

    Parameters
    ----------
    input_names, batch_size, prediction_length, input_transform, output_transform, lead_time, device
        As in GluonTS's :class:`~gluonts.torch.model.predictor.PyTorchPredictor`.
    prediction_net
        The network and its posterior.
    num_draws
        K, the weight draws of one ``predict`` call; no more than the posterior has weight vectors
        (map has one, an ensemble its members).
    num_samples
        Paths per series.
    seed
        Default of :meth:`predict`.
    training_summary
        What training did, in JSON terms: ``gradient_evaluations``, ``num_observations``,
        ``temperature``, ``wall_s``, ``inference``, ``settings``, ``seed``, ``diagnostics`` (those
        of :class:`tsbnn.inference.Diagnostics`), ``trace`` (``gradient_evaluations`` and mean
        ``loss`` after each epoch) and more.
    draw_evaluation
        How a network is run at its weight draws: ``"loop"``, one after the other, ``"batched"``,
        all in one, or ``"auto"``, whichever is expected to be faster. Forecasts are the same up to
        rounding. Networks that cannot be batched (GluonTS's WaveNet and temporal fusion
        transformer, and those with a function of their own for
        :func:`tsbnn.forecasting.draw_paths`) take the loop.
    memory_limit
        Bytes that predicting may take besides the forecasts themselves (see
        :mod:`tsbnn.forecasting.prediction.prediction`); by default 1 GiB, on CUDA a quarter of the
        device. Another limit can change the random numbers, not their law.
    frame_schema
        The columns of the frame that it was trained on, by ``FrameSchema.to_dict``; as the
        attribute a :class:`tsbnn.datasets.FrameSchema`, or None.

    Raises
    ------
    ValueError
        For another ``draw_evaluation``, or a ``memory_limit`` below 1.
    """

    @validated()
    def __init__(
        self,
        input_names: list[str],
        prediction_net: PosteriorNetwork,
        batch_size: int,
        prediction_length: int,
        input_transform: Transformation,
        num_draws: int = 20,
        num_samples: int = 100,
        seed: int = 0,
        training_summary: dict[str, Any] | None = None,
        output_transform: OutputTransform | None = None,
        lead_time: int = 0,
        device: str | torch.device = "auto",
        draw_evaluation: str = "auto",
        memory_limit: int | None = None,
        frame_schema: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            input_names=input_names,
            prediction_net=prediction_net,
            batch_size=batch_size,
            prediction_length=prediction_length,
            input_transform=input_transform,
            output_transform=output_transform,
            lead_time=lead_time,
            device=device,
        )
        self.num_draws = num_draws
        self.num_samples = num_samples
        self.seed = seed
        self.training_summary = training_summary or {}
        self.draw_evaluation = check_evaluation(draw_evaluation)
        self.memory_limit = check_memory_limit(memory_limit)
        self.frame_schema = None if frame_schema is None else FrameSchema.from_dict(frame_schema)

    @property
    def posterior(self) -> Posterior:
        """The posterior over the network's flat weights."""
        posterior: Posterior = self.prediction_net.posterior
        return posterior

    def predict(
        self, dataset: Dataset, num_samples: int | None = None, seed: int | None = None
    ) -> Iterator[BayesianForecast]:
        """Forecast beyond the end of every series of a dataset.

        The weights are drawn once per call; each draw gives ``num_samples / num_draws`` paths,
        rounded so that the total is exact and draws differ by at most one. With fewer samples
        than draws there are ``num_samples`` draws of one path. Two calls with one seed on one
        dataset agree; global random state stays as it is.

        Parameters
        ----------
        dataset
            A GluonTS dataset.
        num_samples
            Paths per series; by default the predictor's.
        seed
            By default the predictor's.

        Returns
        -------
        Iterator of BayesianForecast
            In the dataset's order, computed batch by batch.

        Raises
        ------
        ValueError
            If ``num_samples`` is no whole number of at least 1, or ``seed`` none of
            ``0..2**63-1``.
        TypeError
            If the dataset is none: a pandas frame, say.
        """
        check_dataset(dataset, "dataset", again=False)
        num_samples = self.num_samples if num_samples is None else num_samples
        seed = self.seed if seed is None else seed
        return self._predict(dataset, check_whole(num_samples, "num_samples"), check_seed(seed))

    def _predict(self, dataset: Dataset, num_samples: int, seed: int) -> Iterator[BayesianForecast]:
        batches = self._batches(dataset, num_samples, seed)
        for batch, (samples, mean, variance), draw_index in batches:
            for row, start in enumerate(batch["forecast_start"]):
                yield BayesianForecast(
                    samples=samples[row],
                    start_date=start,
                    draw_index=draw_index,
                    item_id=batch["item_id"][row] if "item_id" in batch else None,
                    info=batch["info"][row] if "info" in batch else None,
                    draw_mean=None if mean is None else mean[row],
                    draw_variance=None if variance is None else variance[row],
                    num_atoms=self.posterior.num_atoms,
                )

    def _batches(
        self, dataset: Dataset, num_samples: int, seed: int
    ) -> Iterator[tuple[dict[str, Any], Predicted, np.ndarray]]:
        """Batches of series, their forecasts, and the weight draw of each path."""
        fields = SelectFields(self.input_names + self.required_fields, allow_missing=True)
        loader = InferenceDataLoader(
            dataset,
            transform=self.input_transform + fields,
            batch_size=self.batch_size,
            stack_fn=lambda data: batchify(data, self.device),
        )
        prediction = Prediction(
            self.prediction_net.network,
            self.posterior,
            self.num_draws,
            num_samples,
            seed=derived_seed(seed, _WEIGHTS),
            draw_evaluation=self.draw_evaluation,
            memory_limit=self.memory_limit,
        )
        stream = RandomStream(derived_seed(seed, _PATHS))
        batches = iter(loader)
        while True:
            with without_foreign_warnings():
                batch = next(batches, None)
            if batch is None:
                return
            self.prediction_net.eval()
            with stream.active(), without_foreign_warnings(), torch.no_grad():
                readable = prepared(batch, self.prediction_net.network)
                inputs = select(self.input_names, readable, ignore_missing=True)
                predicted = prediction(inputs)
                if self.output_transform is not None:
                    # The moments would not be those of the transformed paths.
                    transformed = self.output_transform(batch, predicted.samples)
                    predicted = Predicted(transformed, None, None)
            yield batch, predicted, prediction.draw_index

    def serialize(self, path: Path) -> None:
        """Write the predictor in GluonTS's format; its tensors as CPU tensors, to load anywhere."""
        super().serialize(path)
        state = self.prediction_net.state_dict()
        on_cpu = {name: value.detach().cpu().clone() for name, value in state.items()}
        torch.save(on_cpu, Path(path) / "prediction-net-state.pt")

    @classmethod
    def deserialize(
        cls, path: Path, device: str | torch.device | None = None
    ) -> "BayesianPredictor":
        """Read what :meth:`serialize` wrote; building the network leaves random state alone.

        GluonTS's format names classes to import: read it from sources you trust, and see
        :func:`tsbnn.load` for those you do not.
        """
        with RandomStream(0).active():
            predictor: BayesianPredictor = super().deserialize(Path(path), device)
        return predictor
