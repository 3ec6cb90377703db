"""Where the files of a registered dataset lie, and whether they are the right ones."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from tsbnn.datasets.downloading import fetch, is_registered, sha256
from tsbnn.datasets.errors import DatasetFileError
from tsbnn.datasets.registry import find_spec
from tsbnn.datasets.spec import DataFile, Spec

DATA_DIR_VARIABLE = "TSBNN_DATA_DIR"


def bundled_folder() -> Path:
    """The folder of the bundled series: ``tsbnn/_data`` in a wheel, ``data`` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"


def cache_folder() -> Path:
    """The folder that downloads go to, in the user's cache (``~/.cache/tsbnn/datasets``, say)."""
    return platformdirs.user_cache_path("tsbnn", appauthor=False) / "datasets"


def locate(name: str) -> dict[Path, bool]:
    """Where the files of a registered dataset lie, or will lie once downloaded.

    Parameters
    ----------
    name
        Its name, see :func:`~tsbnn.datasets.specs`.

    Returns
    -------
    dict of pathlib.Path to bool
        One path per file, in the order of ``spec.files``, and whether the registered file is there.

    Raises
    ------
    UnknownDatasetError
        If no dataset has that name.
    DatasetFileError
        If ``TSBNN_DATA_DIR`` names no folder.

    Examples
    --------
    >>> [(path.name, there) for path, there in locate("co2").items()]
    [('co2.csv', True)]
    """
    spec = find_spec(name)
    paths = [_place(spec, file)[0] / file.path for file in spec.files]
    return {path: is_registered(path, file) for path, file in zip(paths, spec.files, strict=True)}


def download(name: str, *, quiet: bool = False) -> list[Path]:
    """Get the files of a registered dataset, without loading it.

    Bundled files, files in the folder that ``TSBNN_DATA_DIR`` names and files downloaded before are
    used as they are; the others are downloaded into the user's cache folder.

    Parameters
    ----------
    name
        Its name, see :func:`~tsbnn.datasets.specs`.
    quiet
        Whether to leave out the bar that a terminal shows for a download of more than two seconds.

    Returns
    -------
    list of pathlib.Path
        One path per file, in the order of ``spec.files``; their sha256 are right.

    Raises
    ------
    UnknownDatasetError
        If no dataset has that name.
    DownloadError
        If a file cannot be downloaded, or is not the registered one; the message says what to do.
    DatasetFileError
        If a file in the folder that ``TSBNN_DATA_DIR`` names is altered.
    """
    return find_files(find_spec(name), quiet=quiet)


def find_files(
    spec: Spec, root: str | os.PathLike[str] | None = None, *, quiet: bool = False
) -> list[Path]:
    """The files of a dataset, each checked against its registered sha256.

    Parameters
    ----------
    spec
        The dataset.
    root
        Folder that has them; None finds them as :func:`download` does.
    quiet
        As in :func:`download`.

    Returns
    -------
    list of pathlib.Path
        One path per file, in the order of ``spec.files``.

    Raises
    ------
    DatasetFileError, DownloadError
        If a file is absent, altered or cannot be downloaded; the message names file, folder and
        source.
    """
    if root is not None:
        return [_checked(spec, file, Path(root), "the folder given") for file in spec.files]
    paths = []
    for file in spec.files:
        folder, origin = _place(spec, file)
        if origin is None:
            paths.append(fetch(spec.name, file, folder, quiet=quiet))
        else:
            paths.append(_checked(spec, file, folder, origin))
    return paths


def _place(spec: Spec, file: DataFile) -> tuple[Path, str | None]:
    """Folder of a file, and what folder it is; None where the file is to be downloaded."""
    if spec.bundled:
        return bundled_folder(), "the folder of the bundled series"
    named = os.environ.get(DATA_DIR_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise DatasetFileError(
                f"dataset {spec.name!r}: {DATA_DIR_VARIABLE}={named} is not a folder; let it name "
                "the folder of the public sets, or unset it to have them downloaded",
                file=file.path,
                folder=Path(named),
                url=file.url,
            )
        if (Path(named) / file.path).is_file():
            return Path(named), DATA_DIR_VARIABLE
    return cache_folder(), None


def _checked(spec: Spec, file: DataFile, folder: Path, origin: str) -> Path:
    path = folder / file.path
    again = (
        "reinstall tsbnn, or restore the file"
        if spec.bundled
        else f"download {file.url} to {path}, unchanged"
    )
    if not path.is_file():
        raise DatasetFileError(
            f"dataset {spec.name!r}: the file {file.path} is absent from {folder} ({origin}). It "
            f"comes from {file.url}; {again}.",
            file=file.path,
            folder=folder,
            url=file.url,
        )
    found = sha256(path)
    if found != file.sha256:
        raise DatasetFileError(
            f"dataset {spec.name!r}: the file {file.path} in {folder} ({origin}) is not the "
            f"registered one: its sha256 is {found}, registered is {file.sha256}. It comes from "
            f"{file.url}; {again}.",
            file=file.path,
            folder=folder,
            url=file.url,
        )
    return path
