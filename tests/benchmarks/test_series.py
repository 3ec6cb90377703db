"""Parts of series are cut where they should be, covariates with them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.series import cut, steps


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


def test_steps_of_a_series_without_covariates() -> None:
    series = {"start": pd.Period("2020-01-31", "D"), "target": np.arange(9.0), "item_id": "a"}
    found = steps(series, 2, 5)
    assert found["start"] == pd.Period("2020-02-02", "D")
    assert found["target"].tolist() == [2.0, 3.0, 4.0]
    assert set(found) == set(series)
