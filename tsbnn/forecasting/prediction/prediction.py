"""Paths of a batch of series at all weight draws, computed in parts that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, groupby
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tsbnn.forecasting.likelihood import Batch
from tsbnn.forecasting.prediction.chunks import chunks, default_memory_limit
from tsbnn.forecasting.prediction.drawn_paths import DrawnPaths
from tsbnn.forecasting.prediction.weight_draws import WeightDraws
from tsbnn.inference import Posterior

Array = NDArray[np.floating]
# Shares of the memory limit. Evaluators may hold a second copy of the weight draws.
_FOR_DRAWS, _FOR_CHUNKS = 0.25, 0.5


class Predicted(NamedTuple):
    """Forecasts of a batch of series, in target units.

    Attributes
    ----------
    samples
        ``batch x num_samples x time`` (``x dim``), draw by draw.
    mean, variance
        Exact moments of each draw, ``batch x num_draws x time`` (``x dim``), or None.
    """

    samples: Array
    mean: Array | None
    variance: Array | None


class Prediction:
    """All that one ``predict`` call keeps between its batches: the weight draws, and their paths.

    Memory: half of the limit is for what is computed at a time. Draws, paths and series are cut
    accordingly (:mod:`tsbnn.forecasting.prediction.chunks`), which takes random numbers in another
    order: another limit can give other paths of the same law. (Where series are cut, one without
    any observed point and without ``default_scale`` is scaled like those of its part instead of
    those of its batch.) A quarter is for keeping weight draws; those of large networks are drawn
    anew for every batch, the same each time (:mod:`tsbnn.forecasting.prediction.weight_draws`).
    What one path of one series of one draw needs, and the forecasts of a batch, are taken in any
    case.

    Parameters
    ----------
    network, posterior
        The network and the posterior over its weights.
    num_draws
        K at most; no more than ``num_samples``, and than the posterior has weight vectors.
    num_samples
        Paths of each series. They are split over the draws so that numbers differ by at most one.
    seed
        Of the weight draws.
    draw_evaluation, memory_limit
        As those of :class:`tsbnn.forecasting.BayesianPredictor`.
    """

    def __init__(
        self,
        network: nn.Module,
        posterior: Posterior,
        num_draws: int,
        num_samples: int,
        *,
        seed: int,
        draw_evaluation: str = "auto",
        memory_limit: int | None = None,
    ) -> None:
        if memory_limit is None:
            memory_limit = default_memory_limit(posterior.mean.device)
        num_draws = min(num_draws, num_samples, posterior.num_atoms or num_samples)
        # numpy's split gives parts that differ by at most one, larger ones first.
        parts = np.array_split(np.arange(num_samples), num_draws)
        self.sizes = [len(part) for part in parts]
        self.draw_index = np.repeat(np.arange(num_draws), self.sizes)
        self.limit = _FOR_CHUNKS * memory_limit
        self.draws = WeightDraws(posterior, num_draws, seed, int(_FOR_DRAWS * memory_limit))
        self.paths = DrawnPaths.of(network, draw_evaluation, keep=self.draws.fits)

    def __call__(self, inputs: Batch) -> Predicted:
        """Draw paths of a batch; random numbers come from torch's global state.

        Parameters
        ----------
        inputs
            What the network takes, tensors ``batch x ...`` by name.
        """
        num_series = len(next(iter(inputs.values())))
        starts = [0, *accumulate(self.sizes)]
        samples = _Table(num_series, starts[-1])
        mean, variance = (_Table(num_series, len(self.sizes)) for _ in range(2))
        for draws, weights in self.draws:
            cost = self.paths.cost(weights, inputs)
            for group, num_paths in self._groups(draws):
                for chunk in chunks(group, num_series, num_paths, cost, self.limit):
                    row, draw = chunk.series.start, chunk.draws.start
                    some = {name: value[row : chunk.series.stop] for name, value in inputs.items()}
                    drawn = weights[draw - draws.start : chunk.draws.stop - draws.start]
                    found = self.paths(drawn, some, len(chunk.paths))
                    # Paths are cut for single draws only: the columns of a part lie together.
                    columns = found.samples.transpose(0, 1).flatten(1, 2)
                    samples.put(columns, row, starts[draw] + chunk.paths.start)
                    for table, moment in ((mean, found.mean), (variance, found.variance)):
                        if moment is not None:
                            table.put(moment.transpose(0, 1), row, draw)
        return Predicted(cast(Array, samples.array()), mean.array(), variance.array())

    def _groups(self, draws: range) -> Iterator[tuple[range, int]]:
        """Neighbouring draws of one number of paths, and this number."""
        for num_paths, group in groupby(draws, key=self.sizes.__getitem__):
            members = list(group)
            yield range(members[0], members[-1] + 1), num_paths


class _Table:
    """A result ``rows x num_columns x time`` (``x dim``) on the CPU, filled part by part."""

    def __init__(self, num_rows: int, num_columns: int) -> None:
        self.size = num_rows, num_columns
        self.values: Tensor | None = None

    def put(self, part: Tensor, row: int, column: int) -> None:
        """Fill in ``some_rows x some_columns x time`` from a place on."""
        if self.values is None:
            self.values = torch.empty(*self.size, *part.shape[2:], dtype=part.dtype)
        rows, columns = part.shape[:2]
        self.values[row : row + rows, column : column + columns] = part

    def array(self) -> Array | None:
        """Return all of it, or None if nothing was put in."""
        return None if self.values is None else self.values.numpy()
