"""Selective scores on planted cases: an uncertainty that knows all, nothing, or the opposite."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsbnn.evaluation import StoredScores, selective_scores
from tsbnn.evaluation.metrics import WindowScores

Seeds = list[tuple[np.ndarray, np.ndarray]]


def planted(seeds: Seeds, total: np.ndarray | float = 1.0, items: int = 2) -> StoredScores:
    """Scores and epistemic variances of each seed; windows of several series."""
    count = len(seeds[0][0])
    windows = pd.DataFrame({"item_id": np.arange(count) % items, "window": np.arange(count)})
    stored = StoredScores(windows)
    for seed, (score, epistemic) in enumerate(seeds):
        labels = np.full(count, 4.0)
        stored.add(
            "m",
            seed,
            WindowScores(
                {"crps": 4 * score, "rmse": 4 * score**2, "epistemic_share": epistemic},
                {
                    "crps": labels,
                    "rmse": labels,
                    "epistemic_share": np.broadcast_to(total, count).astype(float),
                },
            ),
        )
    return stored


RNG = np.random.default_rng(0)
SCORE = RNG.gamma(2, 3, size=200)


def test_an_uncertainty_that_orders_the_scores_is_the_oracle() -> None:
    found = selective_scores(planted([(SCORE, np.exp(SCORE))]), "m", resamples=100)
    np.testing.assert_allclose(found.score, found.oracle)
    kept = [np.sort(SCORE)[: round(200 * share)].mean() for share in found.kept]
    np.testing.assert_allclose(found.score, kept)
    assert found.skill == pytest.approx(1)
    assert found.skill_low == pytest.approx(1)
    assert found.random == pytest.approx(SCORE.mean())
    assert found.score[-1] == pytest.approx(SCORE.mean())
    assert (found.num_units, found.num_seeds) == (200, 1)
    assert (found.low < found.score).all()
    assert (found.score < found.high).all()


def test_an_uncertainty_that_tells_nothing_has_no_skill() -> None:
    same = selective_scores(planted([(SCORE, np.full(200, 0.3))]), "m", resamples=50)
    np.testing.assert_allclose(same.score, SCORE.mean())
    assert (same.skill, same.skill_low, same.skill_high) == pytest.approx((0, 0, 0), abs=1e-12)
    rng = np.random.default_rng(5)
    noise = [
        selective_scores(planted([(SCORE, rng.random(200))]), "m", resamples=50) for _ in range(60)
    ]
    assert np.mean([found.skill for found in noise]) == pytest.approx(0, abs=0.05)
    assert np.mean([found.skill_low < 0 < found.skill_high for found in noise]) > 0.85


def test_a_misleading_uncertainty_has_negative_skill() -> None:
    found = selective_scores(planted([(SCORE, -SCORE)]), "m", resamples=50)
    assert found.skill_high < 0
    assert found.score[0] == pytest.approx(np.sort(SCORE)[-10:].mean())


def test_windows_of_the_same_uncertainty_come_in_random_order() -> None:
    level = RNG.integers(0, 3, size=60).astype(float)
    score = level + RNG.random(60)
    found = selective_scores(planted([(score, level)]), "m", kept=(0.25, 0.5, 0.8), resamples=2)
    orders = [np.lexsort([RNG.random(60), level]) for _ in range(4000)]
    expected = [np.mean([score[o[:n]].mean() for o in orders]) for n in (15, 30, 48)]
    np.testing.assert_allclose(found.score, expected, rtol=3e-3)


def test_the_interval_of_the_skill_covers() -> None:
    def draw(rng: np.random.Generator, count: int) -> StoredScores:
        uncertainty = rng.gamma(3, 1, size=count)
        return planted([(uncertainty * rng.exponential(1, size=count), uncertainty)])

    rng = np.random.default_rng(2)
    truth = selective_scores(draw(rng, 200_000), "m", resamples=1).skill
    assert 0.2 < truth < 0.8
    covered = 0
    for seed in range(100):
        settings = {"confidence": 0.9, "resamples": 100, "kept": np.linspace(0.1, 1, 10)}
        found = selective_scores(draw(rng, 150), "m", seed=seed, **settings)  # type: ignore[arg-type]
        covered += found.skill_low <= truth <= found.skill_high
    assert covered >= 80


def test_curves_are_averaged_over_seeds() -> None:
    both = [(SCORE, SCORE), (SCORE + 1, -SCORE)]
    found = selective_scores(planted(both), "m", resamples=20)
    alone = [selective_scores(planted([one]), "m", resamples=20) for one in both]
    assert found.num_seeds == 2
    np.testing.assert_allclose(found.score, (alone[0].score + alone[1].score) / 2)
    assert found.random == pytest.approx(SCORE.mean() + 0.5)
    fixed = selective_scores(planted(both), "m", resamples=20, resample_seeds=False)
    assert (fixed.high - fixed.low < found.high - found.low).all()
    assert fixed.skill_high < found.skill_high == 1


def test_each_uncertainty_is_its_own_order() -> None:
    total = RNG.gamma(3, 1, size=200)
    scored = planted([(total, RNG.random(200) * total)], total=total)
    skills = {
        by: selective_scores(scored, "m", by=by, resamples=20).skill  # type: ignore[arg-type]
        for by in ("total", "epistemic", "share")
    }
    assert skills["total"] == pytest.approx(1)
    assert 0.2 < skills["epistemic"] < 0.9
    assert abs(skills["share"]) < 0.3
    by_error = selective_scores(scored, "m", "rmse", by="total", resamples=20)
    np.testing.assert_allclose(
        by_error.score, selective_scores(scored, "m", by="total", resamples=2).score
    )


def test_windows_that_do_not_tell_are_left_out() -> None:
    total = np.r_[np.ones(150), np.zeros(50)]
    scored = planted([(SCORE, np.r_[SCORE[:150], np.zeros(50)])], total=total)
    found = selective_scores(scored, "m", resamples=5)
    assert found.random == pytest.approx(SCORE[:150].mean())
    assert found.skill == pytest.approx(1)


def test_a_width_is_taken_by_the_seasonal_error_and_needs_no_draws() -> None:
    scale = RNG.gamma(2, 1, size=200)
    windows = pd.DataFrame({"item_id": np.arange(200), "window": 0, "seasonal_error": scale})
    windows.loc[150:, "seasonal_error"] = np.nan
    labels = np.full(200, 4.0)
    stored = StoredScores(windows)
    sums = {"mase": 4 * SCORE, "width_50": 4 * SCORE * scale}
    stored.add("point", 0, WindowScores(sums, dict.fromkeys(sums, labels)))
    found = selective_scores(stored, "point", "mase", by="width", resamples=5)
    assert found.skill == pytest.approx(1)
    assert found.random == pytest.approx(SCORE[:150].mean())
    with pytest.raises(ValueError, match="the variances of 'point' are not known"):
        selective_scores(stored, "point", "mase", by="epistemic")
    with pytest.raises(ValueError, match="the widths of 'point' are not known"):
        selective_scores(StoredScores.of(stored, ["mase"]), "point", "mase", by="width")
    without = StoredScores(windows.drop(columns="seasonal_error"), scores=stored.scores)
    with pytest.raises(ValueError, match="needs the column 'seasonal_error'"):
        selective_scores(without, "point", "mase", by="width")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "other"}, "no results of 'other'; there are m"),
        ({"metric": "mase"}, "no score 'mase'"),
        ({"by": "aleatoric"}, "by must be 'epistemic', 'total', 'share' or 'width', not"),
        ({"kept": (0.0, 0.5)}, "ascending shares"),
        ({"kept": (0.5, 0.4)}, "ascending shares"),
        ({"confidence": 2}, "confidence"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        selective_scores(planted([(SCORE, SCORE)]), **{"model": "m", **arguments})


def test_variances_must_be_known_and_tell() -> None:
    scored = planted([(SCORE, SCORE)], items=200)
    assert selective_scores(scored, "m", by="share", resamples=2).skill == pytest.approx(1)
    with pytest.raises(ValueError, match="each series has one window"):
        selective_scores(scored, "m", by="total")
    with pytest.raises(ValueError, match="no window has both an uncertainty"):
        selective_scores(planted([(SCORE, SCORE)], total=0.0), "m")
    few = StoredScores.of(scored, ["crps"])
    with pytest.raises(ValueError, match="the variances of 'm' are not known"):
        selective_scores(few, "m")
