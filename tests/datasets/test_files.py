"""Files of datasets: found, checked, and named when absent or altered; tables read from disk."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest

from tsbnn.datasets import (
    DatasetFileError,
    FrameFileError,
    UnknownDatasetError,
    from_frame,
    load,
    load_frame,
    read_frame,
    specs,
)
from tsbnn.datasets.files import bundled_folder

PUBLIC = [name for name, spec in specs().items() if not spec.bundled]


@pytest.mark.parametrize("name", specs())
def test_an_absent_file_is_named_with_its_source(name: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", PUBLIC)
def test_without_a_folder_the_message_says_how_to_get_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TSBNN_DATA_DIR", raising=False)
    with pytest.raises(DatasetFileError, match="TSBNN_DATA_DIR is not set") as caught:
        load(name)
    for file in specs()[name].files:
        assert f"{file.url} to FOLDER/{file.path}" in str(caught.value)


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSBNN_DATA_DIR", str(tmp_path))
    with pytest.raises(DatasetFileError, match=r"\(TSBNN_DATA_DIR\)") as caught:
        load("etth1")
    assert caught.value.folder == tmp_path
    assert len(load("elnino").dataset) == 1  # bundled sets do not look there


def test_unknown_names() -> None:
    with pytest.raises(UnknownDatasetError, match="did you mean 'seattle_weather'") as caught:
        load("seatle_weather")
    assert all(name in str(caught.value) for name in specs())


FRAME = pd.DataFrame({"day": ["2024-01-01", "2024-01-02", "2024-01-03"], "sold": [1.5, None, 3.0]})


@pytest.mark.parametrize(
    ("name", "separator"),
    [("a.csv", ","), ("a.csv.gz", ","), ("a.tsv", "\t"), ("a.txt", ";"), ("A.CSV", ";")],
)
def test_text_tables(name: str, separator: str, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / name, sep=separator, index=False)
    frame = read_frame(tmp_path / name)
    pd.testing.assert_frame_equal(frame, FRAME)
    assert len(from_frame(frame, timestamp="day", target="sold")[0]["target"]) == 3


def test_decimal_commas(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "a.csv", sep=";", decimal=",", index=False)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "a.csv"), FRAME)


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    FRAME.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_frame(tmp_path / "a.parquet"), FRAME)
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(FrameFileError, match=r"b\.parquet cannot be read as Parquet"):
        read_frame(tmp_path / "b.parquet")


def test_parquet_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FrameFileError, match=r"tsbnn\[parquet\]"):
        read_frame(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.csv", None, "does not exist"),
        ("a.xlsx", b"x", r"\.csv, \.tsv"),
        ("a", b"x", r"\.parquet are read"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"day,sold\n", "no rows"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "cannot be read as CSV"),
        ("binary.csv", b"\xff\xfe\x00\xd8", "cannot be read as CSV"),
        ("not.csv.gz", b"plain", "cannot be read as CSV"),
    ],
)
def test_unreadable_files(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FrameFileError, match=words) as caught:
        read_frame(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="is a folder"):
        read_frame(tmp_path)
