"""What the comparison found, as a page: `python -m benchmarks.forecasting.page`.

Writes results/forecasting.md with all its tables, those of them that RESULTS.md and docs/results.md
show, and its plots to docs/images/; differences, coverages with their intervals, and selective
scores go to results/forecasting_*.csv too. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from benchmarks.cells import kept
from benchmarks.forecasting import calibrated, plots, tables, tuning
from benchmarks.forecasting.concentration import concentrations
from benchmarks.forecasting.grid import DATASETS
from benchmarks.output import PAGE, RESULTS, fill, markdown, write
from tsbnn.evaluation import StoredScores, compare_ranks

SHORT_PAGE = RESULTS.parents[1] / "docs/results.md"
CALIBRATION = "Conformal calibration"
OTHER_RATES = "CRPS at other learning rates"
SCATTER = "Scatter over seeds"
LEARNING_RATES = "Learning rates, on validation windows"
#: Sections whose tables RESULTS.md shows.
SHOWN = (
    "CRPS",
    "Mean weighted quantile loss",
    OTHER_RATES,
    SCATTER,
    "Coverage",
    "Differences",
    CALIBRATION,
    LEARNING_RATES,
)
HEAD = """# The comparison in full

Written by `python -m benchmarks.forecasting.page` from what stands beside it; what follows from it
is in [the results](../RESULTS.md). Test windows, 5,000 gradient evaluations, ± one standard error
over seeds.
"""


def sections(results: pd.DataFrame, scores: dict[str, StoredScores]) -> Iterator[tuple[str, str]]:
    """Headings and texts of the page; files and the plot are written on the way."""
    tuned = tables.tuned(results)
    yield "CRPS", markdown(tables.matrix(tuned))
    yield "Mean weighted quantile loss", markdown(tables.matrix(tuned, "mean_wql"))
    others = results.drop(tuned.index)
    note = "The last column is over the best of the first table."
    yield OTHER_RATES, f"{note}\n\n{markdown(tables.matrix(others, among=tuned))}"
    note = "Standard deviation of CRPS over seeds, relative to its mean; from three seeds on."
    yield SCATTER, f"{note}\n\n{markdown(tables.scatter(tuned))}"
    note = "Percent of the central intervals of 50, 80, 90 and 95 %; bold where all are within 3."
    plot = "![Width against coverage](../../docs/images/comparison-coverage.png)"
    yield "Coverage", f"{note}\n\n{markdown(tables.coverage_matrix(tuned))}\n\n{plot}"
    write(plots.draw_coverage(scores), "forecasting_coverage")
    found = tables.differences(scores)
    write(found, "forecasting_differences")
    note = "Paired, with 95 % intervals of a bootstrap over series, windows and seeds."
    yield "Differences", f"{note}\n\n{markdown(tables.difference_matrix(found))}"
    by_rank = tables.ranks(tuned)
    if len(by_rank) > 1 and by_rank.shape[1] > 2:
        comparison = compare_ranks(by_rank)
        plots.draw_ranks(comparison)
        average = comparison.average_ranks.round(2).sort_values().reset_index()
        average.columns = ["model", "average rank"]
        yield "Ranks", f"{markdown(average)}\n\n![Average ranks](../../docs/images/ranks.png)"
    informed = tables.selective(scores, tables.OWN)
    write(informed, "forecasting_selective")
    note = (
        "Skill of dropping the forecasts of largest spread first, by MASE: 0 is chance, 1 the best "
        "order there is."
    )
    plots.draw_selective(scores)
    plot = "![Selective forecasting](../../docs/images/comparison-selective.png)"
    yield "Does the spread warn?", f"{note}\n\n{markdown(informed.round(3))}\n\n{plot}"
    yield CALIBRATION, markdown(calibrated.table(kept("forecasting_calibrated")))
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
    found = dict(sections(results, tables.stored()))
    shown = {heading: table_of(found[heading]) for heading in SHOWN}
    short = {"CRPS": markdown(tables.summary(results))}
    page = "\n".join([HEAD, *(f"## {heading}\n\n{text}\n" for heading, text in found.items())])
    (RESULTS / "forecasting.md").write_text(page)
    fill(PAGE, shown)
    fill(SHORT_PAGE, short)
    print(page)


if __name__ == "__main__":
    main()
