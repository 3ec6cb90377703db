"""What holds for every command, and ``tsbnn datasets`` and ``tsbnn info``."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer

import tsbnn
from tests.cli.running import one_line, run
from tsbnn.cli import app
from tsbnn.cli.errors import in_options, told
from tsbnn.cli.forecast_frames import Forecasts
from tsbnn.datasets import specs

COMMANDS = ("fit", "forecast", "evaluate", "plot", "backtest", "info")


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.strip() == f"tsbnn {tsbnn.__version__}"


def test_help() -> None:
    said = run("--help").stdout
    for name in (*COMMANDS, "datasets"):
        assert name in said
    assert "0 ok, 1 failed, 2 usage, 3 bad data, 130 interrupted" in said
    assert "--install-completion" in said
    bare = run()
    assert bare.exit_code == 2
    assert "backtest" in bare.stdout
    assert run("datasets").exit_code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_commands(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Example: tsbnn {name}" in result.stdout
    for option in ("--json", "--quiet", "--debug"):
        assert option in result.stdout


def test_options_are_called_the_same_everywhere() -> None:
    command = typer.main.get_command(app)
    found: dict[str, set[tuple[str, str]]] = {}
    for name in COMMANDS:
        for option in command.commands[name].params:  # type: ignore[attr-defined]
            for text in option.opts:
                if text.startswith("--"):
                    found.setdefault(text, set()).add((type(option).__name__, str(option.help)))
    # The same option has the same meaning; what differs is what is written, and where.
    differing = {text for text, kinds in found.items() if len(kinds) > 1}
    assert differing <= {
        "--inference",
        "--num-samples",
        "--out",
        "--prediction-length",
        "--seed",
        "--model",
    }


def test_completion_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for words, expected in (
        ("tsbnn fit x.csv --inference el", "elbo_natural"),
        ("tsbnn backtest --dataset seat", "seattle_weather"),
        ("tsbnn fo", "forecast"),
    ):
        monkeypatch.setenv("_TSBNN_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        from typer.testing import CliRunner

        assert expected in CliRunner().invoke(app, [], prog_name="tsbnn").stdout.split()


def test_warnings_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def warned(quiet: bool) -> str:
        with told(debug=False, quiet=quiet):
            warnings.simplefilter("always")
            for _ in range(2):
                warnings.warn("too few\npaths", UserWarning, stacklevel=1)
            warnings.warn("old name", FutureWarning, stacklevel=1)
        return capsys.readouterr().err

    assert warned(quiet=False) == "tsbnn: warning: too few paths\n"
    assert warned(quiet=True) == ""


def test_messages_speak_of_options() -> None:
    said = in_options("pass known_covariates=(...), fill_covariates=True or freq='D' to df")
    assert said == "pass --covariates, --fill-covariates or --freq 'D' to df"
    untouched = "df.melt(id_vars=['timestamp'], var_name='item_id', value_name='target')"
    assert in_options(untouched) == untouched


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    arguments = ("evaluate", tmp_path / "no.csv", tmp_path / "no.csv")
    plain, debugged = run(*arguments), run(*arguments, "--debug")
    assert plain.exit_code == debugged.exit_code == 3
    assert "Traceback" in debugged.stderr
    assert debugged.stderr.splitlines()[-1] == one_line(plain)


def test_datasets_are_listed_and_described(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tsbnn.datasets.locations.cache_folder", lambda: tmp_path)
    monkeypatch.delenv("TSBNN_DATA_DIR", raising=False)
    listed = json.loads(run("datasets", "list", "--json").stdout)
    assert [one["name"] for one in listed] == list(specs())
    states = {one["name"]: one["files"] for one in listed}
    assert (states["co2"], states["etth1"]) == ("bundled", "to download")
    assert "Mauna Loa" in run("datasets", "list").stdout
    one = json.loads(run("datasets", "describe", "co2", "--json").stdout)
    assert (one["freq"], one["season"], one["licence"]) == ("W-SAT", 52, "public domain")
    text = run("datasets", "describe", "etth1").stdout
    assert "ETTh1.csv (absent)" in text
    wrong = run("datasets", "describe", "co3")
    assert wrong.exit_code == 2
    assert "did you mean 'co2'?" in one_line(wrong)


def test_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run("datasets", "download", "co2", "elnino", "--json")
    assert result.exit_code == 0
    paths = json.loads(result.stdout)
    assert Path(paths["elnino"][0]).name == "elnino.csv"
    assert "co2: " in run("datasets", "download", "co2").stderr
    assert run("datasets", "download", "co2", "--quiet").output == ""
    assert run("datasets", "download", "co2", "co3").exit_code == 2
    assert run("datasets", "download").exit_code == 2

    def no_network(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setattr("tsbnn.datasets.locations.cache_folder", lambda: tmp_path)
    monkeypatch.delenv("TSBNN_DATA_DIR", raising=False)
    failed = run("datasets", "download", "etth1")
    assert failed.exit_code == 3
    assert "ETTh1.csv" in one_line(failed)


def test_info() -> None:
    found = json.loads(run("info", "--json").stdout)
    assert found["tsbnn"] == tsbnn.__version__
    assert {"torch", "gluonts", "device", "threads", "downloads"} < set(found)
    assert "threads" in run("info").stdout


@pytest.mark.parametrize(
    ("column", "model", "level"),
    [
        ("0.1", "f", 0.1),
        ("q0.25", "f", 0.25),
        ("quantile_0.9", "f", 0.9),
        ("p90", "f", 0.9),
        ("NHITS-q-10", "NHITS", 0.1),
        ("DeepAR_ql0.75", "DeepAR", 0.75),
        ("sales_q0.05", "sales", 0.05),
        ("lo-90", "f", 0.05),
        ("AutoETS-hi-99.5", "AutoETS", 0.9975),
        ("my-model-median", "my-model", 0.5),
    ],
)
def test_columns_of_other_tools(column: str, model: str, level: float) -> None:
    import pandas as pd

    from tsbnn.cli.forecast_frames import read_forecasts

    table = pd.DataFrame({"ds": ["2024-01-01"], column: [3.0], "price": [1.0], "x": ["a"]})
    _, (found,), _ = read_forecasts(table, ["ds"], "y", "f")
    assert isinstance(found, Forecasts)
    assert found.name == model
    assert list(found.quantiles) == [level]
