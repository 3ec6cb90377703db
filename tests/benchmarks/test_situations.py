"""Situations where a model knows less: what is home and away, and how growth is measured."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import situations
from benchmarks.cells import Cell, kept
from benchmarks.forecasting.models import estimator
from benchmarks.output import PAGE, markdown
from benchmarks.situations import AWAY, FAR, HOME, NEAR, measure, table


def hourly_data() -> Any:
    """Three series of ten days and two windows of six hours, with slopes of 1, 2 and 3."""
    start = pd.Period("2020-01-01", "h")
    jump = np.where(np.arange(240) < 228, 0.0, 1e6)  # in the test windows
    dataset = [
        {"item_id": name, "start": start, "target": slope * np.arange(240.0) + jump}
        for slope, name in enumerate("abc", 1)
    ]
    training = [{**series, "target": series["target"][:228]} for series in dataset]
    return SimpleNamespace(
        dataset=dataset, training=training, freq="h", season=24, prediction_length=6, stride=6,
        windows=2,
    )  # fmt: skip


def test_a_short_history_is_one_day_before_the_same_window() -> None:
    data = hourly_data()
    found = situations.short_history(data, seed=0)
    assert [len(known["target"]) for known in found.training] == [228] * 3
    home, away = found.cases[6:8]
    assert (home.side, away.side) == (HOME, AWAY)
    np.testing.assert_array_equal(home.series["target"], data.dataset[1]["target"])
    np.testing.assert_array_equal(away.series["target"], data.dataset[1]["target"][210:])
    assert away.series["start"] == pd.Period("2020-01-09 18:00", "h")
    # A straight line: a season's difference is the season by the slope.
    assert [case.scale for case in found.cases] == [24.0] * 4 + [48.0] * 4 + [72.0] * 4


@pytest.mark.parametrize(("seed", "unseen"), [(0, ["a", "c"]), (1, ["b"])])
def test_unseen_series_are_not_trained_on(seed: int, unseen: list[str]) -> None:
    data = hourly_data()
    found = situations.unseen_series(data, seed)
    assert [s["item_id"] for s in found.training] == [c for c in "abc" if c not in unseen]
    away = {case.series["item_id"] for case in found.cases if case.side == AWAY}
    home = {case.series["item_id"] for case in found.cases if case.side == HOME}
    assert sorted(away) == unseen
    assert home == set("abc") - away
    assert [len(case.series["target"]) for case in found.cases] == [234, 240] * 3
    assert [case.scale for case in found.cases] == [24.0] * 2 + [48.0] * 2 + [72.0] * 2


def test_a_new_season_is_far_from_the_training() -> None:
    start = pd.Period("2013-03-31 23:00", "h")
    hours = 24 * 330
    series = {
        "item_id": "demand",
        "start": start,
        "target": np.arange(float(hours)),
        "feat_dynamic_real": np.zeros((2, hours)),
    }
    data = SimpleNamespace(dataset=[series], season=168, prediction_length=24)
    found = situations.new_season(data, seed=0)
    (known,) = found.training
    assert known["start"] == pd.Period("2013-04-01 00:00", "h")
    ends = {
        side: [
            case.series["start"] + len(case.series["target"])
            for case in found.cases
            if case.side == side
        ]
        for side in (HOME, AWAY)
    }
    assert known["start"] + len(known["target"]) == pd.Period("2013-09-01", "h")
    assert {case.scale for case in found.cases} == {168.0}
    assert ends[HOME][0] == pd.Period("2013-09-02", "h")
    assert ends[AWAY][0] == pd.Period("2014-01-05", "h")
    assert ends[AWAY][-1] == pd.Period("2014-02-01", "h")
    assert {case.series["feat_dynamic_real"].shape[1] for case in found.cases} == {
        len(case.series["target"]) for case in found.cases
    }


@pytest.mark.parametrize("name", ["short_history", "unseen_series"])
def test_a_window_that_is_trained_on_is_refused(name: str) -> None:
    data = hourly_data()
    make = getattr(situations, name)
    situations.check(make(data, 0), data.prediction_length)
    longer = [
        {**series, "target": series["target"][:229] if series["item_id"] == "b" else known}
        for series, known in zip(data.dataset, (s["target"] for s in data.training), strict=True)
    ]
    data.training = longer
    with pytest.raises(ValueError, match="b is trained on up to 2020-01-10 13:00, its window is"):
        situations.check(make(data, 0), data.prediction_length)


def forecast(mean: float, epistemic: list[float], spread: float) -> Any:
    """Paths of constant quantiles about a mean, and what they say of their variance."""
    samples = mean + spread * np.linspace(-2, 2, 101)[:, None] * np.ones(8)
    return SimpleNamespace(
        mean=np.full(8, mean),
        samples=samples,
        epistemic_variance=np.array(epistemic),
        total_std=np.full(8, spread),
    )


def test_growth_is_measured_in_seasonal_errors_and_near_and_far_apart() -> None:
    steps = [1.0] * 4 + [9.0] * 4
    home = [forecast(1.0, steps, 2.0)] * 10
    forecasts = [*home, *[forecast(6.0, [16.0] * 8, 3.0)] * 3]
    labels = np.zeros((13, 8))
    labels[1, -1] = 9.0
    labels[0, 0] = np.nan
    scale, side = np.array([2.0] * 10 + [4.0] * 3), np.array([HOME] * 10 + [AWAY] * 3)
    found = measure(forecasts, labels, scale, side)
    assert found[f"{NEAR}, epistemic sd"] == pytest.approx(1 / 2)
    assert found[f"{FAR}, epistemic sd"] == pytest.approx(3 / 2)
    assert found[f"{HOME}, epistemic sd"] == pytest.approx(5**0.5 / 2)
    assert found[f"{AWAY}, epistemic sd"] == pytest.approx(4 / 4)
    assert found[f"{AWAY}, total sd"] == pytest.approx(3 / 4)
    # One window of ten has a large error at the end, and is left out.
    assert found[f"{HOME}, error"] == pytest.approx(1 / 2)
    assert found[f"{AWAY}, error"] == pytest.approx(6 / 4)
    # All but one of 79 labels, and of the twenty at the two last steps.
    assert found[f"{HOME}, coverage"] == pytest.approx(78 / 79)
    assert found[f"{FAR}, coverage"] == pytest.approx(19 / 20)
    # 6 ± 2 · 3 · 0.95 does not reach down to 0.
    assert found[f"{AWAY}, coverage"] == 0.0


def test_an_epistemic_part_that_sinks_in_the_noise_is_not_known() -> None:
    noisy = [forecast(0.0, [value] * 8, 1.0) for value in (-2.0, 2.0, -1.0, 1.0, 0.1) * 4]
    arguments = np.zeros((40, 8)), np.ones(40), np.array([HOME] * 20 + [AWAY] * 20)
    found = measure([*noisy, *[forecast(0.0, [0.1] * 8, 1.0)] * 20], *arguments)
    assert np.isnan(found[f"{HOME}, epistemic sd"])
    assert found[f"{AWAY}, epistemic sd"] == pytest.approx(0.1**0.5)


def growth_rows(seeds: tuple[int, ...]) -> pd.DataFrame:
    """Everything is twice as large away, four times under odd seeds, and three times far off."""
    return pd.DataFrame(
        [
            {
                "dataset": f"{name} of {dataset}",
                "model": model,
                "seed": seed,
                "metric": f"{side}, {quantity}",
                "value": factor / 4 if quantity == "coverage" else factor,
            }
            for name, dataset in reversed(situations.PLACES)
            for seed in seeds
            for model in reversed(situations.MODELS)
            for side, factor in (
                (HOME, 1.0),
                (NEAR, 1.0),
                (AWAY, 4.0 if seed % 2 else 2.0),
                (FAR, 3.0),
            )
            for quantity in (*situations.QUANTITIES, "coverage")
        ]
    )


def test_the_table_has_growth_over_seeds_and_the_far_horizon_last() -> None:
    rows = growth_rows((1, 0))
    lost = (rows.metric == f"{NEAR}, epistemic sd") & (rows.seed == 1)
    rows.loc[lost, "value"] = np.nan
    found = table(rows)
    order = [*(name for name, _ in situations.PLACES), "far horizon", "far horizon"]
    assert found.situation.tolist() == [name for name in order for _ in situations.MODELS]
    assert found.model.tolist() == list(situations.MODELS) * len(order)
    one = found.set_index(["situation", "dataset", "model"]).sort_index()
    # The geometric mean of 2 and 4.
    unseen = one.loc["unseen series", "m4_hourly", "deepar, score"]
    assert unseen["error"] == "× 2.83 (2.00 – 4.00)"
    assert unseen["95 % covers"] == "25 → 75"
    far = one.loc["far horizon", "nyc_taxi", "deepar, map"]
    assert far["total sd"] == "× 3.00 (3.00 – 3.00)"
    assert far["epistemic sd"] == "–"


def test_unseen_series_need_as_many_even_as_odd_seeds() -> None:
    found = table(growth_rows((0, 1, 2)))
    seeds = found.groupby("situation").seeds.unique()
    assert seeds["unseen series"].tolist() == [2]
    assert seeds["short history"].tolist() == [3]
    assert "unseen series" not in set(table(growth_rows((0, 2))).situation)


@pytest.mark.parametrize("method", ["ensemble", "map"])
def test_a_situation_is_trained_and_measured(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(situations, "estimator", partial(estimator, gradient_evaluations=40))
    cell = Cell("short history of seattle_weather", f"deepar, {method}", 0)
    values = situations.evaluate(cell).set_index("metric").value
    epistemic = values.index.str.contains("epistemic")
    assert np.isfinite(values[~epistemic]).all()
    assert np.isnan(values[epistemic]).all() == (method == "map")
    assert values[f"{HOME}, error"] > 0
    assert 0 <= values[f"{AWAY}, coverage"] <= 1


def test_the_published_table_is_that_of_the_results() -> None:
    assert markdown(table(kept("situations"))) in PAGE.read_text(encoding="utf-8")
