"""What a backtest leaves behind: results.csv, summary.json, plots, and one page that shows all."""

from __future__ import annotations

import json
import math
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsbnn.evaluation.environment import environment
from tsbnn.evaluation.figures import figures
from tsbnn.evaluation.images import file_names
from tsbnn.evaluation.overview import Overview, overview, rank_drawings
from tsbnn.evaluation.page import Part, page
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.statistics import PairedDifference
from tsbnn.evaluation.table import differences_to_best

_SUMMARY = "summary.json"


def write_report(
    backtest: Backtest | Sequence[Backtest],
    folder: str | Path,
    *,
    title: str | None = None,
    units: Mapping[str, str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write all that one backtest found, or several on different datasets.

    ``results.csv`` is :attr:`Backtest.results`; ``summary.json`` has means, errors, paired
    differences to the best model, settings and environment (of several backtests, a list under
    ``datasets``, and average ranks); ``plots/`` has PNG files; ``report.html`` shows all, in one
    file that needs no other, no script and no network: on screens in the reader's colour scheme,
    light or dark, and on paper. Everything is written elsewhere first, so that a folder never holds
    half a report; files of an earlier report that has others are removed.

    Parameters
    ----------
    backtest
        With at least one model that gave results; of several, each on a dataset of its own name.
    folder
        Made if it is not there; other files in it stay.
    title
        Heading of the page.
    units
        Units of the series' targets, by item id, for the plots.
    progress
        Called with the fraction done.

    Returns
    -------
    pathlib.Path
        ``report.html``.

    Raises
    ------
    ValueError
        If there is no backtest, no model of one gave results, or two are of one dataset.
    """
    backtests = [backtest] if isinstance(backtest, Backtest) else list(backtest)
    if not backtests:
        raise ValueError("there is no backtest to report")
    for one in backtests:
        if not one.models:
            where = f" on {one.dataset!r}" if one.dataset else ""
            raise ValueError(f"no model gave results{where}: there is nothing to report")
    several = overview(backtests) if len(backtests) > 1 else None
    folder = Path(folder)
    tell = progress or (lambda share: None)
    tell(0.0)
    parts = _parts(backtests, units, lambda share: tell(0.95 * share))
    ranks = [drawing.plot() for drawing in rank_drawings(several.ranks)] if several else []
    place = environment()
    table = pd.concat([one.results for one in backtests])
    files = {"results.csv": table.to_csv(index=False, lineterminator="\n").encode()}
    for plot in chain(ranks, *(part.plots for part in parts)):
        files[f"plots/{plot.name}.png"] = plot.png
    files["report.html"] = page(parts, place, title, several, ranks).encode()
    summary = _summary(parts, several, place)
    summary["files"] = sorted([*files, _SUMMARY])
    files[_SUMMARY] = (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode()
    _replace(folder, files)
    tell(1.0)
    return folder / "report.html"


def _parts(
    backtests: Sequence[Backtest],
    units: Mapping[str, str] | None,
    tell: Callable[[float], None],
) -> list[Part]:
    """Draw all plots of each backtest."""
    several = len(backtests) > 1
    names = file_names(one.dataset for one in backtests)
    differences = [differences_to_best(one) for one in backtests]
    drawings = [figures(one, d, units) for one, d in zip(backtests, differences, strict=True)]
    count, done = sum(map(len, drawings)), 0
    parts = []
    for one, found, drawn in zip(backtests, differences, drawings, strict=True):
        name = f"{names[one.dataset]}-" if several else ""
        plots = []
        for drawing in drawn:
            plots.append(drawing.plot(name))
            done += 1
            tell(done / count)
        parts.append(Part(one, name, found, plots))
    return parts


def _summary(
    parts: Sequence[Part], several: Overview | None, place: Mapping[str, str]
) -> dict[str, Any]:
    """All of it but the forecasts, in JSON terms; what is not a finite number is null."""
    found = [_found(part.backtest, part.differences) for part in parts]
    whole = found[0] if several is None else {"datasets": found, "ranks": _ranks(several)}
    clean: dict[str, Any] = _json({**whole, "environment": dict(place)})
    return clean


def _ranks(several: Overview) -> dict[str, Any] | None:
    ranks = several.ranks
    if ranks is None:
        return None
    return {
        "average_ranks": ranks.average_ranks.to_dict(),
        "critical_difference": ranks.critical_difference,
        "alpha": ranks.alpha,
        "p_value": ranks.p_value,
    }


def _found(backtest: Backtest, differences: Sequence[PairedDifference]) -> dict[str, Any]:
    frame = backtest.aggregate()
    models = {}
    for model in backtest.models:
        rows = frame[frame["model"] == model].itertuples(index=False)
        metrics = {r.metric: {"mean": r.mean, "standard_error": r.standard_error} for r in rows}
        models[model] = {**backtest.settings[model], "metrics": metrics}
    return {
        "dataset": backtest.dataset,
        "frequency": backtest.freq,
        "season": backtest.season,
        "prediction_length": backtest.prediction_length,
        "stride": backtest.entries.stride,
        "windows": len(backtest.windows),
        "seeds": sorted({seed for _, seed in backtest.scores}),
        "models": models,
        "differences": [asdict(difference) for difference in differences],
        "failures": [
            {"model": model, "seed": seed, "error": f"{type(error).__name__}: {error}"}
            for (model, seed), error in backtest.failures.items()
        ],
    }


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files into a folder, each whole, and take away those that an earlier report left."""
    folder = folder.resolve()
    fresh = not folder.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = folder.parent if fresh else folder
    waiting = place / f".{folder.name}-{uuid.uuid4().hex}"
    try:
        for name, content in files.items():
            file = waiting / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if fresh:
            waiting.rename(folder)
            return
        stale = _earlier(folder) - set(files)
        for name in files:
            (folder / name).parent.mkdir(exist_ok=True)
            (waiting / name).replace(folder / name)
        for name in stale:
            (folder / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)


def _earlier(folder: Path) -> set[str]:
    """Names of the files that the report in a folder says are its own."""
    try:
        names = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))["files"]
        own = {str(name) for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in own if re.fullmatch(r"plots/[A-Za-z0-9_.-]+\.png", name)}
