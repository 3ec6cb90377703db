"""One file of a public dataset from its source: checked, resumed where it was cut, whole or not."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tsbnn import __version__
from tsbnn.datasets.errors import DownloadError
from tsbnn.datasets.spec import DataFile

#: Seconds within which a server must answer, and over which its speed is judged.
PATIENCE = 30.0
#: Bytes per second; below it a download counts as stalled.
SLOWEST = 1000
#: Seconds after which a bar is shown.
BAR_AFTER = 2.0

_BLOCK = 1 << 16
_Told = Callable[[int, int | None], None]


class _StoppedError(Exception):
    """Why a download did not come to its end, in words."""


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_registered(path: Path, file: DataFile) -> bool:
    """Whether the registered file lies there."""
    return path.is_file() and sha256(path) == file.sha256


def fetch(dataset: str, file: DataFile, folder: Path, *, quiet: bool = False) -> Path:
    """Download a file, unless it is there already.

    The bytes go to a part file beside the final one, which gets its name when their sha256 is
    right. Where a download is cut, the next one continues it if the server takes ranges (RFC 9110,
    section 14); a part file of no use is removed. Processes that want the same file wait for each
    other, and only the first one downloads.

    Parameters
    ----------
    dataset
        Name of the dataset, for messages.
    file
        The file.
    folder
        Where it belongs; ``file.path`` is below it.
    quiet
        Whether to leave out the bar that a terminal shows after two seconds.

    Returns
    -------
    pathlib.Path
        Its path.

    Raises
    ------
    DownloadError
        Naming file and URL, what happened, and what to do.
    """
    from filelock import FileLock

    path = folder / file.path
    if is_registered(path, file):  # looked at first: a cache that is there may be read-only
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")), _bar(path.name, quiet) as told:
            if not is_registered(path, file):
                _download(file, path, told)
    except _StoppedError as error:
        raise _error(dataset, file, folder, str(error)) from error.__cause__
    except OSError as error:
        said = f"it cannot be written to {path.parent} ({error.strerror or error})"
        raise _error(dataset, file, folder, said) from error
    return path


def _error(dataset: str, file: DataFile, folder: Path, said: str) -> DownloadError:
    return DownloadError(
        f"dataset {dataset!r}: the file {file.path} could not be downloaded from {file.url}: "
        f"{said}. Try again, or put the file, unchanged, at {folder / file.path} (or at "
        f"{file.path} in a folder that TSBNN_DATA_DIR names).",
        file=file.path,
        folder=folder,
        url=file.url,
    )


def _download(file: DataFile, path: Path, told: _Told) -> None:
    # Named by the hash too: what is left of another version of the file is never continued.
    part = path.with_name(f".{path.name}.{file.sha256[:8]}.part")
    continued = part.is_file()
    _transfer(file.url, part, told)
    if continued and sha256(part) != file.sha256:
        part.unlink()
        _transfer(file.url, part, told)
    found = sha256(part)
    if found != file.sha256:
        part.unlink()
        raise _StoppedError(
            f"what came is not the registered file: its sha256 is {found}, registered is "
            f"{file.sha256}"
        )
    os.replace(part, path)


def _transfer(url: str, part: Path, told: _Told) -> None:
    """Everything that is missing in the part file; it stays after a cut if it can be continued."""
    done = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": f"tsbnn/{__version__}"}
    if done:
        headers["Range"] = f"bytes={done}-"
    response = _open(urllib.request.Request(url, headers=headers))
    if response is None:  # there is nothing after these bytes
        return
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            done = 0
        ranges = done > 0 or response.headers.get("Accept-Ranges") == "bytes"
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        try:
            with part.open("ab" if done else "wb") as out:
                for block in _blocks(response):
                    out.write(block)
                    done += len(block)
                    told(done, total)
            if total is not None and done < total:
                raise _StoppedError(f"the connection was cut after {done:,} of {total:,} bytes")
        except BaseException:
            if not ranges:
                part.unlink(missing_ok=True)
            raise


def _open(request: urllib.request.Request) -> http.client.HTTPResponse | None:
    """The server's answer; None if it has nothing in the range asked for."""
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and request.has_header(
            "Range"
        ):
            return None
        raise _StoppedError(f"the server answered {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise _StoppedError(f"the server did not answer within {PATIENCE:g} s") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _StoppedError(f"the server did not answer within {PATIENCE:g} s") from error
        raise _StoppedError(f"there is no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        said = str(error) or type(error).__name__
        raise _StoppedError(f"the server ended the connection ({said})") from error
    return response


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes."""
    since, come = time.monotonic(), 0
    while True:
        try:
            block = response.read1(_BLOCK)
        except TimeoutError as error:
            raise _StoppedError(f"the download stalled: nothing came for {PATIENCE:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise _StoppedError(
                f"the connection was cut ({str(error) or type(error).__name__})"
            ) from (error)
        if not block:
            return
        yield block
        come += len(block)
        passed = time.monotonic() - since
        if passed >= PATIENCE:
            if come < SLOWEST * passed:
                raise _StoppedError(f"the download is too slow: {come:,} bytes in {passed:.0f} s")
            since, come = time.monotonic(), 0


@contextmanager
def _bar(name: str, quiet: bool) -> Iterator[_Told]:
    """A bar on a terminal (stderr) for what takes longer than a moment."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("downloading {task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    silent = quiet or not console.is_interactive
    task, begun = bar.add_task(name, total=None), time.monotonic()

    def told(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)
        if not silent and time.monotonic() - begun > BAR_AFTER:
            bar.start()

    try:
        yield told
    finally:
        if bar.live.is_started:
            bar.stop()
