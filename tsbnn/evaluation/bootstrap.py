r"""Crossed bootstrap: how often each replicate of a test counts each window and each seed.

A score scatters for two reasons: other windows would have been forecast better or worse, and
another seed would have trained another network. Each replicate draws both anew, windows and seeds
independently of each other, and counts every model of a comparison with the same draws.

Windows are many, and are drawn with replacement. Seeds are few: drawn with replacement, five would
give intervals of nominal 95 % that cover 80 % where seeds are most of the spread. So the mean over
:math:`S` seeds takes random weights instead,

.. math::
    w_s = \frac1S + \frac{g_s - \bar g}{\sqrt{S (S - 1)}} \sqrt{\frac{S - 1}{\chi^2_{S-1}}},
    \qquad g_s \sim \mathcal N(0, 1) ,

which sum to 1. Where only seeds matter, the interval is then Student's, :math:`\bar v \pm
t_{S-1} s / \sqrt S`; where all seeds agree, they change nothing.

Sources: Owen, *The pigeonhole bootstrap*, Annals of Applied Statistics 1 (2007), for crossed
factors; Wu, *Jackknife, bootstrap and other resampling methods in regression analysis*, Annals of
Statistics 14 (1986), for random weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.evaluation.metrics import WindowScores
from tsbnn.evaluation.randomness import stream
from tsbnn.evaluation.shapes import Array

Unit = Literal["series x window", "series", "window"]

#: Value of one run's scores with each window counted so often (``resamples x num_windows``), once
#: if None: ``resamples x ...`` or ``...``.
Statistic = Callable[[WindowScores, Array | None], Array]

_MOST_NUMBERS = 10_000_000  # weights in memory at a time


class Scored(Protocol):
    """Models scored on the windows of one dataset: a backtest, or what was stored of one.

    Attributes
    ----------
    scores
        By (model, seed), every window's sums.
    windows
        One row per window: ``item_id``, and ``window``, the place in time; ``seasonal_error`` of
        its history where it is known.
    models
        Names.
    """

    @property
    def scores(self) -> Mapping[tuple[str, int], WindowScores]: ...  # noqa: D102
    @property
    def windows(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def models(self) -> Sequence[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of a test on the same windows and seeds.

    Attributes
    ----------
    windows
        One row per window: ``item_id``, ``window``.
    unit
        What is resampled: single windows of single series (which takes them as independent), or
        whole series, or whole windows over all series, which allows for dependence within each
        and needs some dozen of them.
    confidence
        Nominal coverage of intervals, between 0 and 1.
    resamples
        Number of replicates.
    resample_seeds
        Let seeds vary too, where there are at least two.
    seed
        Of the resampling.

    Raises
    ------
    ValueError
        For unknown units, fewer than two of them, no replicate, and a confidence outside (0, 1).
    """

    windows: pd.DataFrame
    unit: Unit = "series x window"
    confidence: float = 0.95
    resamples: int = 2000
    resample_seeds: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, not {self.confidence!r}")
        if self.resamples < 1:
            raise ValueError(f"resamples must be at least 1, not {self.resamples!r}")
        if self.num_units < 2:
            raise ValueError(f"only {self.num_units} {self.unit} to resample: choose another unit")

    @property
    def num_units(self) -> int:
        """What there is to resample."""
        return int(self._groups().max(initial=-1)) + 1

    def num_units_of(self, windows: NDArray[np.bool_]) -> int:
        """Units to which windows belong: a mask of those windows, ``num_windows``."""
        return len(np.unique(self._groups()[windows]))

    def replicates(self, runs: Sequence[WindowScores], statistic: Statistic) -> Array:
        """A statistic's mean over seeds in every replicate.

        Parameters
        ----------
        runs
            One for each seed, in the same order for all models that are compared.
        statistic
            What is computed of each.

        Returns
        -------
        numpy.ndarray
            ``resamples x ...``.
        """
        groups, num_units = self._groups(), self.num_units
        generator = stream(self.seed, "bootstrap")
        chances = np.full(num_units, 1 / num_units)
        chunk = max(1, _MOST_NUMBERS // len(groups))
        parts = []
        for begin in range(0, self.resamples, chunk):
            size = min(chunk, self.resamples - begin)
            counts = generator.multinomial(num_units, chances, size=size)
            weights = counts[:, groups].astype(np.float64)
            parts.append(np.stack([statistic(run, weights) for run in runs], axis=1))
        values = np.concatenate(parts)
        return np.asarray(np.einsum("rs,rs...->r...", self._seed_weights(len(runs)), values))

    def interval(self, replicates: Array) -> tuple[Array, Array]:
        """Lower and upper percentiles of replicates, each ``...``; those that are NaN left out."""
        tails = [(1 - self.confidence) / 2, (1 + self.confidence) / 2]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
            low, high = np.nanquantile(replicates, tails, axis=0)
        return low, high

    def _seed_weights(self, num_seeds: int) -> Array:
        """Weight of each seed in each replicate's mean, ``resamples x num_seeds``."""
        even = np.full(num_seeds, 1 / num_seeds)
        if num_seeds < 2 or not self.resample_seeds:
            return np.tile(even, (self.resamples, 1))
        generator, free = stream(self.seed, "bootstrap seeds"), num_seeds - 1
        normal = generator.standard_normal((self.resamples, num_seeds))
        normal -= normal.mean(axis=1, keepdims=True)
        chi = np.sqrt(generator.chisquare(free, size=(self.resamples, 1)))
        return np.asarray(even + normal / (np.sqrt(num_seeds) * chi))

    def _groups(self) -> NDArray[np.intp]:
        """Place of the unit to which each window belongs."""
        if self.unit == "series x window":
            return np.arange(len(self.windows))
        columns = {"series": "item_id", "window": "window"}
        if self.unit not in columns:
            raise ValueError(
                f"unit must be 'series x window', 'series' or 'window', not {self.unit!r}"
            )
        return np.asarray(pd.factorize(self.windows[columns[self.unit]])[0])


def runs_of(scored: Scored, *models: str) -> list[list[WindowScores]]:
    """Runs of each model on the seeds that all of them have, in the same order.

    A model with one seed only, such as a baseline that no seed changes, stands beside every seed
    of the others: its run is repeated.

    Raises
    ------
    ValueError
        For unknown models, and if there is no common seed.
    """
    seeds = {model: {s for name, s in scored.scores if name == model} for model in models}
    for model, found in seeds.items():
        if not found:
            raise ValueError(f"no results of {model!r}; there are {', '.join(scored.models)}")
    several = [found for found in seeds.values() if len(found) > 1] or list(seeds.values())
    common = sorted(set.intersection(*several))
    if not common:
        raise ValueError(f"{' and '.join(map(repr, models))} have no seed in common: {seeds}")
    return [
        [
            scored.scores[model, seed if seed in seeds[model] else min(seeds[model])]
            for seed in common
        ]
        for model in models
    ]


def score(metric: str) -> Statistic:
    """The statistic that is a score's value."""
    return lambda run, weights: run.value(metric, weights)


def mean_over_seeds(runs: Sequence[WindowScores], statistic: Statistic) -> Array:
    """A statistic's mean over seeds, each window counted once."""
    return np.asarray(np.mean([statistic(run, None) for run in runs], axis=0))
