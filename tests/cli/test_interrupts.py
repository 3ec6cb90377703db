"""Ctrl-C: exit code 130, one line, and no half-written output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from tests.cli.running import COLUMNS, run
from tsbnn.cli.errors import told

ROOT = Path(__file__).resolve().parents[2]
TSBNN = (sys.executable, "-c", "from tsbnn.cli import app; app()")
#: Seconds after which something hangs; other work may take most of the machine.
PATIENCE = 240


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Let Ctrl-C reach the tests and their processes: a script's background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for other processes")
def test_a_signal_during_training(past_file: Path, tmp_path: Path) -> None:
    working, temporary = tmp_path / "working", tmp_path / "temporary"
    working.mkdir()
    temporary.mkdir()
    arguments = ("--prediction-length", "3", "--gradient-evaluations", "100000000")
    process = subprocess.Popen(
        [*TSBNN, "fit", str(past_file), *COLUMNS, "--out", "model", *arguments],
        cwd=working,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # Training has a temporary folder, made right before it begins.
        deadline = time.monotonic() + PATIENCE
        while not list(temporary.glob("tsbnn-*")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "tsbnn: interrupted"
    assert "Traceback" not in err
    assert list(working.iterdir()) == []
    assert list(temporary.glob("tsbnn-*")) == []


@pytest.mark.parametrize("old", [None, "precious"])
def test_a_file_is_written_as_a_whole_or_not_at_all(
    model: Path, past_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str | None
) -> None:
    out = tmp_path / "forecast.csv"
    if old is not None:
        out.write_text(old, encoding="utf-8")

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half)
    result = run("forecast", model, past_file, "--out", out)
    assert result.exit_code == 130
    assert result.stderr == "tsbnn: interrupted\n"
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == (
        [] if old is None else [old]
    )


def test_a_model_is_written_as_a_whole_or_not_at_all(
    model: Path, past_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}

    def broken(self: Path, content: str, encoding: str | None = None) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", broken)
    more = ("--prediction-length", 2, "--gradient-evaluations", 2)
    result = run("fit", past_file, *COLUMNS, "--out", model, *more)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    assert not list(model.parent.glob(f".{model.name}*"))


def test_a_signal_waits_until_a_folder_is_in_its_place() -> None:
    from tsbnn.cli.output import uninterrupted

    done = []

    def work() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_reader_that_has_had_enough() -> None:
    process = subprocess.Popen(
        [*TSBNN, "datasets", "list", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(timeout=PATIENCE) == 1
    assert said == b""


def test_a_training_that_is_killed_has_not_succeeded(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, told(debug=False, quiet=True):
        raise SIGTERMException
    assert left.value.exit_code == 143
    assert "terminated" in capsys.readouterr().err
