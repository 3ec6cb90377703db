"""What the comparison found, as a page: `python -m benchmarks.forecasting.page`.

Writes results/forecasting.md with all its tables, those of them that RESULTS.md and docs/results.md
show, and its plots to docs/images/; differences, coverages with their intervals, and selective
scores go to results/forecasting_*.csv too. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.cells import kept
from benchmarks.forecasting import calibrated, plots, tables, tuning
from benchmarks.forecasting.concentration import concentrations
from benchmarks.forecasting.goals import goals
from benchmarks.forecasting.grid import DATASETS
from benchmarks.forecasting.tables import MAIN, PARTS, TRANSFORMER, WRAPPED_TFT
from benchmarks.output import PAGE, RESULTS, fill, markdown, write
from tsbnn import plotting
from tsbnn.evaluation import StoredScores, compare_ranks

SHORT_PAGE = RESULTS.parents[1] / "docs/results.md"
GOALS = "Goals"
CRPS, WQL = "CRPS", "Mean weighted quantile loss"
SCATTER, COVERAGE = "Scatter over seeds", "Coverage"
EPISTEMIC = "The epistemic part"
WARNS = "Does the spread warn?"
CALIBRATION = "Conformal calibration"
LEARNING_RATES = "Learning rates, on validation windows"
#: Sections whose tables RESULTS.md shows.
SHOWN = (
    GOALS,
    *(f"{CRPS}: {part}" for part in PARTS),
    f"{WQL}: {MAIN}",
    *(
        f"{title}: {part}"
        for title in (SCATTER, COVERAGE)
        for part in (MAIN, TRANSFORMER, WRAPPED_TFT)
    ),
    "Differences",
    EPISTEMIC,
    WARNS,
    CALIBRATION,
)
HEAD = """# The comparison in full

Written by `python -m benchmarks.forecasting.page` from what stands beside it; what follows from it
is in [the results](../RESULTS.md). Test windows, 5,000 gradient evaluations, ± one standard error
over seeds. *Over the best* is the mean over the sets of the ratio to the best of "DeepAR and
peers"; scatter over seeds is the standard deviation of CRPS relative to its mean, from three seeds
on; coverage is that of the central intervals of 50, 80, 90 and 95 % in percent, bold where all are
within three points.
"""


def sections(results: pd.DataFrame, scores: dict[str, StoredScores]) -> Iterator[tuple[str, str]]:
    """Headings and texts of the page; files and the plot are written on the way."""
    found = tables.differences(scores)
    parts = tables.parts(results)
    calibration = kept("forecasting_calibrated")
    yield GOALS, markdown(goals(results, found, calibration, kept("convergence")))
    for part, rows in parts.items():
        for metric, title in (("crps", CRPS), ("mean_wql", WQL)):
            yield f"{title}: {part}", markdown(tables.matrix(rows, metric, among=parts[MAIN]))
        if len(scattered := tables.scatter(rows)):
            yield f"{SCATTER}: {part}", markdown(scattered)
        yield f"{COVERAGE}: {part}", markdown(tables.coverage_matrix(rows))
    plot = "![Width against coverage](../../docs/images/comparison-coverage.png)"
    yield "Width against coverage", plot
    write(plots.draw_coverage(scores), "forecasting_coverage")
    write(found, "forecasting_differences")
    note = "Paired, with 95 % intervals of a bootstrap over series, windows and seeds."
    yield "Differences", f"{note}\n\n{markdown(tables.difference_matrix(found))}"
    note = (
        "The same with whole windows drawn over all series, which allows for series that go "
        "together; m4_hourly has one window."
    )
    coarser = tables.difference_matrix(tables.differences(scores, tables.CLOSER, "window"))
    yield "Differences, by whole windows", f"{note}\n\n{markdown(coarser)}"
    note = "The same for these very trainings: windows are drawn, seeds are not."
    fixed = tables.difference_matrix(
        tables.differences(scores, tables.CLOSER, resample_seeds=False)
    )
    yield "Differences, with the seeds as they are", f"{note}\n\n{markdown(fixed)}"
    by_rank = tables.ranks(parts[MAIN])
    if len(by_rank) > 1 and by_rank.shape[1] > 2:
        comparison = compare_ranks(by_rank)
        plots.draw_ranks(comparison)
        average = comparison.average_ranks.round(2).sort_values().reset_index()
        average.columns = ["model", "average rank"]
        yield "Ranks", f"{markdown(average)}\n\n![Average ranks](../../docs/images/ranks.png)"
    note = (
        "Its share of the variance, and the width of the 50 % intervals over DeepAR's bare MAP's."
    )
    yield EPISTEMIC, f"{note}\n\n{markdown(tables.epistemic_matrix(results))}"
    informed = tables.selective(scores)
    write(informed, "forecasting_selective")
    note = (
        "Skill of dropping the forecasts of largest spread first, by MASE: 0 is chance, 1 the best "
        "order there is, with 95 % intervals, bold where they do not reach 0. *Epistemic* and "
        "*total* are variances over their mean in the same series, *width* that of the 50 % "
        "interval over the seasonal error, which points have as well."
    )
    plots.draw_selective(scores)
    plot = "![Selective forecasting](../../docs/images/comparison-selective.png)"
    yield WARNS, f"{note}\n\n{markdown(tables.selective_matrix(informed))}\n\n{plot}"
    yield CALIBRATION, markdown(calibrated.table(calibration))
    largest = concentrations(scores)
    write(largest, "forecasting_concentration")
    yield "What the largest series decide", markdown(largest.round(3))
    yield (
        LEARNING_RATES,
        markdown(tuning.chosen(kept("tuning")).round(4).fillna("–")),
    )
    for dataset in DATASETS:
        yield dataset, markdown(tables.scoreboard(results, dataset))


def table_of(text: str) -> str:
    """The lines of a section's table."""
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def main() -> None:
    results = kept("forecasting")
    with plt.rc_context(plotting.style()):
        found = dict(sections(results, tables.stored()))
    shown = {h: table_of(found[h]) if h in found else "(too few seeds yet)" for h in SHOWN}
    short = {title: markdown(table) for title, table in tables.summary(results).items()}
    short[GOALS] = shown[GOALS]
    page = "\n".join([HEAD, *(f"## {heading}\n\n{text}\n" for heading, text in found.items())])
    (RESULTS / "forecasting.md").write_text(page)
    fill(PAGE, shown)
    fill(SHORT_PAGE, short)
    print(page)


if __name__ == "__main__":
    main()
