"""The command lines of the README run, one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.running import run, sales

README = Path(__file__).resolve().parents[2] / "README.md"


def commands() -> list[list[str]]:
    section = README.read_text(encoding="utf-8").partition("## On the command line")[2]
    block = re.search(r"^```\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    return [shlex.split(line)[1:] for line in block[1].splitlines()]


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = sales(days=128)
    late = frame["day"] >= "2024-04-10"
    frame[~late].to_csv("sales.csv", index=False)
    frame[late].to_csv("actuals.csv", index=False)
    lines = commands()
    assert [line[0] for line in lines] == ["fit", "forecast", "evaluate", "plot"]
    for line in lines:
        tiny = ("--gradient-evaluations", "2") if line[0] == "fit" else ()
        result = run(*line, *tiny)
        assert result.exit_code == 0, result.output
    assert len(pd.read_csv("forecast.csv")) == 2 * 28
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"sales.csv", "actuals.csv", "model", "forecast.csv", "forecast.png"}
