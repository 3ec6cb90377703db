"""``--config``: the same options from a YAML file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import one_line, run
from tsbnn.cli.config import _text
from tsbnn.cli.options import names

SETTINGS = """\
data: {data}
item-id: shop
timestamp: day
target: sales
prediction_length: 3
gradient-evaluations: 2
num-samples: 10
num-draws: 2
quiet: true
json: true
out: {out}
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_says_what_flags_say_and_flags_win(past_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    file = written(tmp_path, SETTINGS.format(data=past_file, out=out))
    result = run("fit", "--config", file)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["prediction_length"] == 3
    assert result.stderr == ""
    again = run("fit", "--prediction-length", 2, "--config", file)
    assert json.loads(again.stdout)["prediction_length"] == 2


def test_lists_are_names_by_comma(past_file: Path, tmp_path: Path) -> None:
    text = SETTINGS.format(data=past_file, out=tmp_path / "model")
    file = written(tmp_path, text + "covariates: [price, nothing]\n")
    result = run("fit", "--config", file)
    assert result.exit_code == 3
    assert "--covariates 'nothing': there is no such column" in one_line(result)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prediction_lenght: 3", ["run.yaml", "prediction_lenght", "did you mean prediction-len"]),
        ("config: other.yaml", ["no setting config"]),
        ("- a\n- b", ["run.yaml", "freq: D"]),
        ("freq: {a: 1}", ["freq is one value"]),
        ("freq: [", ["is not YAML"]),
        ("prediction-length: soon", ["--prediction-length", "integer"]),
    ],
)
def test_files_that_do_not_fit(text: str, words: list[str], tmp_path: Path) -> None:
    result = run("fit", "x.csv", "--out", "m", "--config", written(tmp_path, text))
    assert result.exit_code == 2
    for word in words:
        assert word in one_line(result)


def test_a_file_that_is_not_there() -> None:
    result = run("fit", "x.csv", "--out", "m", "--config", "nowhere.yaml")
    assert result.exit_code == 2
    assert "nowhere.yaml" in one_line(result)


def test_names_may_have_commas_in_them(tmp_path: Path) -> None:
    found = _text(tmp_path, "covariates", ["Promo, Größe; x", "price"])
    assert names(found) == ["Promo, Größe; x", "price"]
    assert names('"a, b", c,,') == ["a, b", "c"]
    assert names(None) == []
