"""The networks side by side: every one at its own default rate."""

from __future__ import annotations

import pytest

from benchmarks import networks
from benchmarks.cells import Cell


@pytest.mark.parametrize(
    ("model", "trained"),
    [
        ("seasonal_naive", "seasonal_naive"),
        ("gluonts_deepar", "gluonts_deepar at 0.001"),
        ("gluonts_deepar, map", "gluonts_deepar, map at 0.005"),
    ],
)
def test_a_model_is_trained_at_its_default_rate(
    model: str, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(networks, "evaluate", lambda cell, budget: calls.append((cell, budget)))
    networks.at_defaults(Cell("etth1", model, 3))
    assert calls == [(Cell("etth1", trained, 3), networks.GRADIENT_EVALUATIONS)]
