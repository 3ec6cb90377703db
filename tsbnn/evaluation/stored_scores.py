"""Every window's scores of several models on one dataset, in one small file."""

from __future__ import annotations

import os
import uuid
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsbnn.evaluation.bootstrap import Scored
from tsbnn.evaluation.metrics import WindowScores

Cell = tuple[str, int]

_VERSION = 1


@dataclass
class StoredScores:
    """Scores by window, to be kept when the forecasts are not: what comparisons need.

    ``paired_difference``, ``coverage_intervals`` and ``selective_scores`` take it where they take a
    backtest. A file is a compressed ``.npz`` of plain arrays in float32, each distinct array once:
    models share their denominators, and a model that no seed changes takes the room of one.

    Attributes
    ----------
    windows
        One row per window: ``item_id``, ``window``, and, where they are known, ``start`` and
        ``seasonal_error``.
    dataset
        The dataset's name.
    metrics
        Which scores are kept; all if None.
    scores
        By (model, seed), every window's sums.

    Examples
    --------
    >>> stored = StoredScores.of(result, metrics=("crps", "mase", "coverage_95", "width_95"))
    >>> stored.save("etth1.npz")
    >>> paired_difference(StoredScores.load("etth1.npz"), "score", "elbo", "crps")
    """

    windows: pd.DataFrame
    dataset: str = ""
    metrics: tuple[str, ...] | None = None
    scores: dict[Cell, WindowScores] = field(default_factory=dict)

    @classmethod
    def of(cls, scored: Scored, metrics: Iterable[str] | None = None) -> StoredScores:
        """Take the scores of a backtest, or some of those of another one of these.

        Raises
        ------
        ValueError
            If a model has none of the metrics.
        """
        chosen = None if metrics is None else tuple(metrics)
        stored = cls(scored.windows, str(getattr(scored, "dataset", "")), chosen)
        for (model, seed), scores in scored.scores.items():
            stored.add(model, seed, scores)
        return stored

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order in which they came."""
        return list(dict.fromkeys(model for model, _ in self.scores))

    def add(self, model: str, seed: int, scores: WindowScores) -> None:
        """Enter what one model gave under one seed, in place of what is there.

        Raises
        ------
        ValueError
            If the scores are not of these windows, or none of them is to be kept.
        """
        kept = [name for name in scores.numerators if self.metrics is None or name in self.metrics]
        if not kept:
            raise ValueError(
                f"{model!r}, seed {seed}: none of the metrics {', '.join(self.metrics or ())} is "
                f"among its scores; there are {', '.join(scores.numerators)}"
            )
        found = {len(scores.numerators[name]) for name in kept}
        if found != {len(self.windows)}:
            raise ValueError(
                f"{model!r}, seed {seed}: scores of {', '.join(map(str, sorted(found)))} windows "
                f"do not fit {len(self.windows)} windows"
            )
        self.scores[model, int(seed)] = WindowScores(
            {name: scores.numerators[name] for name in kept},
            {name: scores.denominators[name] for name in kept},
        )

    def save(self, path: str | Path) -> Path:
        """Write one file, whole or not at all.

        Parameters
        ----------
        path
            Where; usually ending in ``.npz``.
        """
        path = Path(path)
        waiting = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
        try:
            with waiting.open("wb") as file:
                np.savez_compressed(file, **self._arrays())
            os.replace(waiting, path)
        finally:
            waiting.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path) -> StoredScores:
        """Read what :meth:`save` wrote; nothing in a file is run.

        Raises
        ------
        OSError
            If there is no such file, or it cannot be read.
        ValueError
            If it is another kind of file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls._from(dict(file))
        except (KeyError, IndexError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} holds no stored scores: {error}") from error

    def _arrays(self) -> dict[str, Any]:
        """All of it in plain arrays: distinct rows of numbers, and where each belongs."""
        names = list(dict.fromkeys(n for scores in self.scores.values() for n in scores.numerators))
        rows: dict[bytes, int] = {}
        # Row of each cell's numerator and denominator by metric; -1 where there is none.
        places = np.full((len(self.scores), len(names), 2), -1, dtype=np.int32)
        for cell, scores in enumerate(self.scores.values()):
            for metric, name in enumerate(names):
                if name in scores.numerators:
                    for part, sums in enumerate((scores.numerators, scores.denominators)):
                        row = np.asarray(sums[name], dtype=np.float32).tobytes()
                        places[cell, metric, part] = rows.setdefault(row, len(rows))
        values = np.frombuffer(b"".join(rows), dtype=np.float32).reshape(-1, len(self.windows))
        arrays = {
            "version": _VERSION,
            "dataset": self.dataset,
            "chosen": np.array(self.metrics or (), dtype=str),
            "item_id": np.array([str(item) for item in self.windows["item_id"]], dtype=str),
            "window": self.windows["window"].to_numpy(np.int64),
            "model": np.array([model for model, _ in self.scores], dtype=str),
            "seed": np.array([seed for _, seed in self.scores], dtype=np.int64),
            "metric": np.array(names, dtype=str),
            "places": places,
            "values": values,
        }
        if "seasonal_error" in self.windows:
            arrays["seasonal_error"] = self.windows["seasonal_error"].to_numpy(np.float64)
        if "start" in self.windows:
            starts = list(self.windows["start"])
            arrays["start"] = np.array([start.ordinal for start in starts], dtype=np.int64)
            arrays["freq"] = starts[0].freqstr if starts else ""
        return arrays

    @classmethod
    def _from(cls, arrays: dict[str, Any]) -> StoredScores:
        if int(arrays["version"]) != _VERSION:
            raise ValueError(f"its version is {arrays['version']}, and this one reads {_VERSION}")
        windows = pd.DataFrame({"item_id": arrays["item_id"].tolist(), "window": arrays["window"]})
        if "start" in arrays:
            freq = str(arrays["freq"])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Period with BDay freq", FutureWarning)
                starts = [pd.Period(ordinal=n, freq=freq) for n in arrays["start"].tolist()]
            # As objects: pandas announces the end of its period type for business days.
            windows["start"] = pd.Series(starts, dtype=object)
        if "seasonal_error" in arrays:
            windows["seasonal_error"] = arrays["seasonal_error"]
        values = arrays["values"].astype(np.float64)
        names = arrays["metric"].tolist()
        scores = {}
        cells = zip(arrays["model"].tolist(), arrays["seed"].tolist(), strict=True)
        for cell, rows in zip(cells, arrays["places"], strict=True):
            kept = {name: place for name, place in zip(names, rows, strict=True) if place[0] >= 0}
            above, below = ({n: values[p[part]] for n, p in kept.items()} for part in (0, 1))
            scores[cell] = WindowScores(above, below)
        chosen = tuple(arrays["chosen"].tolist()) or None
        return cls(windows, str(arrays["dataset"]), chosen, scores)
