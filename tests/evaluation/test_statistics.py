"""Paired differences: intervals cover over windows and over seeds, and pairing narrows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from tests.evaluation.doubles import Described, Fake, series
from tsbnn.evaluation import (
    backtest,
    coverage_intervals,
    paired_difference,
    paired_differences,
)
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


def seeded(
    rng: np.random.Generator, seeds: int, window_sd: float, seed_sd: float, mixed_sd: float = 0.0
) -> Backtest:
    """60 windows, of which ``a`` is worse by 1 on average: over windows, seeds and both."""
    hard, gain = rng.gamma(4, 1, 60), rng.normal(1, window_sd, 60)
    data = planted({"a": hard, "b": hard}, 6, seeds)
    for seed in range(seeds):
        noise = rng.normal(0, seed_sd) + rng.normal(0, mixed_sd, 60)
        data.scores["a", seed] = WindowScores({"crps": hard + gain + noise}, {"crps": np.ones(60)})
    return data


@pytest.mark.parametrize(
    ("seeds", "window_sd", "seed_sd", "mixed_sd", "least", "most"),
    [
        (5, 1.0, 0.0, 0.0, 0.84, 0.96),
        (5, 0.1, 0.5, 0.0, 0.84, 0.96),
        (3, 1.0, 0.3, 0.0, 0.84, 0.98),
        (2, 0.1, 0.5, 0.0, 0.84, 0.96),
        (5, 0.5, 0.2, 0.5, 0.84, 1.0),
    ],
)
def test_the_interval_covers_over_windows_and_seeds(
    seeds: int, window_sd: float, seed_sd: float, mixed_sd: float, least: float, most: float
) -> None:
    rng = np.random.default_rng(1)
    found = [
        paired_difference(
            seeded(rng, seeds, window_sd, seed_sd, mixed_sd),
            *("a", "b"),
            confidence=0.9,
            resamples=200,
            seed=draw,
        )
        for draw in range(250)
    ]
    assert least <= np.mean([f.low <= 1 <= f.high for f in found]) <= most
    # The hard part has mean 4 over all windows that could be.
    relative = [f.relative_low <= 0.25 <= f.relative_high for f in found]
    assert least - 0.06 <= np.mean(relative) <= 1.0


def test_fixed_seeds_say_less_than_they_claim() -> None:
    rng = np.random.default_rng(4)
    found = [
        paired_difference(seeded(rng, 5, 0.1, 0.5), "a", "b", resamples=100, resample_seeds=False)
        for _ in range(60)
    ]
    assert np.mean([f.low <= 1 <= f.high for f in found]) < 0.4


def test_seeds_alone_give_students_interval() -> None:
    offsets = np.array([0.6, 1.1, 1.3, 1.9, 0.8])
    data = planted({"a": np.zeros(20), "b": np.full(20, 2.0)}, 4, seeds=5)
    for seed, offset in enumerate(offsets):
        data.scores["a", seed] = WindowScores({"crps": np.full(20, offset)}, {"crps": np.ones(20)})
    found = paired_difference(data, "a", "b", resamples=20_000)
    reach = 2.776 * offsets.std(ddof=1) / np.sqrt(5)
    assert found.low == pytest.approx(offsets.mean() - 2 - reach, abs=0.06 * reach)
    assert found.high == pytest.approx(offsets.mean() - 2 + reach, abs=0.06 * reach)
    assert found.relative == pytest.approx(offsets.mean() / 2 - 1)
    assert found.relative_low == pytest.approx(found.low / 2)
    assert found.relative_high == pytest.approx(found.high / 2)


def test_the_relative_difference_is_that_of_the_same_replicates() -> None:
    rng = np.random.default_rng(5)
    hard = rng.gamma(1, 5, size=50)
    found = paired_difference(planted({"a": 0.9 * hard, "b": hard}, 5, seeds=2), "a", "b")
    assert found.low < found.difference < found.high < 0
    for value in (found.relative, found.relative_low, found.relative_high):
        assert value == pytest.approx(-0.1)


def test_a_relative_interval_is_open_where_seeds_leave_the_reference_open() -> None:
    """Two seeds, of which one is lost: nothing above -100 % can be excluded."""
    rng = np.random.default_rng(8)
    hard = rng.gamma(2, 5, size=50)
    data = planted({"a": hard, "b": hard}, 5, seeds=2)
    data.scores["b", 1] = WindowScores({"crps": 30 * hard}, {"crps": np.ones(50)})
    found = paired_difference(data, "a", "b")
    assert found.low < found.difference < 0 < found.high
    assert found.relative == pytest.approx(2 / 31 - 1)
    assert -1 <= found.relative_low < found.relative
    assert found.relative_high == np.inf


def test_relative_and_absolute_intervals_agree_on_the_sign() -> None:
    rng = np.random.default_rng(9)
    signs = []
    for _ in range(40):
        data = planted({"a": np.ones(12), "b": np.ones(12)}, 4, seeds=3)
        for model, level in (("a", 1.0), ("b", 1.6)):
            for seed in range(3):
                values = level * rng.gamma(4, 1 / 4) * rng.gamma(4, 1 / 4, size=12)
                data.scores[model, seed] = WindowScores({"crps": values}, {"crps": np.ones(12)})
        found = paired_difference(data, "a", "b", resamples=500)
        assert (found.high < 0) == (found.relative_high < 0)
        assert (found.low > 0) == (found.relative_low > 0)
        signs.append((found.high < 0, np.isinf(found.relative_high)))
    assert {clear for clear, _ in signs} == {True, False}
    assert any(is_open for _, is_open in signs)


def test_replicates_of_nothing_say_nothing_of_a_ratio() -> None:
    """Intermittent demand: both models are exact but for two windows of eight."""
    errors = np.array([0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 5.0])
    found = paired_difference(planted({"a": errors / 2, "b": errors}, 2), "a", "b")
    ends = (found.relative, found.relative_low, found.relative_high)
    assert ends == pytest.approx((-0.5, -0.5, -0.5))


def test_there_is_no_relative_difference_from_nothing() -> None:
    hard = np.random.default_rng(5).gamma(1, 5, size=50)
    nothing = paired_difference(planted({"a": hard, "b": 0 * hard}, 5), "a", "b")
    assert np.isnan([nothing.relative, nothing.relative_low, nothing.relative_high]).all()


def test_coverage_has_an_interval_beside_its_width() -> None:
    rng = np.random.default_rng(6)
    data = planted({"a": np.ones(400)}, 10)
    hits = rng.binomial(10, 0.8, size=400).astype(float)
    known = np.full(400, 10.0)
    sums = {"coverage_80": hits, "coverage_50": known, "width_80": 3 * known}
    data.scores["a", 0] = WindowScores(sums, dict.fromkeys(sums, known))
    found = coverage_intervals(data)
    assert list(found.columns) == ["model", "nominal", "coverage", "low", "high", "width"]
    assert found["nominal"].tolist() == [0.5, 0.8]
    all_inside, row = found.iloc[0], found.iloc[1]
    assert all_inside["coverage"] == 1
    assert np.isnan(all_inside["width"])
    assert row["coverage"] == pytest.approx(hits.mean() / 10)
    assert row["width"] == 3
    error = hits.std() / 10 / 20
    assert row["low"] == pytest.approx(row["coverage"] - 1.96 * error, abs=0.2 * error)
    assert row["high"] == pytest.approx(row["coverage"] + 1.96 * error, abs=0.2 * error)


@pytest.mark.parametrize("inside", [0, 1])
def test_coverage_without_an_exception_is_not_certain(inside: int) -> None:
    """One label a window: Clopper and Pearson's interval, of the windows that have one."""
    data = planted({"a": np.ones(20)}, 4)
    known = np.where(np.arange(20) < 15, 1.0, 0.0)
    sums = {"coverage_90": inside * known}
    data.scores["a", 0] = WindowScores(sums, {"coverage_90": known})
    exact = binomtest(15 * inside, 15).proportion_ci(0.9, method="exact")
    row = coverage_intervals(data, confidence=0.9).iloc[0]
    assert row["coverage"] == inside
    assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high))
    by_series = coverage_intervals(data, confidence=0.9, unit="series").iloc[0]
    exact = binomtest(3 * inside, 3).proportion_ci(0.9, method="exact")
    assert (by_series["low"], by_series["high"]) == pytest.approx((exact.low, exact.high))


def test_coverage_lies_between_0_and_1() -> None:
    data = planted({"a": np.ones(6)}, 2, seeds=2)
    for seed, hits in enumerate((6.0, 10.0)):
        sums = {"coverage_90": np.full(6, hits)}
        data.scores["a", seed] = WindowScores(sums, {"coverage_90": np.full(6, 10.0)})
    row = coverage_intervals(data, ["a"]).iloc[0]
    assert (row["low"], row["coverage"], row["high"]) == (0, 0.8, 1)
    with pytest.raises(ValueError, match="no coverage of 'a'"):
        coverage_intervals(planted({"a": np.ones(6)}, 2))


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


def test_a_model_that_no_seed_changes_stands_beside_every_seed() -> None:
    rng = np.random.default_rng(7)
    all_seeds = seeded(rng, 5, 0.5, 0.2)
    one = replace(
        all_seeds,
        scores={cell: s for cell, s in all_seeds.scores.items() if cell[0] == "a" or cell[1] == 3},
    )
    assert len(one.scores) == 6
    for a, b in (("a", "b"), ("b", "a")):
        assert paired_difference(one, a, b) == paired_difference(all_seeds, a, b)
    itself = paired_difference(one, "a", "a")
    assert (itself.low, itself.difference, itself.high, itself.num_seeds) == (0, 0, 0, 5)


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
