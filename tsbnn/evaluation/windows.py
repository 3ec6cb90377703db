r"""Rolling test windows of a dataset, with histories that cannot hold a label.

W windows of h labels stand at the end of every series, one ``stride`` apart; the last window ends
with the series. Steps at the end at which no series has a value (rows of the future, which hold
covariates) are left out. A window's history is a copy of the series up to the window's start:
target and past covariates are cut there, known covariates (``feat_dynamic_real``) at the window's
end. Fields that GluonTS does not define are left out, ``info`` too: nobody can say whether they
know the labels (a count of missing values does).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsbnn.evaluation.shapes import Array

Entry = dict[str, Any]

_KNOWN = ("feat_dynamic_real", "feat_dynamic_cat")
_PAST = ("past_feat_dynamic_real", "past_feat_dynamic_cat")
_STATIC = ("item_id", "start", "feat_static_cat", "feat_static_real")


def history(entry: Entry, stop: int, horizon: int = 0) -> Entry:
    """Copy one entry up to step ``stop``, with known covariates through ``stop + horizon``."""
    cut: Entry = {key: entry[key] for key in _STATIC if key in entry}
    cut["target"] = np.array(entry["target"][:stop])
    for keys, end in ((_KNOWN, stop + horizon), (_PAST, stop)):
        for key in keys:
            if entry.get(key) is not None:
                cut[key] = np.array(np.asarray(entry[key])[..., :end])
    return cut


@dataclass(frozen=True)
class RollingWindows:
    """Histories before every test window: a dataset of GluonTS that can be iterated repeatedly.

    Series-major: all windows of the first series in order of time, then those of the second.

    Attributes
    ----------
    series
        Full entries, labels included, up to the last value of any. Only :meth:`labels` reads those.
    prediction_length, count, stride
        Labels per window, windows per series, and steps from one window's start to the next.
    named
        Whether any series came with an ``item_id`` of its own; else their places name them.
    """

    series: tuple[Entry, ...]
    prediction_length: int
    count: int
    stride: int
    named: bool = True

    @classmethod
    def of(
        cls, dataset: Iterable[Entry], prediction_length: int, count: int, stride: int
    ) -> RollingWindows:
        """Check a dataset and lay the windows.

        Raises
        ------
        ValueError
            Naming the series, what was found and what is needed: for lengths below 1, an empty
            dataset, targets that are not one-dimensional or infinite, double ids, series too
            short, histories without any observed value, and covariates that do not reach the end
            of the last window.
        TypeError
            For what is no dataset of GluonTS: a pandas frame, say.
        """
        for name, value in (
            ("prediction_length", prediction_length),
            ("windows", count),
            ("stride", stride),
        ):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
        entries = list(dataset)
        if strange := [entry for entry in entries if not isinstance(entry, Mapping)]:
            raise TypeError(
                "the dataset must be one of GluonTS: its entries are dicts with start and target; "
                f"found {type(strange[0]).__name__}. tsbnn.from_frame makes one of a pandas frame"
            )
        series = tuple(
            {**entry, "item_id": series_name(entry, index)} for index, entry in enumerate(entries)
        )
        if not series:
            raise ValueError("the dataset holds no series")
        named = any(entry.get("item_id") is not None for entry in entries)
        seen: set[str] = set()
        for entry in series:
            if entry["item_id"] in seen:
                raise ValueError(f"two series have the item_id {entry['item_id']!r}")
            seen.add(entry["item_id"])
        windows = cls(_observed(series), int(prediction_length), int(count), int(stride), named)
        for entry in windows.series:
            windows._check(entry)
        return windows

    def _check(self, entry: Entry) -> None:
        series, target = f"series {entry['item_id']!r}", np.asarray(entry["target"])
        needed = self._tail + 1
        if len(target) < needed:
            raise ValueError(
                f"{series} has {len(target)} points, but {self.count} windows of "
                f"{self.prediction_length} points with stride {self.stride} and a history of one "
                f"point need {needed}: use fewer windows, or leave the series out"
            )
        if np.isinf(target).any():
            raise ValueError(
                f"{series}: the target is infinite at step {np.isinf(target).argmax()}"
            )
        first = len(target) - self._tail
        if np.isnan(target[:first]).all():
            raise ValueError(
                f"{series} has no observed value among the {first} points before its first window"
            )
        for key in (*_KNOWN, *_PAST):
            if entry.get(key) is None:
                continue
            steps = np.asarray(entry[key]).shape[-1]
            if steps < len(target):
                raise ValueError(
                    f"{series}: {key} has {steps} steps, but must have {len(target)} to reach "
                    "the end of the last window"
                )

    @property
    def _tail(self) -> int:
        """Steps from the first window's start to the series' end."""
        return self.prediction_length + (self.count - 1) * self.stride

    def start(self, index: int) -> tuple[Entry, int]:
        """Series of the window at this place, and the step at which the window starts."""
        entry = self.series[index // self.count]
        length = len(entry["target"])
        return entry, length - self._tail + (index % self.count) * self.stride

    def __len__(self) -> int:
        return len(self.series) * self.count

    def __getitem__(self, index: int) -> Entry:
        """History before one window, by its place."""
        entry, start = self.start(range(len(self))[index])
        return history(entry, start, self.prediction_length)

    def __iter__(self) -> Iterator[Entry]:
        return (self[index] for index in range(len(self)))

    def labels(self) -> Array:
        """What the windows hold, ``num_windows x prediction_length``; NaN where unobserved."""
        found = np.empty((len(self), self.prediction_length))
        for index in range(len(self)):
            entry, start = self.start(index)
            found[index] = entry["target"][start : start + self.prediction_length]
        return found

    def index(self) -> pd.DataFrame:
        """One row per window: ``item_id``, ``window`` (0 is the first) and ``start`` (Period)."""
        rows = []
        for place in range(len(self)):
            entry, start = self.start(place)
            rows.append((entry["item_id"], place % self.count, _after(entry["start"], start)))
        # As objects: pandas announces the end of its period type for business days.
        frame = pd.DataFrame(rows, columns=["item_id", "window", "start"], dtype=object)
        return frame.astype({"window": "int64"})

    def training(self) -> list[Entry]:
        """Every series up to the start of its first window, covariates too."""
        return [history(*self.start(place * self.count)) for place in range(len(self.series))]

    def check_training(self, dataset: Iterable[Entry]) -> list[Entry]:
        """Make sure that training data of the caller's own hold no label of these windows.

        Returns
        -------
        list of dict
            The entries.

        Raises
        ------
        ValueError
            If there is no series, if one goes on beyond the start of its first test window, or if
            one cannot be told to be a test series or not, because only one of them has an id.
        """
        entries = list(dataset)
        if not entries:
            raise ValueError("training_data hold no series")
        starts = {}
        for place in range(len(self.series)):
            entry, first = self.start(place * self.count)
            starts[entry["item_id"]] = _after(entry["start"], first)
        for position, entry in enumerate(entries):
            item = series_name(entry, position)
            self._check_name(entry, item, item in starts)
            end = _after(entry["start"], len(entry["target"]))
            if item in starts and end > starts[item]:
                raise ValueError(
                    f"training_data: series {item!r} ends before {end}, but its first test window "
                    f"starts at {starts[item]}: a model would be trained on labels"
                )
        return entries

    def _check_name(self, entry: Entry, item: str, known: bool) -> None:
        """Refuse a training series of which nobody can say whether it is a test series."""
        unnamed = entry.get("item_id") is None
        if unnamed and self.named:
            raise ValueError(
                f"training_data: the series at place {item} has no item_id, but the dataset's "
                "series have: it cannot be checked that no model is trained on labels. Give it "
                "the item_id that it has in the dataset"
            )
        if not unnamed and not self.named and not known:
            raise ValueError(
                f"training_data: series {item!r} has an item_id, but the dataset's series have "
                "none: it cannot be checked that no model is trained on labels. Give those of the "
                "dataset their item_id"
            )


def _observed(series: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The series without the steps at their end at which none has a value."""
    open_ends = []
    for entry in series:
        target = np.asarray(entry["target"])
        if target.ndim != 1:
            raise ValueError(
                f"series {entry['item_id']!r}: the target must have one dimension, "
                f"not {target.shape}"
            )
        seen = np.flatnonzero(~np.isnan(target))
        if len(seen):
            open_ends.append(len(target) - 1 - int(seen[-1]))
    if not (cut := min(open_ends, default=0)):
        return series
    return tuple({**entry, "target": entry["target"][:-cut]} for entry in series)


def _after(start: pd.Period, steps: int) -> pd.Period:
    """Period some steps later; pandas' announcement about business days is not for the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Period with BDay freq", FutureWarning)
        return start + steps


def series_name(entry: Entry, position: int) -> str:
    """Id of a series as text; its place in the dataset where it has none."""
    item = entry.get("item_id")
    return str(position) if item is None else str(item)
