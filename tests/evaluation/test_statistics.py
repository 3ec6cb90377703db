"""Paired differences: their intervals cover, and pairing is what makes them narrow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.doubles import Described, Fake, series
from tsbnn.evaluation import backtest, paired_difference, paired_differences
from tsbnn.evaluation.metrics import WindowScores
from tsbnn.evaluation.result import Backtest


def planted(values: dict[str, np.ndarray], items: int, seeds: int = 1) -> Backtest:
    """A backtest whose per-window CRPS is given; ``items x windows`` flattened."""
    count = len(next(iter(values.values())))
    each = count // items
    windows = pd.DataFrame(
        {"item_id": np.repeat(np.arange(items), each), "window": np.tile(np.arange(each), items)}
    )
    scores = {
        (model, seed): WindowScores({"crps": v}, {"crps": np.ones(count)})
        for model, v in values.items()
        for seed in range(seeds)
    }
    return Backtest("d", "D", 1, None, None, windows, scores=scores)


def test_the_interval_is_that_of_the_mean_difference():
    rng = np.random.default_rng(0)
    hard = rng.gamma(2, 5, size=400)
    gain = rng.normal(0.5, 2.0, size=400)
    found = paired_difference(planted({"a": hard, "b": hard + gain}, 20), "a", "b")
    error = gain.std() / 20
    assert found.difference == pytest.approx(-gain.mean())
    assert found.low == pytest.approx(-gain.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(-gain.mean() + 1.96 * error, abs=0.2 * error)
    assert (found.num_units, found.num_seeds) == (400, 1)
    assert found.value_a == pytest.approx(hard.mean())


def test_the_interval_covers_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        difference = rng.exponential(1.0, size=80) - 1.0
        data = planted({"a": difference, "b": np.zeros(80)}, 8)
        found = paired_difference(data, "a", "b", confidence=0.9, resamples=300)
        covered += found.low <= 0 <= found.high
    assert 0.82 <= covered / 200 <= 0.96


def test_whole_series_are_resampled_where_they_differ():
    rng = np.random.default_rng(2)
    level = np.repeat(rng.normal(size=12), 30)
    data = planted({"a": level, "b": np.zeros(360)}, 12)
    single = paired_difference(data, "a", "b")
    by_series = paired_difference(data, "a", "b", unit="series")
    by_window = paired_difference(data, "a", "b", unit="window")
    assert (by_series.num_units, by_window.num_units) == (12, 30)
    assert by_series.high - by_series.low > 3 * (single.high - single.low)
    assert by_window.high - by_window.low == pytest.approx(0.0, abs=1e-9)


def test_seeds_are_averaged_and_only_common_ones_count():
    data = planted({"a": np.ones(6), "b": np.zeros(6)}, 2, seeds=3)
    data.scores["a", 2] = WindowScores({"crps": np.full(6, 4.0)}, {"crps": np.ones(6)})
    found = paired_difference(data, "a", "b")
    assert found.difference == pytest.approx(2.0)
    assert found.num_seeds == 3
    del data.scores["b", 2]
    assert paired_difference(data, "a", "b").difference == pytest.approx(1.0)


def test_a_metric_of_ratios_is_resampled_as_a_ratio():
    result = backtest(
        {"near": Fake(spread=0.3), "far": Fake(spread=5.0)},
        series(4),
        prediction_length=5,
        windows=3,
        baselines=False,
    )
    values = result.aggregate().set_index(["model", "metric"])["mean"]
    for metric in ("mean_wql", "rmse", "coverage_90"):
        found = paired_difference(result, "near", "far", metric)
        expected = values["near", metric] - values["far", metric]
        assert found.difference == pytest.approx(expected)
        assert found.low <= expected <= found.high
    assert paired_difference(result, "near", "far", "crps").high < 0


def test_the_same_seed_gives_the_same_interval(unchanged_global_random_state):
    rng = np.random.default_rng(0)
    data = planted({"a": rng.normal(size=30), "b": rng.normal(size=30)}, 3)
    first, second = (paired_difference(data, "a", "b", seed=5) for _ in range(2))
    assert first == second
    assert paired_difference(data, "a", "b", seed=6) != first


def test_all_models_against_one():
    result = backtest(
        {"x": Fake(), "y": Described(), "z": Fake(spread=3.0)},
        series(),
        prediction_length=5,
        windows=2,
        baselines=False,
    )
    frame = paired_differences(result, "y", "mean_wql", resamples=50)
    assert frame["a"].tolist() == ["x", "z"]
    assert set(frame["b"]) == {"y"}
    assert (frame["low"] <= frame["high"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": "c"}, "no results of 'c'; there are a, b"),
        ({"metric": "pit_deviation"}, "pit_deviation"),
        ({"confidence": 95}, "confidence"),
        ({"unit": "step"}, "unit"),
        ({"unit": "window"}, "only 1 window"),
        ({"resamples": 0}, "resamples"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    data = planted({"a": np.ones(3), "b": np.ones(3)}, 3)
    with pytest.raises(ValueError, match=message):
        paired_difference(data, **{"a": "a", "b": "b", **arguments})


def test_no_common_seed_is_said():
    data = planted({"a": np.ones(3), "b": np.ones(3)}, 3)
    data.scores["b", 1] = data.scores.pop(("b", 0))
    with pytest.raises(ValueError, match="no seed in common"):
        paired_difference(data, "a", "b")
