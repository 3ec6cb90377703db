"""One report with all its plots, drawn once for all tests that look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.planted import run
from tsbnn.evaluation import Backtest
from tsbnn.evaluation.images import Drawing, Plot
from tsbnn.evaluation.report import write_report


@pytest.fixture(scope="session")
def reported() -> Backtest:
    return run(seeds=(0, 1))


@pytest.fixture(scope="session")
def report_folder(reported: Backtest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reports") / "report"
    assert write_report(reported, place, units={"shop & 0": "€"}) == place / "report.html"
    return place


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots without a picture, for tests of all else."""

    def plot(self: Drawing, prefix: str = "") -> Plot:
        svg = f'<svg class="plot" viewBox="0 0 44 30" role="img" aria-label="{self.name}"></svg>'
        return Plot(
            self.group, prefix + self.name, self.caption, self.alt, svg, b"png", self.height
        )

    monkeypatch.setattr(Drawing, "plot", plot)
