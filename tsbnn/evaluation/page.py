"""The page of a report: what backtests found, in HTML that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tsbnn.evaluation.images import Plot, colours
from tsbnn.evaluation.overview import Overview
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.section import section
from tsbnn.evaluation.statistics import PairedDifference
from tsbnn.evaluation.table import written


@dataclass(frozen=True)
class Part:
    """One backtest of a report, with its differences to the best model and its plots.

    ``name`` is the beginning of its plots' names and its anchors, empty for a report on one.
    """

    backtest: Backtest
    name: str
    differences: Sequence[PairedDifference]
    plots: Sequence[Plot]


def page(
    parts: Sequence[Part],
    place: Mapping[str, str],
    title: str | None = None,
    overview: Overview | None = None,
    rank_plots: Sequence[Plot] = (),
) -> str:
    """The page as text.

    Parameters
    ----------
    parts
        Backtests with at least one model that gave results.
    place
        Where it was computed, in words by name.
    title
        Heading; one with the dataset's name, or the number of datasets, if None.
    overview, rank_plots
        Of several backtests.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("tsbnn.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    alone = parts[0].backtest.dataset or "unnamed data"
    return templates.get_template("report.html.j2").render(
        title=title
        or (f"Backtests on {len(parts)} datasets" if overview else f"Backtest on {alone}"),
        overview=overview,
        rank_table=_rank_table(overview),
        rank_plots=rank_plots,
        sections=[
            {"id": part.name, **section(part.backtest, part.differences, part.plots)}
            for part in parts
        ],
        environment=place,
        light=colours(),
        dark=colours(dark=True),
    )


def _rank_table(overview: Overview | None) -> list[dict[str, Any]]:
    """One row per model: its scores, and its average rank."""
    if overview is None:
        return []
    ranks = {} if overview.ranks is None else overview.ranks.average_ranks.to_dict()
    lowest = min(ranks.values(), default=None)
    return [
        {
            "model": model,
            "cells": cells,
            "rank": written(ranks[model], digits=2) if model in ranks else "–",
            "best": model in ranks and ranks[model] == lowest,
        }
        for model, cells in overview.rows.items()
    ]
