"""The package starts at once: heavy libraries are imported when they are needed, not before."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"gluonts", "lightning", "matplotlib", "numba", "pandas", "scipy", "torch"}


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds once it has run the statement."""
    program = (
        "import contextlib, io, json, sys\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    {statement}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_import_loads_nothing_heavy() -> None:
    loaded = loaded_after("import tsbnn")
    assert "tsbnn" in loaded
    assert loaded & HEAVY == set()


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_after("from tsbnn.cli import app; app(['--help'])")
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_heavy_modules_would_be_seen() -> None:
    assert "torch" in loaded_after("import tsbnn.inference")
