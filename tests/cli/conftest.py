"""Tables and a model that tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.running import COLUMNS, TINY, run, sales

HORIZON = 3


@pytest.fixture(scope="session")
def sales_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sales of two shops over 90 days, with a gap."""
    file = tmp_path_factory.mktemp("sales") / "sales.csv"
    sales().drop(index=[7, 8]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="session")
def past_file(sales_file: Path) -> Path:
    """The same without the last days."""
    file = sales_file.with_name("past.csv")
    frame = pd.read_csv(sales_file)
    frame[frame["day"] < "2024-03-28"].to_csv(file, index=False)
    return file


@pytest.fixture(scope="session")
def model(past_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for two gradients."""
    folder = tmp_path_factory.mktemp("models") / "model"
    result = run("fit", past_file, *COLUMNS, "--out", folder, "--prediction-length", 3, *TINY)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def forecast_file(model: Path, past_file: Path) -> Path:
    """Forecasts of the last days."""
    file = model.with_name("forecast.csv")
    result = run("forecast", model, past_file, "--out", file, "--quiet")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    return file
