"""A sample forecast that remembers which weight draw each path came from."""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from gluonts.model.forecast import SampleForecast

from tsbnn.forecasting.decomposition import (
    Array,
    Decomposition,
    decompose_batch,
)
from tsbnn.networks.validated import validated


class BayesianForecast(SampleForecast):
    """Sample paths with their weight draws, and the two parts of their variance.

    Everything of GluonTS's :class:`~gluonts.model.forecast.SampleForecast` works on it. The
    decomposition is that of :mod:`tsbnn.forecasting.decomposition`. Where the network gives each
    draw's mean and variance in closed form, and they are finite, these replace the paths in it:
    the epistemic part is then free of path noise. (Student's t has no finite variance up to two
    degrees of freedom; the paths are used then.)

    Parameters
    ----------
    samples
        Paths in target units, ``num_samples x prediction_length`` (``x target_dim``).
    start_date
        Start of the forecast.
    draw_index
        The weight draw of each path, integers, ``num_samples``.
    item_id, info
        As in GluonTS.
    draw_mean, draw_variance
        Each draw's exact moments, ``num_draws x prediction_length`` (``x target_dim``), or None.
    num_atoms
        How many weight vectors the posterior consists of, at least as many as there are draws;
        None where it is continuous. With one (a point estimate) the epistemic variance is exactly
        0, with standard error 0.

    Raises
    ------
    ValueError
        If ``draw_index`` does not fit, or has more draws than the posterior has atoms.
    """

    @validated()
    def __init__(
        self,
        samples: np.ndarray,
        start_date: pd.Period,
        draw_index: np.ndarray,
        item_id: str | None = None,
        info: Any = None,
        draw_mean: np.ndarray | None = None,
        draw_variance: np.ndarray | None = None,
        num_atoms: int | None = None,
    ) -> None:
        super().__init__(samples=samples, start_date=start_date, item_id=item_id, info=info)
        if draw_index.shape != samples.shape[:1] or draw_index.dtype.kind not in "iu":
            raise ValueError(
                f"draw_index must hold one integer for each of the {len(samples)} paths, "
                f"not {draw_index.dtype} of shape {draw_index.shape}"
            )
        self.draw_index = draw_index
        self.draw_mean = draw_mean
        self.draw_variance = draw_variance
        self.num_atoms = num_atoms
        if num_atoms is not None and self.num_draws > num_atoms:
            raise ValueError(
                f"draw_index has {self.num_draws} draws of a posterior of num_atoms={num_atoms}"
            )

    @property
    def num_draws(self) -> int:
        """Number of weight draws among the paths."""
        return len(np.unique(self.draw_index))

    def draw_samples(self, draw: int) -> Array:
        """Return the paths of one weight draw, ``num_paths x prediction_length``.

        Raises
        ------
        ValueError
            If no path has this draw.
        """
        mask = self.draw_index == draw
        if not mask.any():
            raise ValueError(
                f"no path of draw {draw!r}; draws are {np.unique(self.draw_index).tolist()}"
            )
        return self.samples[mask]

    @property
    def epistemic_variance(self) -> Array:
        """Unbiased estimate of the variance over weights, ``prediction_length``.

        In squared target units. It may be negative: average and plot this one, not the floored
        :attr:`epistemic_std`. NaN, with a warning, where the paths cannot tell.
        """
        return self._warned("epistemic")

    @property
    def epistemic_variance_se(self) -> Array:
        """Standard error of :attr:`epistemic_variance`, ``prediction_length``."""
        return self._warned("epistemic_se")

    @property
    def epistemic_std(self) -> Array:
        """Standard deviation over weights in target units, floored at 0, ``prediction_length``."""
        return np.sqrt(np.maximum(self._warned("epistemic"), 0.0))

    @property
    def aleatoric_std(self) -> Array:
        """Root of the mean variance within a draw, in target units, ``prediction_length``."""
        return np.sqrt(self._warned("aleatoric"))

    @property
    def total_std(self) -> Array:
        """Root of both variances' sum, in target units, ``prediction_length``."""
        return np.sqrt(self._parts.total)

    def copy_dim(self, dim: int) -> "BayesianForecast":
        """Return the forecast of one dimension of a multivariate target."""
        if self.samples.ndim == 2:
            return self._copy(self.samples, self.draw_mean, self.draw_variance)
        if not 0 <= dim < self.samples.shape[2]:
            raise ValueError(f"dim must lie in 0..{self.samples.shape[2] - 1}, not {dim}")
        moments = [m if m is None else m[..., dim] for m in (self.draw_mean, self.draw_variance)]
        return self._copy(self.samples[..., dim], *moments)

    def copy_aggregate(self, agg_fun: Callable[..., Array]) -> "BayesianForecast":
        """Return the forecast of an aggregate over the dimensions of a multivariate target."""
        if self.samples.ndim == 2:
            return self._copy(self.samples, self.draw_mean, self.draw_variance)
        # Variances of an aggregate need covariances, which the moments do not hold.
        return self._copy(agg_fun(self.samples, axis=2), None, None)

    def _copy(
        self, samples: Array, draw_mean: Array | None, draw_variance: Array | None
    ) -> "BayesianForecast":
        return BayesianForecast(
            samples=samples,
            start_date=self.start_date,
            draw_index=self.draw_index,
            item_id=self.item_id,
            info=self.info,
            draw_mean=draw_mean,
            draw_variance=draw_variance,
            num_atoms=self.num_atoms,
        )

    @cached_property
    def _parts(self) -> Decomposition:
        moments = (m if m is None else m[None] for m in (self.draw_mean, self.draw_variance))
        batch = decompose_batch(
            self.samples[None], self.draw_index, *moments, num_atoms=self.num_atoms
        )
        return Decomposition(*(part[0] for part in batch))

    def _warned(self, part: str) -> Array:
        values: Array = getattr(self._parts, part)
        if np.isnan(values).all():
            reason = (
                "it has a single weight draw"
                if part != "aleatoric" and self.num_draws == 1
                else "no weight draw has two paths"
            )
            warnings.warn(
                f"the {part.removesuffix('_se')} variance of this forecast is not known: {reason}. "
                "Predict with num_samples of at least twice num_draws.",
                RuntimeWarning,
                stacklevel=3,
            )
        return values
