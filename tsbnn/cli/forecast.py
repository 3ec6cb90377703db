"""``tsbnn forecast``: a model and histories in, a tidy table of forecasts out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsbnn.cli import options as o
from tsbnn.cli.errors import BadDataError, UsageError
from tsbnn.cli.output import STREAM, print_json, say
from tsbnn.cli.progress import stages
from tsbnn.cli.tables import about, check_inputs, check_output, read_table, write_table

if TYPE_CHECKING:
    from tsbnn.forecasting import BayesianPredictor


def forecast(
    model: Annotated[
        Path,
        typer.Argument(
            help="Folder that tsbnn fit or tsbnn.save wrote.",
            exists=True,
            file_okay=False,
            metavar="MODEL",
            show_default=False,
        ),
    ],
    data: o.Data,
    out: o.TableOut = STREAM,
    future_covariates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of the covariates in the horizon: ids, dates, covariates. Without it they "
            "are the last rows of DATA, whose target is empty.",
            allow_dash=True,
            show_default=False,
        ),
    ] = None,
    quantiles: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Quantiles between 0 and 1, by comma.", rich_help_panel=o.FORECAST
        ),
    ] = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    levels: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Central intervals in percent, by comma.",
            rich_help_panel=o.FORECAST,
        ),
    ] = "80,95",
    num_samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Sample paths; those of the model if left out.",
            min=1,
            rich_help_panel=o.FORECAST,
        ),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the sample paths to this file as well.",
            allow_dash=True,
            rich_help_panel=o.FORECAST,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Decides the paths; that of the model if left out.",
            min=0,
            rich_help_panel=o.FORECAST,
        ),
    ] = None,
    item_id: o.ItemId = None,
    timestamp: o.Timestamp = None,
    target: o.Target = None,
    threads: o.Threads = 1,
    stream: o.FormatOption = o.Format.CSV,
    config: o.Config = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Forecast beyond the end of every series.

    Columns, frequency and covariates are those of the training; name columns only where DATA
    calls them otherwise. The result has one row for each series and step: mean, median,
    quantiles, interval bounds (lo-80, hi-80), and the standard deviations of what the model does
    not know (epistemic_std) and of what nobody can (aleatoric_std).
    """
    check_inputs(data, future_covariates)
    check_output(out, as_json)
    check_output(samples, as_json, "--samples")
    if samples is not None and samples == out:
        raise UsageError("--samples and --out are the same file")
    for option, written in (("--out", out), ("--samples", samples)):
        if written is not None and written != STREAM and written in (data, future_covariates):
            raise UsageError(f"{option} is a file that is read: it would be overwritten")
    asked = {
        "quantiles": numbers("quantiles", quantiles, 1),
        "levels": numbers("levels", levels, 100),
    }
    with stages(quiet) as stage:
        stage("loading libraries")
        import torch

        torch.set_num_threads(threads)
        predictor, predict = _load(model)
        stage("reading")
        schema = predictor.frame_schema
        known = None if schema is None or schema.item_id is None else str(schema.item_id)
        ids = item_id or known
        frame = read_table(data, stream, ids)
        ahead = None
        if future_covariates is not None:
            ahead = read_table(future_covariates, stream, ids)
        with about(data, future_covariates):
            found = predict(
                frame,
                future_covariates=ahead,
                num_samples=num_samples,
                seed=seed,
                return_samples=samples is not None,
                item_id=item_id,
                timestamp=timestamp,
                target=target,
                progress=stage("forecasting"),
                **asked,
            )
        stage("writing")
        table = found
        if samples is not None:
            table, paths = found
            write_table(paths, samples, stream)
        write_table(table, out, stream)
    series = len(table) // predictor.prediction_length
    if as_json:
        print_json(
            {
                "forecast": str(out),
                "samples": None if samples is None else str(samples),
                "series": series,
                "prediction_length": predictor.prediction_length,
                "rows": len(table),
                "columns": list(table.columns),
            }
        )
    if out != STREAM:
        say(f"{out}: {predictor.prediction_length} steps of {series} series", quiet)


def _load(model: Path) -> tuple[BayesianPredictor, Callable[..., Any]]:
    """The predictor in a folder, and how it forecasts frames.

    What was saved of a forecaster knows its training windows, and warns of data unlike them.
    """
    from tsbnn.forecaster import Forecaster
    from tsbnn.forecasting import ModelFormatError, load
    from tsbnn.forecasting.storage import read_notes

    predict: Callable[..., Any]
    try:
        if "forecaster" in read_notes(model):
            forecaster = Forecaster.load(model)
            predictor, predict = forecaster.predictor_, forecaster.predict
        else:
            predictor = load(model)
            predict = predictor.predict_frame
    except (ModelFormatError, FileNotFoundError) as error:
        raise BadDataError(str(error)) from error
    if predictor.frame_schema is None:
        raise BadDataError(
            f"{model} was not trained on a frame, so that it does not know the columns of a table: "
            "train with tsbnn fit, or on a dataset of tsbnn.from_frame"
        )
    return predictor, predict


def numbers(option: str, text: str, below: float) -> list[float]:
    """Numbers that are given by comma.

    Raises
    ------
    UsageError
        If one is no number, or does not lie between 0 and ``below``.
    """
    try:
        found = [float(part) for part in o.names(text)]
    except ValueError:
        found = [below]
    if not all(0 < number < below for number in found):
        raise UsageError(
            f"--{option} must be numbers between 0 and {below:g}, by comma, not {text!r}"
        )
    return found
