"""What was to be shown: a goal is met, missed, or has no answer yet."""

from __future__ import annotations

import pandas as pd

from benchmarks.cells import kept
from benchmarks.forecasting import page
from benchmarks.forecasting.goals import NOT_RUN, goals, verdict
from benchmarks.forecasting.grid import DATASETS, NAIVE, SCALED_ELBO
from benchmarks.output import PAGE

FEWER = DATASETS[:-1]
OTHERS = (
    *("deepar, elbo", SCALED_ELBO, "deepar, ensemble"),
    *("deepar, map", "gluonts_deepar", NAIVE),
)
COVERED = {"coverage_50": 0.52, "coverage_80": 0.81, "coverage_90": 0.9, "coverage_95": 0.93}


def rows(models: dict[str, float], num_seeds: int = 3, **scores: float) -> pd.DataFrame:
    """Scores of models, each with its training time."""
    return pd.DataFrame(
        [
            {
                **{"dataset": d, "model": model, "seed": seed, "metric": metric},
                **{"value": value, "wall_s": seconds},
            }
            for d in DATASETS
            for seed in range(num_seeds)
            for model, seconds in models.items()
            for metric, value in scores.items()
        ]
    )


def difference(other: str, middle: float, half: float, num_seeds: int = 3) -> pd.DataFrame:
    ends = {"relative": middle, "relative_low": middle - half, "relative_high": middle + half}
    return pd.DataFrame(
        [
            {"dataset": d, "a": "deepar, score", "b": other, "num_seeds": num_seeds, **ends}
            for d in DATASETS
        ]
    )


def trained(elbo: dict[int, float]) -> pd.DataFrame:
    """Score VI whose training ELBO by budget is this; the ELBO ends at 0."""
    found = [("score", budget, value) for budget, value in elbo.items()] + [("elbo", 5_000, 0.0)]
    return pd.DataFrame(
        [
            {
                "dataset": d,
                "method": m,
                "budget": b,
                "loss": -value,
                "kl": 0.0,
                "num_observations": 1,
            }
            for d in DATASETS
            for m, b, value in found
        ]
    )


def answers(**changed: pd.DataFrame) -> pd.DataFrame:
    """The table of a score VI that is good at everything, but for what is changed."""
    given = {
        "results": rows({"deepar, score": 1.0, "gluonts_deepar": 2.0}, mean_wql=0.001, **COVERED),
        "differences": pd.concat(difference(other, -0.2, 0.1) for other in OTHERS),
        "calibration": rows({"deepar, score": 0.0}, **COVERED).assign(intervals="calibrated"),
        "convergence": trained({2_500: 0.1, 5_000: 0.2}),
    }
    return goals(**(given | changed))


def test_a_verdict_counts_and_names_what_failed() -> None:
    holds = pd.Series(True, DATASETS)
    assert verdict(holds, 5) == "met: 5 of 5"
    holds["etth1"] = False
    assert verdict(holds, 4) == "met: 4 of 5, not etth1"
    assert verdict(holds, 5) == "**missed**: 4 of 5, not etth1"
    assert verdict(pd.Series(False, DATASETS), 1) == "**missed**: 0 of 5"
    assert verdict(pd.Series(True, FEWER), 1) == NOT_RUN


def test_all_goals_can_be_met_and_what_has_not_been_run_has_no_answer() -> None:
    found = answers()
    assert found.DeepAR.str.startswith("met").all()
    assert (found[["Transformer", "GluonTS's TFT"]] == NOT_RUN).all(axis=None)


def test_each_goal_can_be_missed() -> None:
    wide = {"coverage_50": 0.54, "coverage_80": 0.8, "coverage_90": 0.9, "coverage_95": 0.95}
    found = answers(
        results=rows({"deepar, score": 3.0, "gluonts_deepar": 2.0}, mean_wql=0.3, **wide),
        differences=pd.concat(difference(other, 0.2, 0.1) for other in OTHERS),
        calibration=rows({"deepar, score": 0.0}, **wide).assign(intervals="calibrated"),
        convergence=trained({2_500: -0.1, 5_000: 0.2}),
    )
    assert found.DeepAR.str.startswith("**missed**").all()


def test_two_seeds_are_no_answer() -> None:
    models = {"deepar, score": 1.0, "gluonts_deepar": 2.0}
    found = answers(
        results=rows(models, num_seeds=2, mean_wql=0.001, **COVERED),
        differences=pd.concat(difference(other, -0.2, 0.1, num_seeds=2) for other in OTHERS),
    ).set_index("goal")
    # Training ELBOs and calibration have one seed, and the results page says so.
    assert set(found.DeepAR[found.DeepAR != NOT_RUN].index) == {
        "Half of the gradients to the ELBO's last training ELBO, on 4",
        "… after conformal calibration, on 4",
    }


def test_where_the_ends_of_the_intervals_matter() -> None:
    near = pd.concat(
        [
            difference("deepar, elbo", 0.005, 0.004),
            difference(SCALED_ELBO, 0.005, 0.01),
            difference("deepar, ensemble", 0.1, 0.2),
            difference("gluonts_deepar", -0.01, 0.5),
        ]
    )
    found = answers(differences=near).set_index("goal").DeepAR
    words = {goal.split(":")[0]: answer.split(":")[0] for goal, answer in found.items()}
    assert words["CRPS against the ELBO"] == "met"
    assert words["… and lies below zero, on 3"] == "**missed**"
    assert words["… the ELBO with trials of both its rates"] == "**missed**"
    assert words["CRPS against the ensemble with the same budget"] == "met"
    assert words["CRPS against GluonTS's own DeepAR"] == "met"


def test_the_best_model_is_held_against_the_naive_and_map() -> None:
    goal = "… its CRPS clearly below those of the seasonal naive and of MAP"

    def told(**changed: pd.DataFrame) -> str:
        return answers(**changed).set_index("goal").DeepAR[goal]

    near = [difference(NAIVE, -0.2, 0.1), difference("deepar, map", -0.2, 0.3)]
    assert told(differences=pd.concat(near)) == "**missed**: not MAP"
    assert told(differences=near[0]) == NOT_RUN
    results = pd.concat(
        rows({model: 1.0}, mean_wql=value, **COVERED)
        for model, value in (("deepar, score", 0.2), ("deepar, map", 0.1))
    )
    assert told(results=results) == "**missed**: MAP is the best itself"


def test_the_published_goals_are_those_of_the_results() -> None:
    found = pd.read_csv(PAGE.parent / "results/forecasting_differences.csv")
    table = goals(kept("forecasting"), found, kept("forecasting_calibrated"), kept("convergence"))
    for path in (PAGE, page.SHORT_PAGE):
        text = path.read_text(encoding="utf-8")
        for row in table.itertuples(index=False):
            assert f"| {' | '.join(row)} |" in text
