"""docs/networks.md says what the code does: its programs run, its names and defaults are ours."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import tsbnn
from tsbnn.forecasting import estimators
from tsbnn.forecasting.catalogue import NETWORKS
from tsbnn.foreign.random_state import RandomStream

TEXT = (Path(__file__).resolve().parents[1] / "docs/networks.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
SMALL = {"1_000": "20", '"max_epochs": 20': '"max_epochs": 1', "20, trainer": "2, trainer"}


def test_programs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GluonTS's own training leaves its logs in the working directory.
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert len(PROGRAMS) == 2
    with RandomStream(0).active():
        for program in PROGRAMS:
            for size, small in SMALL.items():
                program = program.replace(size, small)
            exec(compile(program, "docs/networks.md", "exec"), names)
    assert names["forecast"].samples.shape == (100, 14)
    assert names["predictor"].training_summary["network"] == "deepar"
    assert type(names["copy"]).__name__ == "DeepAR"


def test_names_are_those_of_the_command_line() -> None:
    found = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", TEXT, flags=re.MULTILINE))
    assert [*found, "gluonts_deepar"] == list(NETWORKS)
    assert sorted(found.values()) == sorted(estimators.__all__)


def test_defaults_are_those_of_the_estimators() -> None:
    table = re.findall(r"^\| (`.*`) \| .* \| (`.*`) \| .* \|$", TEXT, flags=re.MULTILINE)
    ours = inspect.signature(tsbnn.PatchTransformerEstimator.__init__).parameters
    written = {
        name: eval(default)
        for names, defaults in table
        for name, default in zip(
            re.findall("`(.*?)`", names), re.findall("`(.*?)`", defaults), strict=True
        )
        if name in ours
    }
    assert len(written) == 8
    assert {name: ours[name].default for name in written} == written
