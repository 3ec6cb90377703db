"""Imports point one way: which parts of the package may import which, and which libraries."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]


class May(NamedTuple):
    """What one part of the package may import."""

    parts: frozenset[str]
    libraries: frozenset[str]


def may(parts: str, libraries: str) -> May:
    return May(frozenset(parts.split()), frozenset(libraries.split()))


# cli -> forecaster -> evaluation, forecasting -> datasets, inference, networks, foreign.
ARROWS = {
    "inference": may("", "torch"),
    "networks": may("", "gluonts torch"),
    "foreign": may("", "numpy torch"),
    "forecasting": may(
        "datasets foreign inference networks",
        "gluonts lightning numpy orjson pandas safetensors torch",
    ),
    "forecaster": may("datasets evaluation forecasting inference", "gluonts numpy pandas"),
    "datasets": may("", "filelock gluonts holidays numpy pandas platformdirs rich"),
    "evaluation": may(
        "foreign",
        "gluonts jinja2 lightning matplotlib numba numpy orjson pandas properscoring scipy torch",
    ),
    "plotting": may("datasets evaluation", "matplotlib numpy pandas"),
    "cli": may(
        "evaluation plotting datasets forecaster forecasting inference networks",
        "matplotlib numpy orjson pandas rich torch typer yaml",
    ),
    # The front, tsbnn/__init__.py: names from everywhere, looked up when asked for.
    "": may("evaluation plotting datasets forecaster forecasting inference networks", ""),
}


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import: lazy ones, for types only, relative, by string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            match node.args:
                case [ast.Constant(value=str(name)), *_]:
                    yield node.lineno, name


def violations(source: str, module: str) -> list[str]:
    """Imports of the module (dotted; a package ends in `.__init__`) that point a wrong way."""
    package = module.rpartition(".")[0]
    part = module.removesuffix(".__init__").split(".")[1:2]
    own = part[0] if part else ""
    if own not in ARROWS:
        return [f"{module}: the part {own!r} has no line in ARROWS"]
    allowed = ARROWS[own]
    found = []
    for line, name in imports(ast.parse(source), package):
        library, _, rest = name.partition(".")
        if library == "tsbnn":
            target = rest.split(".")[0]
            if target not in {own, "__version__"} | allowed.parts:
                found.append(f"{module}:{line}: {own or 'tsbnn'} must not import {name}")
        elif library not in sys.stdlib_module_names | allowed.libraries:
            found.append(f"{module}:{line}: {own or 'tsbnn'} must not import the library {library}")
    return found


def modules() -> list[tuple[str, Path]]:
    files = sorted((ROOT / "tsbnn").rglob("*.py"))
    return [(".".join(file.relative_to(ROOT).with_suffix("").parts), file) for file in files]


@pytest.mark.parametrize(("module", "file"), modules(), ids=[name for name, _ in modules()])
def test_imports_point_one_way(module: str, file: Path) -> None:
    assert violations(file.read_text(encoding="utf-8"), module) == []


def test_every_library_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # `holidays` is an extra, imported where it is needed.
    lines = [*declared["dependencies"], *declared["optional-dependencies"]["holidays"]]
    names = {re.split(r"[\[<>=;, ]", line)[0] for line in lines}
    # Where a library is not imported by the name that it is installed by.
    names |= {"yaml"} if "pyyaml" in names else set()
    assert set().union(*(allowed.libraries for allowed in ARROWS.values())) <= names


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tsbnn.inference.score", "import gluonts"),
        ("tsbnn.inference.score", "import torch, pandas as pd"),
        ("tsbnn.inference.score", "def f():\n    from lightning.pytorch import Trainer"),
        ("tsbnn.inference.score", "if TYPE_CHECKING:\n    from tsbnn.networks import DeepAR"),
        ("tsbnn.inference.families.gaussian", "from ...forecasting import estimator"),
        ("tsbnn.inference.families.__init__", "from ...forecasting import estimator"),
        ("tsbnn.inference.score", "importlib.import_module('gluonts.torch')"),
        ("tsbnn.inference.score", "__import__('gluonts')"),
        ("tsbnn.networks.deepar", "from tsbnn import inference"),
        ("tsbnn.networks.deepar", "from ..inference.priors import FanInPrior"),
        ("tsbnn.evaluation.scores", "import tsbnn.forecasting.forecast"),
        ("tsbnn.evaluation.__init__", "from ..inference import METHODS"),
        ("tsbnn.datasets.frames", "from tsbnn.evaluation import backtest"),
        ("tsbnn.forecasting.estimator", "from tsbnn.evaluation import backtest"),
        ("tsbnn.forecasting.estimator", "from tsbnn import BayesianEstimator"),
        ("tsbnn.forecasting.estimator", "from .. import cli"),
        ("tsbnn.__init__", "import torch"),
        ("tsbnn.helpers", "import math"),
    ],
)
def test_a_broken_arrow_is_found(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "tsbnn.inference.score",
            "from __future__ import annotations\nimport math\nimport torch.nn",
        ),
        ("tsbnn.inference.families.gaussian", "from ..flat import FlatBuffer\nfrom . import tools"),
        (
            "tsbnn.forecasting.estimator",
            "from tsbnn.inference import METHODS\nimport gluonts.torch",
        ),
        ("tsbnn.forecasting.saving", "from tsbnn import __version__"),
        ("tsbnn.cli", "from .evaluation.report import write\nimport typer"),
        ("tsbnn.__init__", "from .inference import ProximalScoreVI"),
    ],
)
def test_a_sound_import_is_let_through(module: str, source: str) -> None:
    assert violations(source, module) == []
