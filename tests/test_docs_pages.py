"""The pages of docs/ say what the code does: programs and commands run, tables are the code's."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from gluonts.time_feature import time_features_from_frequency_str

from tests.cli.running import run
from tsbnn import Forecaster
from tsbnn.forecasting.catalogue import NETWORKS, network
from tsbnn.forecasting.time_features import TIME_FEATURES
from tsbnn.foreign.random_state import RandomStream

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("studies/*.md")])
#: Pages whose programs other tests run.
ELSEWHERE = {"inference", "networks"}
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", flags=re.MULTILINE | re.DOTALL)
#: Sizes of the pages' programs, and those of this test.
SMALL = {
    "gradient_evaluations=2_000": "gradient_evaluations=2",
    "seeds=(0, 1, 2, 3, 4)": "seeds=(0, 1)",
}
TINY = {
    "fit": ("--gradient-evaluations", "2", "--num-samples", "10", "--num-draws", "2"),
    "backtest": (
        *("--gradient-evaluations", "2", "--num-samples", "10", "--num-draws", "2"),
        *("--windows", "1", "--inference", "score"),
    ),
}
NOT_RUN = {"pip install ."}


def page_name(page: Path) -> str:
    """Name a page in the names of tests: its path without the suffix."""
    return page.relative_to(DOCS).with_suffix("").as_posix()


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of every block."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [
        (language, textwrap.dedent(content).replace("\\\n", " " if language == "sh" else "\\\n"))
        for _, language, content in found
    ]


def rows(page: str, head: str) -> list[list[str]]:
    """Cells of the table whose first line begins with ``head``."""
    text = (DOCS / page).read_text(encoding="utf-8")
    table = text[text.index(f"\n| {head} |") :].lstrip().partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def run_command(line: str) -> None:
    """Run one line of a shell: ``tsbnn`` in this process, with redirected streams."""
    words = shlex.split(line)
    assert words.pop(0) == "tsbnn", line
    redirected = {}
    for sign in ("<", ">"):
        if sign in words:
            place = words.index(sign)
            redirected[sign] = Path(words[place + 1])
            del words[place : place + 2]
    given = redirected["<"].read_bytes() if "<" in redirected else None
    result = run(*words, *TINY.get(words[0], ()), input=given)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    if ">" in redirected:
        redirected[">"].write_bytes(result.stdout_bytes)


def execute(page: Path) -> dict[str, Any]:
    """Run a page from its beginning to its end; the names that its programs leave."""
    names: dict[str, Any] = {}
    with RandomStream(0).active():
        for language, content in blocks(page):
            if language == "python":
                for size, small in SMALL.items():
                    content = content.replace(size, small)
                exec(compile(content, str(page), "exec", dont_inherit=True), names)
            elif language == "yaml":
                Path("run.yaml").write_text(content, encoding="utf-8")
            elif language == "sh":
                for line in content.splitlines():
                    if line not in NOT_RUN:
                        run_command(line)
            else:
                assert language in ("math", "text"), language
    return names


@pytest.fixture
def sales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The table of the walk-through, in the working directory; and tiny defaults."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"gradient_evaluations": 2, "num_draws": 2, "num_samples": 10}.items():
        monkeypatch.setitem(Forecaster.__init__.__kwdefaults__, name, value)
    (maker,) = (text for _, text in blocks(DOCS / "walkthrough.md") if 'to_csv("sales.csv"' in text)
    exec(maker, {})
    frame = pd.read_csv("sales.csv")
    came = frame[frame["day"] > "2024-06-30"].assign(sales=20.0)
    came.to_csv("actuals.csv", index=False)
    return frame


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in ELSEWHERE], ids=page_name
)
@pytest.mark.filterwarnings("ignore::tsbnn.forecaster.UnlikeTrainingWarning")
def test_programs_and_commands_run(page: Path, sales: pd.DataFrame) -> None:
    names = execute(page)
    if page == DOCS / "index.md":
        listed = re.findall("`(.*?)`", " ".join(row[0] for row in rows("index.md", "column")))
        assert set(listed) <= set(names["forecast"].columns)
        assert len(names["past"]) == 4 * 4 * 14
    if page.stem == "walkthrough":
        assert len(pd.read_csv("forecast.csv")) == 3 * 28
        assert {"model", "forecast.png", "report"} < {path.name for path in Path().iterdir()}
        assert "<html" in Path("report/report.html").read_text(encoding="utf-8")
    if page.stem == "pandas":
        assert len(names["month"]) == 3 * 10
        assert len(names["nixtla"]) == len(sales)
        assert names["ahead"].groupby("shop")["holiday"].sum().to_dict() == {
            **{"north": 1, "south": 0, "west": 1}  # 1 and 4 July; none in Mexico
        }
    if page.stem == "covariates":
        assert len(names["forecast"]) == 3 * 28
        off = names["future"].query("holiday == 1")["day"].dt.strftime("%m-%d")
        assert off.tolist() == ["07-04"] * 3
    if page.stem == "scale":
        results = []
        for network in (names["mean_network"], torch.jit.load("mean_network.pt")):
            torch.manual_seed(0)
            results.append(network(*names["fields"]))
        torch.testing.assert_close(*results)
        assert results[0].shape == (4, 100, 14)
    if page.stem == "calibration":
        assert len(names["calibration"].scores) == 7
        assert names["forecast"]["lo-95"].min() >= 0
    if page.stem == "extending":
        assert bool((names["predictor"].posterior.variance > 0).all())
        assert names["forecasts"][0].samples.shape == (100, 14)
        assert names["slow"].train(names["load"]("seattle_weather").training) is not None


def test_the_walk_through_is_short() -> None:
    found = blocks(DOCS / "walkthrough.md")
    (commands,) = (text for language, text in found if language == "sh")
    assert 2 <= len(commands.splitlines()) <= 6
    program = found[-1][1]
    assert "predict()" in program
    assert len([line for line in program.splitlines() if line]) <= 10


def test_covariates_are_those_that_networks_take() -> None:
    table = rows("covariates.md", "network")
    arguments = (
        {"num_feat_dynamic_real": 1},
        {"num_past_feat_dynamic_real": 1},
        {"num_feat_static_cat": 1, "cardinality": [3]},
        {"num_feat_static_real": 1},
    )
    assert [row[0].strip("`") for row in table] == list(NETWORKS)
    for name, *cells in table:
        for cell, given in zip(cells, arguments, strict=True):
            if cell == "no":
                with pytest.raises(ValueError, match="covariates"):
                    network(name.strip("`"), freq="D", prediction_length=7, **given)
            else:
                assert cell == "yes"
                made = network(name.strip("`"), freq="D", prediction_length=7, **given)
                assert {key: getattr(made, key) for key in given} == given


def test_time_features_are_those_of_gluonts() -> None:
    told: dict[str, list[str]] = {"nothing": []}
    for freqs, cell in reversed(rows("covariates.md", "freq")):
        named = re.findall("`(.*?)`", cell)
        found = [one for name in named for one in told.get(name, [name])]
        for freq in re.findall("`(.*?)`", freqs):
            told[freq] = found
            features = time_features_from_frequency_str(freq)
            assert [feature.__name__ for feature in features] == found, freq
    assert len(told) == 10
    assert {name for found in told.values() for name in found} == set(TIME_FEATURES)


def test_commands_and_exit_codes() -> None:
    told = {row[0].strip("`").removeprefix("tsbnn ") for row in rows("command-line.md", "command")}
    helped = run("--help").output
    assert all(re.search(rf"^.\s+{name}\s", helped, flags=re.MULTILINE) for name in told)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = [row[0] for row in rows("command-line.md", "code")]
    assert codes == re.findall(r"^\| (\d+) \| ", readme.partition("exit code")[2], flags=re.M)
    assert run("fit").exit_code == 2


def test_figures_are_those_of_all_tables() -> None:
    published = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
    for head in ("CRPS", "95 % intervals hold, %"):
        for row in rows("results.md", head):
            figures = re.findall(r"(?<![\d.])\d*\.?\d+", " ".join(row[1:]))
            assert len(figures) == 6
            for figure in figures:
                assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.])", published), figure


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target
