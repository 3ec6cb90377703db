"""pandas frames in, GluonTS datasets out; bundled and public series by name."""

from __future__ import annotations

from tsbnn.datasets.errors import (
    ColumnError,
    CovariateError,
    DatasetFileError,
    DownloadError,
    DuplicateTimestampError,
    EmptyFrameError,
    FrameError,
    FrameFileError,
    FrequencyError,
    FutureCovariateError,
    ItemIdError,
    MissingTargetError,
    MixedFrequencyError,
    OffGridError,
    StaticFeatureError,
    TargetError,
    TimestampError,
    UnknownDatasetError,
)
from tsbnn.datasets.files import read_frame
from tsbnn.datasets.frame import from_frame
from tsbnn.datasets.frame_dataset import FrameDataset
from tsbnn.datasets.frequencies import Frequency, parse_frequency
from tsbnn.datasets.holidays import add_holidays
from tsbnn.datasets.loading import LoadedDataset, load, load_frame
from tsbnn.datasets.locations import download, locate
from tsbnn.datasets.registry import specs
from tsbnn.datasets.schema import FrameSchema
from tsbnn.datasets.spec import DataFile, Spec

__all__ = [
    "ColumnError",
    "CovariateError",
    "DataFile",
    "DatasetFileError",
    "DownloadError",
    "DuplicateTimestampError",
    "EmptyFrameError",
    "FrameDataset",
    "FrameError",
    "FrameFileError",
    "FrameSchema",
    "Frequency",
    "FrequencyError",
    "FutureCovariateError",
    "ItemIdError",
    "LoadedDataset",
    "MissingTargetError",
    "MixedFrequencyError",
    "OffGridError",
    "Spec",
    "StaticFeatureError",
    "TargetError",
    "TimestampError",
    "UnknownDatasetError",
    "add_holidays",
    "download",
    "from_frame",
    "load",
    "load_frame",
    "locate",
    "parse_frequency",
    "read_frame",
    "specs",
]
