"""Errors that say where the data is wrong: series, column, row, value, and what would be right."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path


class FrameError(ValueError):
    """A frame that cannot become a dataset; the message says where and what would be right.

    Attributes
    ----------
    series
        The item id of the series, or None where the error concerns the whole frame.
    column
        The column's name, or None.
    row
        The row's label in the index of the frame that was passed, or None.
    value
        The value found, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        series: Hashable = None,
        column: Hashable = None,
        row: Hashable = None,
        value: object = None,
    ) -> None:
        super().__init__(message)
        self.series = series
        self.column = column
        self.row = row
        self.value = value


class EmptyFrameError(FrameError):
    """The frame has no rows."""


class ColumnError(FrameError):
    """A column is unknown, there twice, or given two roles."""


class ItemIdError(FrameError):
    """A row belongs to no series."""


class TimestampError(FrameError):
    """A timestamp is missing, is no date, or has a time zone with clock changes."""


class DuplicateTimestampError(TimestampError):
    """A series has two rows for one time step."""


class FrequencyError(FrameError):
    """A frequency is unknown, or cannot be inferred."""


class MixedFrequencyError(FrequencyError):
    """Two series of the frame have different frequencies."""


class OffGridError(FrequencyError):
    """A timestamp does not lie on its series' regular grid."""


class TargetError(FrameError):
    """A target value is not a finite number."""


class MissingTargetError(TargetError):
    """A series has no observed target at all."""


class CovariateError(FrameError):
    """A known or past covariate is missing somewhere or is not a finite number."""


class FutureCovariateError(CovariateError):
    """The known covariates do not reach through the forecast horizon."""


class StaticFeatureError(FrameError):
    """A static feature is missing, unknown, or changes within its series."""


class FrameFileError(ValueError):
    """A file cannot be read as a table."""


class UnknownDatasetError(ValueError):
    """No dataset of that name is registered."""


class DatasetFileError(ValueError):
    """A file of a registered dataset is absent, or is not the one that was registered.

    Attributes
    ----------
    file
        The file's path below ``folder``.
    folder
        The folder it was looked for in, or downloaded to.
    url
        Where the file comes from.
    """

    def __init__(self, message: str, *, file: str, folder: Path, url: str) -> None:
        super().__init__(message)
        self.file = file
        self.folder = folder
        self.url = url

    def __reduce__(self) -> tuple[object, ...]:
        return (_dataset_file_error, (type(self), str(self), self.file, self.folder, self.url))


class DownloadError(DatasetFileError):
    """A file of a registered dataset cannot be downloaded, or what came is not the file."""


def _dataset_file_error(
    kind: type[DatasetFileError], message: str, file: str, folder: Path, url: str
) -> DatasetFileError:
    return kind(message, file=file, folder=folder, url=url)
