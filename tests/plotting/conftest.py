"""Axes to draw on."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STEPS = 7


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()
