"""Running ``tsbnn`` in tests, and a table of sales to run it on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from typer.testing import CliRunner, Result

from tsbnn.cli import app

#: Budgets of a few gradients.
TINY = ("--gradient-evaluations", "2", "--num-samples", "10", "--num-draws", "2")
#: Columns of :func:`sales`.
COLUMNS = ("--item-id", "shop", "--timestamp", "day", "--target", "sales")


def run(*arguments: object, input: Any = None) -> Result:
    """Run ``tsbnn`` as on a terminal of 200 columns."""
    texts = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, texts, input=input, env={"COLUMNS": "200"})


def one_line(result: Result) -> str:
    """The only line on stderr; no traceback, nothing on stdout."""
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.output
    return lines[0]


def sales(items: int = 2, days: int = 90) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "shop": f"shop-{i}",
                "day": pd.date_range("2024-01-01", periods=days).strftime("%Y-%m-%d"),
                "sales": 20 + 5 * np.sin(np.arange(days)) + generator.normal(size=days),
                "price": 1.0 + i,
                "size": "big" if i else "small",
            }
        )
        for i in range(items)
    ]
    return pd.concat(frames, ignore_index=True)
