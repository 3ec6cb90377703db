"""docs/inference.md says what the code does: its programs run, its tables are the settings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tsbnn.inference
from tsbnn.inference import METHODS, InferenceMethod, PosteriorMethod
from tsbnn.inference.averaging import AveragingMethod
from tsbnn.inference.chains.base import SGMCMC
from tsbnn.inference.matching.base import ScoreMatchingMethod
from tsbnn.inference.variational import VariationalMethod

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/inference.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
# Sizes of the page's programs, and those of this test.
SMALL = {"2_000": "60", "range(200)": "range(60)"}
# Sections with settings that several methods have, by the class that has them.
SHARED: dict[type[InferenceMethod], str] = {
    InferenceMethod: "All methods",
    PosteriorMethod: "Posterior methods",
    AveragingMethod: "Posterior averaging: `score`, `elbo`, `elbo_natural`",
    VariationalMethod: "Families of `score` and `elbo`",
    ScoreMatchingMethod: "Score matching for few weights",
    SGMCMC: "Chains",
}
# Methods whose state is not a number of weight-sized vectors.
OTHER_STATE = {"bam", "gsm", "ssvi"}


def sections() -> dict[str, str]:
    """Text of every section by its heading, without that of the sections in it."""
    found: dict[str, str] = {}
    heading, fenced = "", False
    for line in TEXT.splitlines():
        fenced ^= line.startswith("```")
        match = None if fenced else re.fullmatch(r"#+ (.*)", line)
        if match:
            heading = match[1]
            assert heading not in found
            found[heading] = ""
        else:
            found[heading] = found.get(heading, "") + line + "\n"
    return found


SECTIONS = sections()


def own_section(name: str) -> str:
    """Text of a method's section, whose heading begins with the name."""
    (text,) = (text for head, text in SECTIONS.items() if head.startswith(f"`{name}`"))
    return text


def rows(text: str, head: str) -> dict[str, list[str]]:
    """Tables whose first column is called ``head``: the other cells by the name in the first."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == head:
            inside = True
        elif inside and not cells[0].startswith("-"):
            found[cells[0].strip("`")] = cells[1:]
    return found


def written_defaults(cls: type[InferenceMethod]) -> dict[str, Any]:
    """Defaults that the page gives the settings of a method; a method's own rows come first."""
    texts = [own_section(cls.name)]
    texts += [SECTIONS[SHARED[base]] for base in cls.__mro__ if base in SHARED]
    names = {**vars(tsbnn.inference)}
    found: dict[str, Any] = {}
    for text in texts:
        for name, (default, *_) in rows(text, "setting").items():
            found.setdefault(name, eval(default.strip("`"), names))
    return found


@pytest.mark.parametrize("name", METHODS)
def test_settings_stand_in_a_section_with_their_defaults(name: str) -> None:
    cls = METHODS[name]
    method = cls()
    fields = {field.name: getattr(method, field.name) for field in dataclasses.fields(cls)}
    assert written_defaults(cls) == fields


def test_there_is_a_section_for_methods_that_exist_only() -> None:
    named = [head.split("`")[1] for head in SECTIONS if head.startswith("`")]
    assert sorted(named) == sorted(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_sections_have_formula_source_use_and_cost(name: str) -> None:
    text = own_section(name)
    wanted = ["```math", "**When**", "**When not**"]
    # The cost of both stands in their shared section.
    wanted += [] if name in ("bam", "gsm") else ["**Cost**"]
    assert [part for part in wanted if part not in text] == []
    assert re.search(r"\*\*Sources?\*\*|arXiv", text)


@pytest.mark.parametrize("name", METHODS)
def test_overview_counts_evaluations_and_state(name: str) -> None:
    (table,) = (text for head, text in SECTIONS.items() if head == "The methods at a glance")
    class_name, _, evaluations, vectors, _ = rows(table, "name")[name]
    method = METHODS[name]()
    assert class_name.strip("`") == METHODS[name].__name__
    module = nn.Linear(40, 1, bias=False)
    optimizer = method.optimizer(module, num_observations=10, total_steps=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = module(torch.ones(2, 40)).square().mean()
        loss.backward()
        return loss

    counted = []
    for _ in range(100):
        before = optimizer.gradient_evaluations
        optimizer.step(closure)
        counted.append(optimizer.gradient_evaluations - before)
    assert counted[-1] == int(evaluations)
    state = [*optimizer.posterior.buffers(), *optimizer._vectors.values()]
    if name not in OTHER_STATE:
        kept = sum(part.numel() // 40 for part in state)
        assert kept == int(vectors.split()[0])


def test_programs_run() -> None:
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for program in PROGRAMS:
            for size, small in SMALL.items():
                program = program.replace(size, small)
            exec(compile(program, str(PAGE), "exec"), names)
    assert names["spread"].shape == (400, 1)
    assert bool((names["spread"] > 0).all())
    assert names["predictor"].training_summary["inference"] == "score"
    assert bool((names["optimizer"].posterior.variance > 0).any())
    assert names["tomorrow"].prior is names["today"]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in SECTIONS}
            assert target[1:] in anchors
        else:
            assert (PAGE.parent / target).exists(), target
