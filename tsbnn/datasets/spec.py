"""What is known about a registered dataset: source, licence, checksum, frequency, split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class DataFile:
    """One file of a dataset.

    Parameters
    ----------
    path
        Its path below the data folder.
    url
        Where these very bytes come from: a download for a public set, a page for a bundled one.
    sha256
        Of its bytes, in hexadecimal.
    """

    path: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Spec:
    """A registered dataset.

    The last ``windows`` test windows of ``prediction_length`` steps each, ``stride`` steps apart,
    end with the parsed series. Before the first of them lie ``validation_windows`` windows of the
    same kind for tuning.

    Parameters
    ----------
    name
        Its name in :func:`~tsbnn.datasets.load`.
    description
        One line.
    source
        Page of its source.
    licence
        As its source states it.
    files
        Its files.
    parser
        From their paths to a tidy frame: item_id, timestamp, target, known covariates; cut to the
        split.
    freq
        Frequency, in the newer vocabulary of pandas.
    season
        Steps per season, for the seasonal naive forecast and MASE.
    num_series
        How many series it has.
    prediction_length
        Steps per window.
    windows
        Test windows per series.
    validation_windows
        Validation windows per series.
    split
        The split in words.
    known_covariates
        Columns known ahead.
    units
        Units of the targets, by item id; for the axes of plots.
    bundled
        Whether its files come with the package.
    trains_on_validation
        Whether, for the test, a model trains on the validation range too.
    """

    name: str
    description: str
    source: str
    licence: str
    files: tuple[DataFile, ...]
    parser: Callable[[Sequence[Path]], pd.DataFrame]
    freq: str
    season: int
    num_series: int
    prediction_length: int
    windows: int
    validation_windows: int
    split: str
    known_covariates: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    bundled: bool = False
    trains_on_validation: bool = True

    @property
    def stride(self) -> int:
        """Steps from one window's start to the next one's: windows do not overlap."""
        return self.prediction_length

    @property
    def test_steps(self) -> int:
        """Steps of the test range."""
        return self.prediction_length + (self.windows - 1) * self.stride

    @property
    def validation_steps(self) -> int:
        """Steps of the validation range."""
        return self.prediction_length + (self.validation_windows - 1) * self.stride
