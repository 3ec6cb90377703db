"""Downloads from a local server: cut, stalled, wrong, continued, side by side."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rich.console

from tests.datasets.source import Source, serving
from tsbnn.datasets import DataFile, DownloadError, downloading
from tsbnn.datasets.downloading import fetch, sha256

CONTENT = np.random.default_rng(0).bytes(200_000)
CUT = 150_000


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setenv("no_proxy", "*")
    with serving(Source(CONTENT)) as found:
        yield found


def there(folder: Path) -> list[str]:
    """What lies in the file's folder, without the locks that older versions of filelock leave."""
    return sorted(p.name for p in (folder / "ett").iterdir() if p.suffix != ".lock")


def part(folder: Path, source: Source) -> Path:
    return folder / "ett" / f".a.csv.{source.sha256[:8]}.part"


def failing(source: Source, folder: Path, words: str) -> DownloadError:
    """Fetch, which must fail, with an error that says these words, names everything and helps."""
    with pytest.raises(DownloadError, match=words) as caught:
        fetch("tiny", source.file, folder)
    error = caught.value
    for named in ("dataset 'tiny'", source.name, source.url, "TSBNN_DATA_DIR", "Try again"):
        assert named in str(error)
    assert f"put the file, unchanged, at {folder / source.name}" in str(error)
    assert (error.file, error.folder, error.url) == (source.name, folder, source.url)
    assert not (folder / source.name).exists()
    return error


def test_a_file_is_downloaded_once(source: Source, tmp_path: Path) -> None:
    for _ in range(2):
        path = fetch("tiny", source.file, tmp_path)
        assert path == tmp_path / "ett" / "a.csv"
        assert path.read_bytes() == CONTENT
    assert source.asked == [None]
    assert there(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("says_length", [False, True])
def test_a_server_may_not_say_the_length(source: Source, tmp_path: Path, says_length: bool) -> None:
    source.says_length = says_length
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT


def test_a_cut_download_is_continued(source: Source, tmp_path: Path) -> None:
    source.cut_after = CUT
    failing(source, tmp_path, "the connection was cut after 150,000 of 200,000 bytes")
    assert there(tmp_path) == [part(tmp_path, source).name]
    source.cut_after = CUT + 10_000
    failing(source, tmp_path, "the connection was cut after 160,000 of 200,000 bytes")
    source.cut_after = None
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT
    assert source.asked == [None, "bytes=150000-", "bytes=160000-"]
    assert source.sent == [150_000, 10_000, 40_000]
    assert there(tmp_path) == ["a.csv"]


def test_a_cut_download_that_cannot_be_continued_leaves_nothing(
    source: Source, tmp_path: Path
) -> None:
    source.ranges = source.says_ranges = False
    source.cut_after = CUT
    failing(source, tmp_path, "cut after 150,000")
    assert there(tmp_path) == []
    source.cut_after = None
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT
    assert source.asked == [None, None]


def test_a_server_that_ignores_the_range_gives_all_again(source: Source, tmp_path: Path) -> None:
    source.ranges, source.cut_after = False, CUT
    failing(source, tmp_path, "cut")
    source.cut_after = None
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT
    assert source.sent == [150_000, 200_000]


@pytest.mark.parametrize("kept", [CONTENT, CONTENT + b"more", b"other" * 20])
def test_parts_that_are_whole_too_long_or_damaged(
    source: Source, tmp_path: Path, kept: bytes
) -> None:
    part(tmp_path, source).parent.mkdir()
    part(tmp_path, source).write_bytes(kept)
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT
    assert source.asked == [f"bytes={len(kept)}-"] + [None] * (kept != CONTENT)
    assert there(tmp_path) == ["a.csv"]


def test_parts_of_another_version_are_not_continued(source: Source, tmp_path: Path) -> None:
    source.cut_after = CUT
    failing(source, tmp_path, "cut")
    source.cut_after, source.content = None, CONTENT[::-1]
    source.__post_init__()
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT[::-1]
    assert source.asked == [None, None]


def test_other_bytes_are_refused(source: Source, tmp_path: Path) -> None:
    source.content = CONTENT[:-1]
    error = failing(source, tmp_path, "not the registered file")
    assert source.sha256 in str(error)
    assert sha256_of(CONTENT[:-1], tmp_path) in str(error)
    assert there(tmp_path) == []


def sha256_of(content: bytes, folder: Path) -> str:
    (folder / "other").write_bytes(content)
    return sha256(folder / "other")


def test_an_altered_file_is_replaced(source: Source, tmp_path: Path) -> None:
    path = fetch("tiny", source.file, tmp_path)
    path.write_bytes(b"altered")
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 500])
def test_the_servers_refusal_is_told(source: Source, tmp_path: Path, status: int) -> None:
    source.status = status
    failing(source, tmp_path, f"the server answered {status} [A-Z]")
    assert there(tmp_path) == []


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with serving(Source(CONTENT)) as source:
        pass
    failing(source, tmp_path, r"there is no connection \(.*refused.*\)\. Try")
    assert there(tmp_path) == []


def test_no_such_name(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    file = DataFile("ett/a.csv", "http://tsbnn.invalid/a.csv", source.sha256)
    with pytest.raises(DownloadError, match=r"tsbnn.invalid/a.csv: there is no .*service not kn"):
        fetch("tiny", file, tmp_path)


def test_a_silent_server(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PATIENCE", 0.5)
    source.silent = True
    failing(source, tmp_path, r"the server did not answer within 0\.5 s")


def test_a_stalled_download_is_ended_and_continued(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.stall_after = CUT
    begun = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(downloading, "PATIENCE", 0.5)
        failing(source, tmp_path, r"the download stalled: nothing came for 0\.5 s")
    assert time.monotonic() - begun < 5
    source.stall_after = None
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT
    assert source.asked == [None, "bytes=150000-"]


def test_a_slow_download_is_ended(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something comes all the time, but it would take forever."""
    source.drip = 10
    with monkeypatch.context() as patch:
        patch.setattr(downloading, "PATIENCE", 0.5)
        patch.setattr(downloading, "SLOWEST", 10_000)
        failing(source, tmp_path, "the download is too slow: [0-9]+ bytes in [01] s")
    assert part(tmp_path, source).stat().st_size > 0
    source.drip = 20_000
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written(source: Source, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    failing(source, tmp_path / "file", r"it cannot be written to .*/file/ett \(Not a directory\)")
    assert source.asked == []


def test_a_file_that_is_there_needs_no_writing(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cache that came with a container, say."""

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = fetch("tiny", source.file, tmp_path)
    monkeypatch.setattr(Path, "mkdir", read_only)
    monkeypatch.setattr("filelock.FileLock", read_only)
    assert fetch("tiny", source.file, tmp_path) == path
    path.unlink()
    failing(source, tmp_path, r"cannot be written to .*/ett \(Permission denied\)")


@pytest.mark.parametrize("ranges", [False, True])
def test_an_interrupt_leaves_only_what_can_be_continued(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    def interrupted(response: object) -> Iterator[bytes]:
        yield CONTENT[:CUT]
        raise KeyboardInterrupt

    source.says_ranges = ranges
    with monkeypatch.context() as patch:
        patch.setattr(downloading, "_blocks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch("tiny", source.file, tmp_path)
    assert there(tmp_path) == [part(tmp_path, source).name] * ranges
    assert fetch("tiny", source.file, tmp_path).read_bytes() == CONTENT
    assert source.asked == [None, "bytes=150000-" if ranges else None]


def test_threads_wait_for_each_other(source: Source, tmp_path: Path) -> None:
    source.drip = 20_000
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch("tiny", source.file, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / "ett" / "a.csv"] * 4
    assert source.asked == [None]


def fetching(source: Source, folder: Path) -> subprocess.Popen[bytes]:
    program = (
        "from pathlib import Path\n"
        "from tsbnn.datasets import DataFile\n"
        "from tsbnn.datasets.downloading import fetch\n"
        f"file = DataFile({source.name!r}, {source.url!r}, {source.sha256!r})\n"
        "print('ready', flush=True)\n"
        f"fetch('tiny', file, Path({str(folder)!r}))"
    )
    started = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    return started


def test_processes_wait_for_each_other_and_outlive_a_killed_one(
    source: Source, tmp_path: Path
) -> None:
    source.stall_after = CUT
    first = fetching(source, tmp_path)
    kept = part(tmp_path, source)
    until = time.monotonic() + 30
    while not (kept.is_file() and kept.stat().st_size) and time.monotonic() < until:
        time.sleep(0.01)
    second = fetching(source, tmp_path)
    source.stall_after = None
    time.sleep(0.3)
    assert (first.poll(), second.poll(), len(source.asked)) == (None, None, 1)
    first.send_signal(signal.SIGKILL)
    for process, killed in ((first, True), (second, False)):
        process.communicate(timeout=30)
        assert bool(process.returncode) is killed
    assert (tmp_path / source.name).read_bytes() == CONTENT
    assert there(tmp_path) == ["a.csv"]
    assert len(source.asked) == 2
    assert source.asked[1] is not None


@pytest.mark.parametrize(
    ("after", "quiet", "shown"), [(0.0, False, True), (0.0, True, False), (9.0, False, False)]
)
def test_a_bar_for_what_takes_longer(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: float,
    quiet: bool,
    shown: bool,
) -> None:
    screen = io.StringIO()
    terminal = partial(
        rich.console.Console, file=screen, force_terminal=True, force_interactive=True, width=100
    )
    monkeypatch.setattr(rich.console, "Console", lambda stderr: terminal())
    monkeypatch.setattr(downloading, "BAR_AFTER", after)
    fetch("tiny", source.file, tmp_path, quiet=quiet)
    assert ("downloading a.csv" in screen.getvalue()) is shown
    assert bool(screen.getvalue()) is shown


def test_nothing_is_shown_without_a_terminal(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(downloading, "BAR_AFTER", 0.0)
    fetch("tiny", source.file, tmp_path)
    assert capfd.readouterr() == ("", "")
