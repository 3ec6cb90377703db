"""``tsbnn evaluate``: scores of any tool's forecasts against what came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from tsbnn.cli import options as o
from tsbnn.cli.errors import BadDataError, UsageError, one_line
from tsbnn.cli.output import print_json, say
from tsbnn.cli.progress import Report, stages
from tsbnn.cli.tables import about, check_inputs, check_output, name_of, write_table

if TYPE_CHECKING:
    import pandas as pd

    from tsbnn.cli.forecast_frames import Array, Forecasts
    from tsbnn.cli.matching import Names, Table
    from tsbnn.datasets import FrameDataset


def evaluate(
    forecast: o.Forecast,
    actuals: o.Actuals = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of the series before the forecasts, for MASE. Without it, rows of ACTUALS "
            "before the forecasts are taken.",
            allow_dash=True,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the scores to this file too, .csv or .parquet: model, metric, value.",
            allow_dash=True,
            show_default=False,
        ),
    ] = None,
    by_series: Annotated[
        bool, typer.Option("--by-series", help="Write scores of each series to --out.")
    ] = False,
    season: o.Season = None,
    freq: o.Freq = None,
    item_id: o.ItemId = None,
    timestamp: o.Timestamp = None,
    target: o.Target = None,
    stream: o.FormatOption = o.Format.CSV,
    config: o.Config = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Score forecasts of any tool against what came.

    FORECAST has one row for each series and time, with quantile columns (0.1, p90), bounds of
    intervals (lo-80, NHITS-hi-80), mean and median; or sample paths (columns path and value).
    Several models may stand in one table, each before its columns' names. Rows of a cutoff
    column are forecasts made at several times.

    What the columns tell is scored: CRPS of samples, mean wQL of quantiles, coverage and width of
    intervals, ND, RMSE, and MASE where there is history.
    """
    check_inputs(forecast, actuals, history)
    check_output(out, as_json)
    if by_series and out is None:
        raise UsageError("--by-series needs --out, the file that the scores are written to")
    with stages(quiet) as stage:
        stage("loading libraries")
        from tsbnn.cli.matching import (
            Names,
            check_complete,
            matched,
            no_match,
            open_actuals,
            open_forecasts,
        )
        from tsbnn.cli.scoring import scores

        stage("reading")
        names = Names(item_id, timestamp, target)
        table, models = open_forecasts(forecast, stream, names)
        if table.ignored:
            listed = ", ".join(table.ignored)
            say(f"tsbnn: warning: taken for no forecasts, and ignored: {listed}", quiet)
        if actuals is None:
            with about(forecast):
                actual, came = table.values, None
        else:
            came = open_actuals(actuals, stream, names, table.zone)
            with about(actuals):
                actual = matched(table, came)
            if np.isnan(actual).all():
                raise no_match(table, came, (forecast, actuals))
        check_complete(forecast, table, models, actual)
        stage("scoring")
        scale = _scale(table, came, history, freq, season, stream, names, quiet)
        try:
            found = {model.name: scores(actual, model, scale) for model in models}
        except ValueError as error:
            raise BadDataError(f"{name_of(forecast)}: {one_line(error)}") from error
        if out is not None:
            split = _by_series if by_series else _tidy
            write_table(split(table, actual, models, scale, found, stage("writing")), out, stream)
    known = int((~np.isnan(actual)).sum())
    about_rows = {
        "rows": len(actual),
        "rows_without_actual": len(actual) - known,
        "series": int(table.keys["item"].nunique()),
    }
    if as_json:
        print_json({**about_rows, "scores": found})
    elif out is None or str(out) != "-":
        from tsbnn.cli.score_table import show_scores

        show_scores(found, models, about_rows)
    if out is not None and str(out) != "-":
        say(f"{out}: scores", quiet)


def _scale(
    table: Table,
    came: Table | None,
    history: Path | None,
    freq: str | None,
    season: int | None,
    stream: o.Format,
    names: Names,
    quiet: bool,
) -> Array | None:
    """Seasonal error of each row's history, None where there is none."""
    from tsbnn.cli.matching import dataset_of, history_of
    from tsbnn.cli.scoring import seasonal_scale
    from tsbnn.datasets import FrameError
    from tsbnn.evaluation.baselines import default_season

    dataset: FrameDataset
    if history is not None:
        dataset = history_of(history, stream, names, freq)
    elif came is not None and (came.keys["stamp"] < table.keys["stamp"].min()).any():
        try:
            dataset = dataset_of(came, freq)
        except FrameError as error:
            say(f"tsbnn: warning: no MASE: {one_line(error)}", quiet)
            return None
    else:
        return None
    return seasonal_scale(table, dataset, season or default_season(dataset.freq))


def _tidy(
    table: Table,
    actual: Array,
    models: list[Forecasts],
    scale: Array | None,
    found: dict[str, dict[str, float]],
    report: Report,
) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {"model": model, "metric": metric, "value": value}
        for model, values in found.items()
        for metric, value in values.items()
    ]
    return pd.DataFrame(rows)


def _rows_by_series(table: Table) -> dict[str, NDArray[np.integer]]:
    found = table.keys.groupby("item", sort=True).indices
    return {str(item): np.asarray(rows) for item, rows in found.items()}


def _by_series(
    table: Table,
    actual: Array,
    models: list[Forecasts],
    scale: Array | None,
    found: dict[str, dict[str, float]],
    report: Report,
) -> pd.DataFrame:
    import pandas as pd

    from tsbnn.cli.scoring import scores

    name = table.item_id
    if name is None or name in ("model", "metric", "value"):
        name = "item_id"
    groups = _rows_by_series(table)
    rows: list[dict[Any, Any]] = []
    for count, (item, places) in enumerate(groups.items(), start=1):
        if np.isnan(actual[places]).all():
            continue
        for model in models:
            part = None if scale is None else scale[places]
            values = scores(actual[places], model.at(places), part)
            rows += [
                {name: item, "model": model.name, "metric": metric, "value": value}
                for metric, value in values.items()
            ]
        report(count / len(groups))
    return pd.DataFrame(rows)
