"""What a backtest leaves behind: results.csv, summary.json, plots, and one page that shows all."""

from __future__ import annotations

import json
import math
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tsbnn.evaluation.environment import environment
from tsbnn.evaluation.figures import Plot, figures
from tsbnn.evaluation.page import page
from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.statistics import PairedDifference, paired_difference
from tsbnn.evaluation.table import resampled

#: The score that models are compared by.
METRIC = "crps"

_SUMMARY = "summary.json"


def write_report(
    backtest: Backtest,
    folder: str | Path,
    *,
    title: str | None = None,
    units: Mapping[str, str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write all that a backtest found.

    ``results.csv`` is :attr:`Backtest.results`; ``summary.json`` has means, errors, paired
    differences, settings and environment; ``plots/`` has PNG files; ``report.html`` shows them,
    in one file that needs no other and no network. Everything is written elsewhere first, so that
    a folder never holds half a report; files of an earlier report that has others are removed.

    Parameters
    ----------
    backtest
        With at least one model that gave results.
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
        If no model gave results.
    """
    if not backtest.models:
        raise ValueError("no model gave results: there is nothing to report")
    folder = Path(folder)
    tell = progress or (lambda share: None)
    tell(0.0)
    differences = differences_from_first(backtest)
    plots: list[Plot] = []
    for plot in figures(backtest, differences, units):
        plots.append(plot)
        tell(min(0.95, 0.95 * len(plots) / (2 * len(backtest.models) + 3)))
    place = environment()
    summary = _summary(backtest, differences, place)
    files = {"results.csv": backtest.results.to_csv(index=False, lineterminator="\n").encode()}
    files |= {f"plots/{plot.name}.png": plot.light for plot in plots}
    files["report.html"] = page(backtest, differences, plots, place, title).encode()
    summary["files"] = sorted([*files, _SUMMARY])
    files[_SUMMARY] = (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode()
    _replace(folder, files)
    tell(1.0)
    return folder / "report.html"


def differences_from_first(backtest: Backtest) -> list[PairedDifference]:
    """Paired differences in CRPS of the first model from each other one.

    Empty where there is nothing to compare, or a single window to do it on.
    """
    first, *others = backtest.models
    if len(backtest.windows) < 2:
        return []
    unit = resampled(backtest)
    return [paired_difference(backtest, first, other, METRIC, unit=unit) for other in others]


def _summary(
    backtest: Backtest, differences: list[PairedDifference], place: Mapping[str, str]
) -> dict[str, Any]:
    """All of it but the forecasts, in JSON terms; what is not a finite number is null."""
    frame = backtest.aggregate()
    models = {}
    for model in backtest.models:
        rows = frame[frame["model"] == model].itertuples(index=False)
        metrics = {r.metric: {"mean": r.mean, "standard_error": r.standard_error} for r in rows}
        models[model] = {**backtest.settings[model], "metrics": metrics}
    found = {
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
        "environment": dict(place),
    }
    clean: dict[str, Any] = _json(found)
    return clean


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
