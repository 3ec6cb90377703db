"""What a study's table says: every trial beside the unchanged method, under the same seeds."""

from __future__ import annotations

import pandas as pd

from benchmarks.studies import STUDIES, TRIALS, table


def rows(values: dict[tuple[str, int], float]) -> pd.DataFrame:
    found = [
        {"dataset": "etth1", "model": model, "seed": seed, "metric": metric, "value": value}
        for (model, seed), score in values.items()
        for metric, value in {"mean_wql": score, "coverage_95": 0.9, "width_95": 7.0}.items()
    ]
    return pd.DataFrame(found)


def test_a_trial_is_compared_under_the_seeds_that_it_has() -> None:
    values = {("score", 0): 0.2, ("score", 1): 0.4, ("score T=0.1", 1): 0.3}
    found = table(rows(values), "temperature").set_index("trial")
    assert found.loc["score", "etth1: mean_wQL"] == "0.3000"
    assert found.loc["score T=0.1", "etth1: mean_wQL"] == "0.3000 (-25.0%)"
    assert found.loc["score T=0.1", "etth1: 95 %"] == "90.0% / 7"
    assert found["etth1: seeds"].to_dict()["score T=0.1"] == "1"
    assert found.loc["score T=0.3", "etth1: mean_wQL"] == "–"


def test_every_trial_has_a_name_of_its_own() -> None:
    assert len(TRIALS) == sum(len(study) for study in STUDIES.values())
