"""A registered dataset, loaded and cut into what trains, what tunes and what tests."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pandas as pd

from tsbnn.datasets.frame import from_frame
from tsbnn.datasets.frame_dataset import FrameDataset
from tsbnn.datasets.locations import find_files
from tsbnn.datasets.registry import find_spec
from tsbnn.datasets.spec import Spec


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset with its split.

    ======================  ===============================  =========================
    run                     trains on                        forecasts the windows of
    ======================  ===============================  =========================
    test                    ``training``                     ``dataset``
    tuning                  ``validation_training``          ``validation``
    ======================  ===============================  =========================

    The windows of ``dataset`` and ``validation`` are the last ``windows`` and
    ``validation_windows`` of ``prediction_length`` steps each, ``stride`` steps apart. No test
    label is in any of the other three.

    Attributes
    ----------
    spec
        What is known about it.
    dataset
        Full series, through the last test label.
    training
        What a model trains on for the test.
    validation
        Series through the last validation label; they end before the first test label.
    validation_training
        What a model trains on for tuning: the series before the first validation label.
    """

    spec: Spec
    dataset: FrameDataset
    training: FrameDataset
    validation: FrameDataset
    validation_training: FrameDataset

    @property
    def prediction_length(self) -> int:
        """Steps per window."""
        return self.spec.prediction_length

    @property
    def windows(self) -> int:
        """Test windows per series."""
        return self.spec.windows

    @property
    def validation_windows(self) -> int:
        """Validation windows per series."""
        return self.spec.validation_windows

    @property
    def stride(self) -> int:
        """Steps from one window's start to the next one's."""
        return self.spec.stride

    @property
    def season(self) -> int:
        """Steps per season."""
        return self.spec.season

    @property
    def freq(self) -> str:
        """Frequency alias of the installed pandas, for GluonTS."""
        return self.dataset.freq


def load_frame(
    name: str, root: str | os.PathLike[str] | None = None, *, quiet: bool = False
) -> pd.DataFrame:
    """A registered dataset as a tidy frame, cut to its split.

    Parameters
    ----------
    name
        Its name, see :func:`~tsbnn.datasets.specs`.
    root
        Folder of its files; None takes the bundled ones, those in the folder that
        ``TSBNN_DATA_DIR`` names, and those in the user's cache folder, to which absent ones are
        downloaded first (see :func:`~tsbnn.datasets.download`).
    quiet
        Whether to leave out the bar that a terminal shows for a download of more than two seconds.

    Returns
    -------
    pandas.DataFrame
        Columns item_id, timestamp, target and the known covariates.

    Raises
    ------
    UnknownDatasetError
        If no dataset has that name.
    DatasetFileError
        If a file is absent or altered, or (as its subclass ``DownloadError``) cannot be
        downloaded.
    """
    spec = find_spec(name)
    return spec.parser(find_files(spec, root, quiet=quiet))


def load(
    name: str, root: str | os.PathLike[str] | None = None, *, quiet: bool = False
) -> LoadedDataset:
    """A registered dataset as GluonTS datasets, with its split.

    Parameters
    ----------
    name, root, quiet
        As in :func:`load_frame`.

    Returns
    -------
    LoadedDataset
        Its full series, and those for training and tuning.

    Raises
    ------
    UnknownDatasetError, DatasetFileError
        As in :func:`load_frame`.

    Examples
    --------
    >>> weather = load("seattle_weather")
    >>> weather.freq, weather.prediction_length, weather.windows, len(weather.dataset)
    ('D', 14, 26, 4)
    """
    spec = find_spec(name)
    dataset = from_frame(
        load_frame(name, root, quiet=quiet),
        item_id="item_id",
        timestamp="timestamp",
        freq=spec.freq,
        known_covariates=spec.known_covariates,
    ).training
    validation = dataset.without_last(spec.test_steps)
    validation_training = validation.without_last(spec.validation_steps)
    return LoadedDataset(
        spec=spec,
        dataset=dataset,
        training=validation if spec.trains_on_validation else validation_training,
        validation=validation,
        validation_training=validation_training,
    )
