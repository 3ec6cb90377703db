"""The study of inputs: which steps half a year has, and what its table compares."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.inputs import ALL, TAUGHT, cut, table


def test_half_a_year_is_cut_at_timestamps() -> None:
    hours = 24 * 400
    series = {
        "start": pd.Period("2011-12-31 23:00", "h"),
        "target": np.arange(float(hours)),
        "feat_dynamic_real": np.arange(2.0 * hours).reshape(2, hours),
    }
    found = cut(series, "2012-07-01", "2012-07-03")
    assert found["start"] == pd.Period("2012-07-01", "h")
    assert len(found["target"]) == 48
    # 182 days from 1 January, and the hour before it.
    assert found["target"][0] == 182 * 24 + 1
    np.testing.assert_array_equal(found["feat_dynamic_real"][0], found["target"])


def test_inputs_are_compared_method_by_method() -> None:
    found = [
        {"dataset": "etth1", "model": f"{method}, {inputs}", "metric": metric, "value": value}
        for method in ("score", "map")
        for inputs, values in ((TAUGHT, (0.1, 0.3, 0.9)), (ALL, (0.4, 0.4, 0.8)))
        for metric, value in zip(("mean_wql", "mean_wql", "coverage_95"), values, strict=True)
    ]
    # Of a dataset with one kind of inputs nothing can be compared.
    alone = {"dataset": "co2", "model": f"map, {TAUGHT}", "metric": "mean_wql", "value": 1.0}
    rows = pd.DataFrame([alone, *found])
    lines = table(rows, ALL, TAUGHT).set_index("method")
    assert list(lines.index) == ["score", "map"]
    assert lines.loc["map", f"{TAUGHT}: mean_wQL"] == "0.2"
    assert lines.loc["map", "change"] == "-50.0%"
    assert lines.loc["score", f"{ALL}: 95 % covers"] == "80.0%"
