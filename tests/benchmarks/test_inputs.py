"""The study of inputs: what its table compares."""

from __future__ import annotations

import pandas as pd

from benchmarks.inputs import AGED, ALL, table


def test_inputs_are_compared_method_by_method() -> None:
    found = [
        {"dataset": "etth1", "model": f"{method}, {inputs}", "metric": metric, "value": value}
        for method in ("score", "map")
        for inputs, values in ((AGED, (0.1, 0.3, 0.9)), (ALL, (0.4, 0.4, 0.8)))
        for metric, value in zip(("mean_wql", "mean_wql", "coverage_95"), values, strict=True)
    ]
    # Of a dataset with one kind of inputs nothing can be compared.
    alone = {"dataset": "co2", "model": f"map, {AGED}", "metric": "mean_wql", "value": 1.0}
    rows = pd.DataFrame([alone, *found])
    lines = table(rows, ALL, AGED).set_index("method")
    assert list(lines.index) == ["score", "map"]
    assert lines.loc["map", f"{AGED}: mean_wQL"] == "0.2"
    assert lines.loc["map", "change"] == "-50.0%"
    assert lines.loc["score", f"{ALL}: 95 % covers"] == "80.0%"
