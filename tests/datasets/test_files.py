"""A user's own tables read from files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tsbnn.datasets import FrameFileError, from_frame, read_frame

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


@pytest.mark.parametrize("ids", [["0123", "123"], ["1E5", "77"], ["00001", "2"]])
def test_ids_stay_as_they_are_written(ids: list[str], tmp_path: Path) -> None:
    frame = pd.DataFrame({"shop": ids, "unique_id": ids, "sold": [1.5, 2.5]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert read_frame(tmp_path / "a.csv")["unique_id"].tolist() == ids
    assert read_frame(tmp_path / "a.csv", item_id="shop")["shop"].tolist() == ids
    plain = frame.assign(unique_id=[7, 12])
    plain.to_csv(tmp_path / "b.csv", index=False)
    assert read_frame(tmp_path / "b.csv")["unique_id"].tolist() == [7, 12]


def test_what_excel_writes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\nday;sold\n2024-01-01;1,5\n")
    assert read_frame(tmp_path / "a.csv").iloc[0].tolist() == ["2024-01-01", 1.5]
    (tmp_path / "b.csv").write_text("day,sold\n2024-01-01,5,\n2024-01-02,6,\n")
    assert read_frame(tmp_path / "b.csv")["sold"].tolist() == [5, 6]


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
