"""`make benchmark` runs every script whose figures are published."""

from __future__ import annotations

from pathlib import Path

from benchmarks.output import RESULTS

BENCHMARKS = RESULTS.parent
MAKEFILE = BENCHMARKS.parent / "Makefile"
#: Parts of another script.
PARTS = {"speed.draws"}


def name_of(script: Path) -> str:
    """The name after `python -m benchmarks.`."""
    parts = script.relative_to(BENCHMARKS).with_suffix("").parts
    return ".".join(parts).removesuffix(".__main__")


def test_every_script_is_among_those_that_run() -> None:
    lines = MAKEFILE.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("BENCHMARKS ?= "))
    run = line.removeprefix("BENCHMARKS ?= ").split()
    scripts = [
        name_of(path)
        for path in BENCHMARKS.rglob("*.py")
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    ]
    assert sorted(run) == sorted(set(scripts) - PARTS)
    # What is read comes before what reads it.
    for first, second in (
        ("logistic_reference", "inference"),
        ("forecasting.tuning", "forecasting"),
        ("forecasting.calibrated", "forecasting.page"),
        ("convergence", "forecasting.page"),
        ("forecasting", "forecasting.page"),
    ):
        assert run.index(first) < run.index(second)
