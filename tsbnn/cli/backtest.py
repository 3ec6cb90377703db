"""``tsbnn backtest``: networks times inference methods on one dataset, scored and reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tsbnn.cli import options as o
from tsbnn.cli.backtest_data import BacktestData, backtest_data
from tsbnn.cli.errors import BadDataError, UsageError, check_folder, one_line
from tsbnn.cli.fit import check_names, time_feature_names
from tsbnn.cli.output import print_json
from tsbnn.cli.progress import runs, stages
from tsbnn.cli.summary import show


def backtest(
    dataset: o.Dataset,
    models: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Networks, by comma: deepar, transformer, patch_transformer; gluonts_deepar for "
            "GluonTS's own.",
            rich_help_panel=o.TRAINING,
        ),
    ] = "deepar",
    inference: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help=f"Inference methods, by comma: {o.METHOD_NAMES}",
            rich_help_panel=o.TRAINING,
        ),
    ] = "score,elbo,map",
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder for results, plots and report.", file_okay=False
        ),
    ] = Path("report"),
    windows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Test windows per series; of a dataset those registered, of a file at most 5.",
            min=1,
        ),
    ] = None,
    prediction_length: Annotated[
        int | None,
        typer.Option(metavar="N", help="Steps per window; of a dataset those registered.", min=1),
    ] = None,
    season: o.Season = None,
    freq: o.Freq = None,
    item_id: o.ItemId = None,
    timestamp: o.Timestamp = None,
    target: o.Target = None,
    covariates: o.Covariates = None,
    past_covariates: o.PastCovariates = None,
    static: o.Static = None,
    fill_covariates: o.FillCovariates = False,
    seeds: Annotated[
        str,
        typer.Option(metavar="LIST", help="Seeds, by comma: 0,1,2.", rich_help_panel=o.TRAINING),
    ] = "0",
    time_features: o.TimeFeatures = None,
    gradient_evaluations: o.GradientEvaluations = 2000,
    num_draws: o.NumDraws = 20,
    num_samples: o.NumSamples = 100,
    threads: o.Threads = 1,
    stream: o.FormatOption = o.Format.CSV,
    config: o.Config = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Train networks by several inference methods and score them on rolling windows.

    GluonTS's own DeepAR and a seasonal naive forecast stand beside them. Writes results.csv,
    summary.json, plots and report.html.
    """
    numbers = _seeds(seeds)
    names = o.names(models), o.names(inference)
    columns = {
        "freq": freq,
        "target": target,
        "timestamp": timestamp,
        "item_id": item_id,
        "known_covariates": o.names(covariates),
        "past_covariates": o.names(past_covariates),
        "static_features": o.names(static),
        "fill_covariates": fill_covariates,
    }
    check_folder(out)
    with stages(quiet) as stage:
        stage("loading libraries")
        check_names("models", names[0], "inference", names[1], gradient_evaluations)
        calendar = time_feature_names(time_features)
        import torch

        torch.set_num_threads(threads)
        stage("reading")
        data = backtest_data(dataset, windows, prediction_length, season, columns, stream)
        estimators = _estimators(*names, data, calendar, gradient_evaluations, num_draws)
    _run(data, estimators, numbers, num_samples, out, as_json=as_json, quiet=quiet)


def _run(
    data: BacktestData,
    estimators: dict[str, Any],
    seeds: list[int],
    num_samples: int,
    out: Path,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Backtest, write the report, print the table; failures of single models come last."""
    from tsbnn.evaluation import BacktestError, backtest
    from tsbnn.evaluation.lightning_run import quiet as without_notices
    from tsbnn.evaluation.report import write_report

    failure = path = None
    with runs(list(estimators), seeds, quiet) as (on_run, on_report), without_notices():
        try:
            result = backtest(
                estimators,
                data.dataset,
                prediction_length=data.prediction_length,
                windows=data.windows,
                seeds=seeds,
                season=data.season,
                training_data=data.training,
                num_samples=num_samples,
                dataset_name=data.name,
                progress=on_run,
            )
        except BacktestError as error:
            failure, result = error, error.backtest
        except ValueError as error:
            # Everything that a model raises comes as a BacktestError: this is about the data.
            raise BadDataError(one_line(error)) from error
        if result.models:
            path = write_report(result, out, units=data.units, progress=on_report)
    if path is not None and as_json:
        scores = result.aggregate().to_dict(orient="records")
        print_json({"report": path, "dataset": data.name, "scores": scores})
    elif path is not None:
        show(result, path)
    if failure is not None:
        raise failure


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in o.names(text)]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UsageError(
            f"--seeds must be different whole numbers from 0 up, by comma, not {text!r}"
        )
    return seeds


def _estimators(
    models: Sequence[str],
    inference: Sequence[str],
    data: BacktestData,
    time_features: list[str] | None,
    gradient_evaluations: int,
    num_draws: int,
) -> dict[str, Any]:
    from tsbnn.forecasting import BayesianEstimator
    from tsbnn.forecasting.catalogue import features, network

    arguments = {"prediction_length": data.prediction_length, **features(data.dataset)}
    return {
        f"{model}-{method}": BayesianEstimator(
            network(model, time_features=time_features, **arguments),
            inference=method,
            num_draws=num_draws,
            gradient_evaluations=gradient_evaluations,
        )
        for model in models
        for method in inference
    }
