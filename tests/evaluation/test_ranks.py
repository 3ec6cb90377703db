"""Ranks over datasets, against Demšar's example and tables, and scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsbnn.evaluation import compare_ranks

# Demšar (2006), table 6: ranks of four classifiers by AUC on 14 datasets.
DEMSAR = pd.DataFrame(
    {
        "C4.5": [4, 1, 4, 4, 4, 1, 3, 2.5, 4, 2.5, 4, 3, 4, 3],
        "C4.5+m": [3, 2, 1, 1, 2, 2.5, 2, 2.5, 3, 2.5, 2.5, 2, 1, 1],
        "C4.5+cf": [2, 3, 2, 3, 3, 4, 4, 4, 2, 2.5, 1, 4, 2, 4],
        "C4.5+m+cf": [1, 4, 3, 2, 1, 2.5, 1, 1, 1, 2.5, 2.5, 1, 3, 2],
    }
)
#: Table 5a there, and its rows for 0.10: critical values by number of models.
CRITICAL = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


def test_demsars_example() -> None:
    found = compare_ranks(DEMSAR)
    assert found.average_ranks.round(3).to_dict() == {
        "C4.5+m+cf": 1.964,
        "C4.5+m": 2.000,
        "C4.5+cf": 2.893,
        "C4.5": 3.143,
    }
    assert found.average_ranks.index[0] == "C4.5+m+cf"
    pd.testing.assert_frame_equal(found.ranks, DEMSAR)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert compare_ranks(DEMSAR, alpha=0.10).critical_difference == pytest.approx(1.12, abs=0.005)
    # His 9.28 and 3.69 leave the ties uncorrected: k(k²−1)/12 would be each dataset's spread.
    spread = np.square(DEMSAR.to_numpy() - 2.5).sum()
    plain = found.chi_square * spread / (14 * 5)
    assert plain == pytest.approx(9.28, abs=0.005)
    assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.005)
    # At the 5 % level none differs; at 10 % the best two beat C4.5.
    assert found.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)
    assert compare_ranks(DEMSAR, alpha=0.10).groups == (
        ("C4.5+m+cf", "C4.5+m", "C4.5+cf"),
        ("C4.5+cf", "C4.5"),
    )


@pytest.mark.parametrize("alpha", [0.05, 0.10])
def test_critical_values_are_those_of_the_tables(alpha: float) -> None:
    for models, expected in enumerate(CRITICAL[alpha], start=2):
        scores = pd.DataFrame(np.random.default_rng(models).normal(size=(6, models)))
        found = compare_ranks(scores, alpha=alpha).critical_difference
        assert found / np.sqrt(models * (models + 1) / 36) == pytest.approx(expected, abs=1e-3)


def test_friedmans_statistic_is_scipys() -> None:
    scores = pd.DataFrame(np.random.default_rng(0).integers(0, 4, size=(9, 5)))
    found = compare_ranks(scores)
    assert found.ranks.to_numpy().sum() == 9 * 15
    expected = stats.friedmanchisquare(*scores.to_numpy().T)
    assert found.chi_square == pytest.approx(expected.statistic)
    f = 8 * expected.statistic / (9 * 4 - expected.statistic)
    assert found.f_statistic == pytest.approx(f)
    assert found.p_value == pytest.approx(stats.f.sf(f, 4, 32))


def test_p_values_are_uniform_if_models_are_alike() -> None:
    rng = np.random.default_rng(1)
    p = [compare_ranks(pd.DataFrame(rng.normal(size=(12, 5)))).p_value for _ in range(150)]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.12
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_datasets_that_all_agree_and_that_all_tie() -> None:
    one = pd.DataFrame([[1.0, 2.0, 3.0]] * 10, columns=["a", "b", "c"])
    found = compare_ranks(one)
    assert (found.chi_square, found.f_statistic, found.p_value) == (20, np.inf, 0)
    assert found.groups == (("a", "b"), ("b", "c"))  # 1 apart, the critical difference is 1.05
    assert compare_ranks(pd.concat([one] * 2)).groups == ()
    tied = compare_ranks(one * 0)
    assert (tied.chi_square, tied.p_value) == (0, 1)
    assert tied.groups == (("a", "b", "c"),)


@pytest.mark.parametrize(
    ("scores", "settings", "message"),
    [
        ({"a": [1.0, 2.0]}, {}, "two models on two datasets, not 1 on 2"),
        ({"a": [1.0], "b": [1.0]}, {}, "two models on two datasets, not 2 on 1"),
        ({"a": [1.0, 2.0], "b": [1.0, np.nan]}, {}, r"no score of 'b' on 'etth1' \(1 are missing"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, {"alpha": 5}, "alpha"),
    ],
)
def test_bad_tables_are_named(scores: dict, settings: dict, message: str) -> None:
    frame = pd.DataFrame(scores, index=["m4_hourly", "etth1"][: len(scores["a"])])
    with pytest.raises(ValueError, match=message):
        compare_ranks(frame, **settings)
