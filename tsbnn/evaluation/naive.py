r"""Seasonal naive with Gaussian width: the baseline that stands in every table.

The forecast repeats the last season, and its error is taken to be a sum of independent seasonal
changes, one for each season ahead:

.. math:: y_{T+k} \sim \mathcal N\big(y_{T+k-jm},\; j\,s^2\big), \qquad j = \lceil k/m \rceil,
          \qquad s^2 = \operatorname{mean} (y_t - y_{t-m})^2

over the last 2,000 seasonal differences of the history. With season m = 1 this is the random walk.
Paths are built by adding the changes up, so that times of one phase depend on each other as in
such a series.

Source: Hyndman and Athanasopoulos, *Forecasting: principles and practice*, 3rd edition, table 5.2.
"""

# GluonTS's `validated` reads the annotations of a constructor at run time, as objects.
# ruff: noqa: I002

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from gluonts.core.component import validated
from gluonts.dataset.util import forecast_start
from gluonts.model.estimator import Estimator
from gluonts.model.forecast import SampleForecast
from gluonts.model.predictor import RepresentablePredictor
from numpy.typing import ArrayLike

from tsbnn.evaluation.randomness import stream
from tsbnn.evaluation.shapes import Array


class NaiveLaw(NamedTuple):
    """Marginal law of a seasonal naive forecast, each array ``prediction_length``.

    Attributes
    ----------
    mean
        In target units.
    std
        In target units; 0 where the history never changed, or is a single point.
    first
        Variance of the first change of each phase of the season, ``lag``, in units of ``step``².
        More than 1 where the last season has gaps; 0 for a phase never seen.
    step
        Standard deviation s of one change.
    """

    mean: Array
    std: Array
    first: Array
    step: float


def seasonal_naive(
    history: ArrayLike, prediction_length: int, season: int, window: int = 2000
) -> NaiveLaw:
    """Mean and standard deviation of the seasonal naive forecast of one series.

    Gaps are NaN. A phase of the season that is missing in the last season takes its last observed
    value, and as many more changes of width as there are seasons between. Differences with a gap
    are left out. With fewer than two seasonal differences the season is 1; with fewer than two
    changes at all, or for a phase never seen, the forecast is the mean and standard deviation of
    what was observed.

    Parameters
    ----------
    history
        Target up to the forecast's start, ``time``.
    prediction_length, season
        In steps.
    window
        Number of latest differences from which the width is taken.

    Raises
    ------
    ValueError
        If nothing in the history is observed, or a length is below 1.
    """
    for name, value in (
        ("prediction_length", prediction_length),
        ("season", season),
        ("window", window),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value!r}")
    y = np.asarray(history, dtype=np.float64)
    seen = y[~np.isnan(y)]
    if y.ndim != 1 or not seen.size:
        raise ValueError(
            f"a seasonal naive forecast needs one observed value at least; the history has shape "
            f"{y.shape} and {seen.size} observed values"
        )
    steps = np.arange(prediction_length)
    for lag in dict.fromkeys((season, 1)):
        changes = (y[lag:] - y[:-lag])[-window:]
        changes = changes[~np.isnan(changes)]
        if changes.size >= 2:
            break
    else:
        level, spread = float(seen.mean()), float(seen.std())
        flat = np.full(prediction_length, spread)
        return NaiveLaw(np.full(prediction_length, level), flat, np.zeros(lag), 0.0)
    step = float(np.sqrt(np.mean(changes**2)))
    # Rows are seasons, the last one last; the first may be cut short.
    padded = np.concatenate([np.full(-len(y) % lag, np.nan), y]).reshape(-1, lag)[::-1]
    known = ~np.isnan(padded)
    found = known.any(axis=0)
    age = known.argmax(axis=0)
    value = padded[age, np.arange(lag)]
    phase = steps % lag
    first = np.where(found, 1.0 + age, 0.0)
    std = step * np.sqrt(first[phase] + steps // lag)
    mean = np.where(found, value, seen.mean())[phase]
    return NaiveLaw(mean, np.where(found[phase], std, seen.std()), first, step)


def naive_paths(law: NaiveLaw, num_samples: int, generator: np.random.Generator) -> Array:
    """Draw paths of a seasonal naive forecast, ``num_samples x prediction_length``."""
    lag, horizon = len(law.first), len(law.mean)
    seasons = -(-horizon // lag)
    noise = generator.standard_normal((num_samples, seasons, lag))
    changes = noise * law.step
    changes[:, 0] *= np.sqrt(law.first)
    paths = law.mean + changes.cumsum(axis=1).reshape(num_samples, -1)[:, :horizon]
    unseen = (law.first == 0)[np.arange(horizon) % lag]
    independent = law.mean + law.std * noise.reshape(num_samples, -1)[:, :horizon]
    return np.asarray(np.where(unseen, independent, paths))


class SeasonalNaiveGaussianPredictor(RepresentablePredictor):  # type: ignore[misc]
    """Forecasts each series from its own history by :func:`seasonal_naive`.

    Parameters
    ----------
    prediction_length, season_length
        In steps.
    num_samples
        Paths per series.
    seed
        Default of :meth:`predict`.
    window
        Number of latest seasonal differences from which the width is taken.
    """

    @validated()  # type: ignore[no-untyped-call, untyped-decorator]
    def __init__(
        self,
        prediction_length: int,
        season_length: int,
        num_samples: int = 100,
        seed: int = 0,
        window: int = 2000,
    ) -> None:
        super().__init__(prediction_length=prediction_length)
        self.season_length = season_length
        self.num_samples = num_samples
        self.seed = seed
        self.window = window

    def law(self, entry: dict[str, Any]) -> NaiveLaw:
        """Mean and standard deviation of the forecast beyond the end of one entry."""
        return seasonal_naive(
            entry["target"], self.prediction_length, self.season_length, self.window
        )

    def predict(
        self,
        dataset: Iterable[dict[str, Any]],
        num_samples: int | None = None,
        seed: int | None = None,
    ) -> Iterator[SampleForecast]:
        """Forecast beyond the end of every series; two calls with one seed agree."""
        generator = stream(self.seed if seed is None else seed, "naive")
        for entry in dataset:
            paths = naive_paths(self.law(entry), num_samples or self.num_samples, generator)
            yield SampleForecast(
                samples=paths,
                start_date=forecast_start(entry),
                item_id=entry.get("item_id"),
                info=entry.get("info"),
            )


class SeasonalNaiveGaussian(Estimator):  # type: ignore[misc]
    """The estimator of :class:`SeasonalNaiveGaussianPredictor`: there is nothing to train.

    Parameters
    ----------
    prediction_length, season_length
        In steps.
    seed
        Of the predictor's paths.
    window
        Number of latest seasonal differences from which the width is taken.
    """

    @validated()  # type: ignore[no-untyped-call, untyped-decorator]
    def __init__(
        self, prediction_length: int, season_length: int, seed: int = 0, window: int = 2000
    ) -> None:
        super().__init__()
        for name, value in (
            ("prediction_length", prediction_length),
            ("season_length", season_length),
            ("window", window),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        self.prediction_length = prediction_length
        self.season_length = season_length
        self.seed = seed
        self.window = window

    def train(
        self, training_data: Any, validation_data: Any = None, **kwargs: Any
    ) -> SeasonalNaiveGaussianPredictor:
        """Return the predictor; the data are not looked at."""
        predictor: SeasonalNaiveGaussianPredictor = SeasonalNaiveGaussianPredictor(
            prediction_length=self.prediction_length,
            season_length=self.season_length,
            seed=self.seed,
            window=self.window,
        )
        return predictor

    def with_seed(self, seed: int) -> "SeasonalNaiveGaussian":
        """Return an estimator that differs in its seed only."""
        estimator: SeasonalNaiveGaussian = SeasonalNaiveGaussian(
            prediction_length=self.prediction_length,
            season_length=self.season_length,
            seed=seed,
            window=self.window,
        )
        return estimator

    def describe(self) -> dict[str, str]:
        """Name it in tables."""
        return {"network": "seasonal_naive", "inference": "none", "family": "gaussian"}
