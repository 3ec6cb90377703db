"""Files of datasets: bundled, in TSBNN_DATA_DIR, in the cache, downloaded; altered ones named."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.datasets.source import Source, serving
from tsbnn.datasets import (
    DatasetFileError,
    DownloadError,
    UnknownDatasetError,
    download,
    load,
    load_frame,
    locate,
    locations,
    registry,
    specs,
)
from tsbnn.datasets.locations import bundled_folder, cache_folder

BUNDLED = [name for name, spec in specs().items() if spec.bundled]
PUBLIC = [name for name, spec in specs().items() if not spec.bundled]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no TSBNN_DATA_DIR."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(locations, "cache_folder", lambda: folder)
    monkeypatch.delenv("TSBNN_DATA_DIR", raising=False)
    return folder


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """A public dataset "tiny", of the same series as "elnino", on a local server."""
    monkeypatch.setenv("no_proxy", "*")
    content = (bundled_folder() / "elnino.csv").read_bytes()
    with serving(Source(content, name="tiny/a.csv")) as found:
        tiny = dataclasses.replace(
            specs()["elnino"], name="tiny", files=(found.file,), bundled=False
        )
        monkeypatch.setitem(registry._SPECS, "tiny", tiny)
        yield found


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def test_public_sets_are_downloaded_on_first_use(source: Source, cache: Path) -> None:
    assert locate("tiny") == {cache / "tiny" / "a.csv": False}
    pd.testing.assert_frame_equal(load_frame("tiny"), load_frame("elnino"))
    assert load("tiny", quiet=True).dataset.lengths.tolist() == [732]
    assert source.asked == [None]
    assert locate("tiny") == {cache / "tiny" / "a.csv": True}


def test_downloads_without_loading(source: Source, cache: Path) -> None:
    (path,) = download("tiny", quiet=True)
    assert path == cache / "tiny" / "a.csv"
    assert path.read_bytes() == source.content
    assert download("tiny") == [path]
    assert source.asked == [None]
    path.write_bytes(b"altered")
    assert locate("tiny") == {path: False}
    assert download("tiny") == [path]
    assert path.read_bytes() == source.content


def test_failed_downloads_are_dataset_file_errors(source: Source, cache: Path) -> None:
    source.status = 404
    with pytest.raises(DatasetFileError, match="404 Not Found") as caught:
        load("tiny")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is DownloadError
    assert (str(again), again.file, again.folder) == (str(caught.value), "tiny/a.csv", cache)


def test_the_data_dir_comes_first_and_the_cache_second(
    source: Source, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("TSBNN_DATA_DIR", str(own))
    (cached,) = download("tiny")
    assert cached == cache / "tiny" / "a.csv"  # nothing is written to one's own folder
    assert not list(own.iterdir())
    shutil.copytree(cache / "tiny", own / "tiny")
    assert download("tiny") == [own / "tiny" / "a.csv"]
    assert locate("tiny") == {own / "tiny" / "a.csv": True}
    (own / "tiny" / "a.csv").write_bytes(b"altered")
    assert locate("tiny") == {own / "tiny" / "a.csv": False}
    with pytest.raises(DatasetFileError, match=r"\(TSBNN_DATA_DIR\) is not the registered one"):
        download("tiny")
    assert (own / "tiny" / "a.csv").read_bytes() == b"altered"
    assert source.asked == [None]


@pytest.mark.usefixtures("no_network")
def test_a_data_dir_that_is_no_folder_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSBNN_DATA_DIR", str(tmp_path / "typo"))
    for use in (load, download, locate):
        with pytest.raises(DatasetFileError, match=r"TSBNN_DATA_DIR=.*typo is not a folder"):
            use("etth1")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets_never_touch_the_network(
    name: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSBNN_DATA_DIR", str(tmp_path))
    assert locate(name) == {bundled_folder() / f"{name}.csv": True}
    assert download(name) == list(locate(name))
    assert len(load_frame(name))
    assert not cache.exists()


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", PUBLIC)
def test_public_files_in_the_data_dir_never_touch_the_network(
    name: str, cache: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSBNN_DATA_DIR", str(data_dir))
    assert download(name) == [data_dir / file.path for file in specs()[name].files]
    assert all(locate(name).values())


def test_the_cache_folder_is_the_users() -> None:
    assert cache_folder().is_absolute()
    assert cache_folder().parts[-1] == "datasets"
    assert "tsbnn" in cache_folder().parts


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", specs())
def test_a_file_absent_from_the_folder_given_is_named_with_its_source(
    name: str, tmp_path: Path
) -> None:
    file = specs()[name].files[0]
    with pytest.raises(DatasetFileError) as caught:
        load(name, root=tmp_path)
    for part in (repr(name), file.path, str(tmp_path), file.url, "absent"):
        assert part in str(caught.value)
    assert (caught.value.file, caught.value.folder) == (file.path, tmp_path)
    assert caught.value.url == file.url
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("name", PUBLIC)
def test_an_altered_file_is_refused(name: str, tmp_path: Path) -> None:
    file = specs()[name].files[0]
    path = tmp_path / file.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other bytes")
    with pytest.raises(DatasetFileError, match="not the registered one") as caught:
        load(name, root=tmp_path)
    assert file.sha256 in str(caught.value)
    assert file.url in str(caught.value)


def test_an_altered_bundled_file_is_refused(tmp_path: Path) -> None:
    text = (bundled_folder() / "elnino.csv").read_text()
    (tmp_path / "elnino.csv").write_text(text.replace("23.11", "23.12", 1))
    with pytest.raises(DatasetFileError, match=r"elnino\.csv"):
        load("elnino", root=tmp_path)
    (tmp_path / "elnino.csv").write_bytes((bundled_folder() / "elnino.csv").read_bytes())
    assert len(load_frame("elnino", root=tmp_path)) == 732


def test_unknown_names() -> None:
    for use in (load, download, locate):
        with pytest.raises(UnknownDatasetError, match="did you mean 'seattle_weather'") as caught:
            use("seatle_weather")
        assert all(name in str(caught.value) for name in specs())
