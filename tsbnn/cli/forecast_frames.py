"""Forecasts of any tool as a table: which columns are quantiles, interval bounds or samples.

======================================  ======================================================
column                                  what it is
======================================  ======================================================
``0.1``, ``q0.1``, ``DeepAR_ql0.1``,    quantiles, by their levels or percentages
``quantile_0.9``, ``p90``
``lo-80``, ``hi-80``, ``NHITS-lo-80``   bounds of the central interval of 80 %
``mean``, ``median``, ``NHITS-median``  point forecasts; also ``NHITS`` alone, beside its bounds
``path`` or ``sample``, and ``value``   sample paths, one row for each path and time
``sample_0``, ``sales_s0``              sample paths, one column for each
======================================  ======================================================

What stands before such a name is the model's: a table may have several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tsbnn.cli.errors import BadDataError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_BEFORE = r"(?:(?P<model>.+?)[-_])??"
_BOUND = re.compile(_BEFORE + r"(?P<side>lo|hi)-(?P<level>\d+(?:\.\d+)?)")
_QUANTILE = re.compile(_BEFORE + r"(?:(?:quantile|ql?)[-_]?)?(?P<level>0?\.\d+)")
_PERCENT = re.compile(_BEFORE + r"(?:p|q|q-)(?P<level>\d{1,2})")
_SAMPLE = re.compile(_BEFORE + r"(?:sample|s)[-_]?\d+")
_POINT = re.compile(_BEFORE + r"(?P<point>mean|median|epistemic_std)")
_PATHS = ("path", "sample", "sample_id")
#: Columns that say where a forecast belongs, or what came.
_PLACES = ("cutoff", "step", "draw", "aleatoric_std")


@dataclass
class Forecasts:
    """What one model says about each row.

    Attributes
    ----------
    name
        The model's name.
    quantiles
        By level, ``rows`` each; bounds of intervals are quantiles too.
    bounds
        Central intervals by nominal coverage: ``rows`` below and above.
    mean, epistemic_std
        ``rows``, or None.
    samples
        ``rows x num_samples``, or None.
    columns
        What is scored by the columns' names: values and the labels of their rows in the table,
        ``rows`` both, or ``rows x num_samples`` of samples.
    """

    name: str
    quantiles: dict[float, Array] = field(default_factory=dict)
    bounds: dict[float, tuple[Array, Array]] = field(default_factory=dict)
    mean: Array | None = None
    epistemic_std: Array | None = None
    samples: Array | None = None
    columns: dict[str, tuple[Array, NDArray[Any]]] = field(default_factory=dict)

    @property
    def median(self) -> Array | None:
        """The median; the mean where there is none."""
        return self.quantiles.get(0.5, self.mean)

    def at(self, rows: NDArray[np.integer]) -> Forecasts:
        """The same of some rows."""

        def part(values: Array | None) -> Array | None:
            return None if values is None else values[rows]

        return Forecasts(
            self.name,
            {level: values[rows] for level, values in self.quantiles.items()},
            {c: (low[rows], high[rows]) for c, (low, high) in self.bounds.items()},
            part(self.mean),
            part(self.epistemic_std),
            part(self.samples),
        )

    def complete(self) -> Forecasts:
        """Pair quantiles to intervals, and take those that are missing from the samples."""
        if self.samples is not None:
            self._take_from(self.samples)
        for level in sorted(self.quantiles):
            other, coverage = round(1 - level, 9), round(1 - 2 * level, 9)
            if level < 0.5 and other in self.quantiles and coverage not in self.bounds:
                self.bounds[coverage] = self.quantiles[level], self.quantiles[other]
        return self

    def crossed(self) -> tuple[str, str, int] | None:
        """Columns and row of the first interval whose lower bound is above its upper one."""
        sides: dict[tuple[str, float], str] = {}
        for column in self.columns:
            if found := _BOUND.fullmatch(column):
                sides[found["side"], float(found["level"])] = column
        for (side, level), low in sides.items():
            high = sides.get(("hi", level))
            if side == "lo" and high is not None:
                above = np.flatnonzero(self.columns[low][0] > self.columns[high][0])
                if len(above):
                    return low, high, int(above[0])
        return None

    def _take_from(self, samples: Array) -> None:
        from tsbnn.evaluation import central_interval, sample_quantile
        from tsbnn.evaluation.calibration import INTERVALS
        from tsbnn.evaluation.scores import QUANTILE_LEVELS

        paths = samples.T
        self.mean = samples.mean(axis=1)
        self.quantiles = {level: sample_quantile(paths, level) for level in QUANTILE_LEVELS}
        self.bounds = {coverage: central_interval(paths, coverage) for coverage in INTERVALS}


# As R's forecast and fable, Prophet and others call them.
_LIKE_A_BOUND = re.compile(
    r"(?:^|[^a-z])(?:lo|hi|low|high|lower|upper)(?:$|[^a-z])|^p?\d+ ?%$|^p\d+$", re.IGNORECASE
)


def read_forecasts(
    table: pd.DataFrame, places: Iterable[Any], target: Any, name: str
) -> tuple[pd.DataFrame, list[Forecasts], list[str]]:
    """Find the forecasts in a table.

    Parameters
    ----------
    table
        One row for each series and time, or for each path as well.
    places
        Columns of ids, timestamps and cutoffs.
    target
        Column of actual values, if it is there.
    name
        What a model without a name is called.

    Returns
    -------
    table, forecasts, ignored
        The table with one row for each series and time, each model's forecasts of its rows, and
        columns of numbers that are no forecasts, or points beside models with intervals.

    Raises
    ------
    BadDataError
        If no column is a forecast, or one is not of numbers.
    """
    keys = [place for place in places if place is not None]
    path = next((column for column in _PATHS if column in table), None)
    if path is not None and "value" in table:
        return _long_samples(table, keys, path, name)
    models: dict[str, Forecasts] = {}
    paths: dict[str, list[Array]] = {}
    rest = []

    def of(found: re.Match[str]) -> Forecasts:
        model = found["model"] or name
        return models.setdefault(model, Forecasts(model))

    def read(model: Forecasts, column: Any) -> Array:
        values = _numbers(table, column)
        model.columns[str(column)] = values, table.index.to_numpy()
        return values

    for column in table.columns:
        text = str(column)
        if column in keys or column == target or text in _PLACES:
            continue
        if found := _BOUND.fullmatch(text):
            share = float(found["level"]) / 100
            level = round((1 - share) / 2 if found["side"] == "lo" else (1 + share) / 2, 9)
            of(found).quantiles.setdefault(level, read(of(found), column))
        elif (found := _QUANTILE.fullmatch(text)) and float(found["level"]) > 0:
            of(found).quantiles[float(found["level"])] = read(of(found), column)
        elif (found := _PERCENT.fullmatch(text)) and int(found["level"]) > 0:
            of(found).quantiles[int(found["level"]) / 100] = read(of(found), column)
        elif found := _SAMPLE.fullmatch(text):
            paths.setdefault(of(found).name, []).append(read(of(found), column))
        elif found := _POINT.fullmatch(text):
            if found["point"] == "median":
                of(found).quantiles[0.5] = read(of(found), column)
            elif found["point"] == "mean":
                of(found).mean = read(of(found), column)
            else:
                of(found).epistemic_std = _numbers(table, column)
        else:
            rest.append(column)
    ignored = []
    for column in rest:
        if str(column) in models:
            models[str(column)].mean = read(models[str(column)], column)
        elif table[column].dtype.kind in "fiu":
            ignored.append(str(column))
    for of_paths, columns in paths.items():
        models[of_paths].samples = np.stack(columns, axis=1)
    if not models:  # tools that forecast points name their columns by the model alone
        bounds = [str(column) for column in rest if _LIKE_A_BOUND.search(str(column))]
        if bounds:
            raise BadDataError(
                f"the columns {', '.join(bounds)} look like bounds or quantiles under other names: "
                "call them lo-80 and hi-80, or 0.1 and 0.9, and the point forecast mean"
            )
        for column in rest:
            if table[column].dtype.kind in "fiu":
                model = models.setdefault(str(column), Forecasts(str(column)))
                model.mean = read(model, column)
        ignored = []
    if not models:
        raise BadDataError(
            "no column is a forecast; known are quantiles (0.1), bounds (lo-80, hi-80), mean and "
            "median, each also behind a model's name (NHITS-lo-80), and sample paths (path and "
            f"value). The columns: {', '.join(str(column) for column in table.columns)}"
        )
    return table, [model.complete() for model in models.values()], ignored


def _long_samples(
    table: pd.DataFrame, keys: list[Any], path: str, name: str
) -> tuple[pd.DataFrame, list[Forecasts], list[str]]:
    counts = table.groupby(keys, sort=False)[path].size()
    if counts.nunique() > 1 or table.duplicated([*keys, path]).any():
        raise BadDataError(
            f"column {path!r}: every series and time needs the same number of paths, each once"
        )
    ordered = table.sort_values([*keys, path], kind="stable")
    count = int(counts.iloc[0])
    samples = _numbers(ordered, "value").reshape(-1, count)
    columns = {"value": (samples, ordered.index.to_numpy().reshape(-1, count))}
    return ordered.iloc[::count], [Forecasts(name, samples=samples, columns=columns).complete()], []


def _numbers(table: pd.DataFrame, column: Any) -> Array:
    values = table[column]
    if values.dtype.kind not in "fiu":
        raise BadDataError(f"column {column!r} holds forecasts and is not all numbers")
    return values.to_numpy(np.float64)
