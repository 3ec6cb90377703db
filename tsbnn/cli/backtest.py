"""``tsbnn backtest``: networks times inference methods on one dataset, scored and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsbnn.cli.terminal import (
    BadDataError,
    UsageError,
    check_folder,
    progress,
    show,
    told,
)

if TYPE_CHECKING:
    from tsbnn.datasets import FrameDataset

#: Windows per series of a file whose user names no number.
_FILE_WINDOWS = 5

_FILE = "A CSV or Parquet file"
_BUDGET = "Training and forecasts"


def backtest(
    dataset: Annotated[
        str, typer.Option(help="Name of a registered dataset, or path of a CSV or Parquet file.")
    ],
    models: Annotated[
        str,
        typer.Option(
            help="Networks, by comma: deepar, transformer, patch_transformer; gluonts_deepar for "
            "GluonTS's own."
        ),
    ] = "deepar",
    inference: Annotated[
        str,
        typer.Option(
            help="Inference methods, by comma: score, elbo, elbo_natural, alpha, map, ensemble, "
            "mc_dropout, swag, laplace, sgld, psgld, sghmc, cyclical, ssvi; bam, gsm for at most "
            "2,000 weights."
        ),
    ] = "score,elbo,map",
    out: Annotated[
        Path, typer.Option(help="Folder for results, plots and report.", file_okay=False)
    ] = Path("report"),
    seeds: Annotated[
        str, typer.Option(help="Seeds, by comma: 0,1,2.", rich_help_panel=_BUDGET)
    ] = "0",
    gradient_evaluations: Annotated[
        int, typer.Option(help="Minibatch gradients per training.", min=1, rich_help_panel=_BUDGET)
    ] = 2000,
    num_draws: Annotated[
        int, typer.Option(help="Weight draws per forecast.", min=1, rich_help_panel=_BUDGET)
    ] = 20,
    num_samples: Annotated[
        int, typer.Option(help="Paths per forecast.", min=1, rich_help_panel=_BUDGET)
    ] = 100,
    windows: Annotated[
        int | None, typer.Option(help="Test windows per series.", min=1, rich_help_panel=_BUDGET)
    ] = None,
    prediction_length: Annotated[
        int | None, typer.Option(help="Steps per window.", min=1, rich_help_panel=_BUDGET)
    ] = None,
    season: Annotated[
        int | None,
        typer.Option(
            help="Steps of a season, for the naive baseline.", min=1, rich_help_panel=_BUDGET
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            help="Threads of torch. Small networks are fastest on one, and results do not then "
            "depend on the machine's cores.",
            min=1,
            rich_help_panel=_BUDGET,
        ),
    ] = 1,
    freq: Annotated[
        str | None, typer.Option(help="Frequency; found if left out.", rich_help_panel=_FILE)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Column to forecast: target.", rich_help_panel=_FILE)
    ] = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Column of dates: timestamp.", rich_help_panel=_FILE)
    ] = None,
    item_id: Annotated[
        str | None,
        typer.Option(help="Column that names the series, if several.", rich_help_panel=_FILE),
    ] = None,
    known_covariates: Annotated[
        str | None, typer.Option(help="Columns known ahead, by comma.", rich_help_panel=_FILE)
    ] = None,
    past_covariates: Annotated[
        str | None, typer.Option(help="Columns not known ahead, by comma.", rich_help_panel=_FILE)
    ] = None,
    static_features: Annotated[
        str | None,
        typer.Option(help="Columns with one value per series, by comma.", rich_help_panel=_FILE),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Train networks by several inference methods and score them on rolling windows.

    GluonTS's own DeepAR and a seasonal naive forecast stand beside them.

    Writes results.csv, summary.json, plots and report.html.
    """
    with told(debug):
        numbers = _seeds(seeds)
        names = _names(models), _names(inference)
        check_folder(out)
        _set_threads(threads)
        _check(*names, gradient_evaluations)
        columns = {
            "freq": freq,
            "target": target,
            "timestamp": timestamp,
            "item_id": item_id,
            "known_covariates": _names(known_covariates),
            "past_covariates": _names(past_covariates),
            "static_features": _names(static_features),
        }
        data = _data(dataset, windows, prediction_length, season, columns)
        estimators = _estimators(*names, data, gradient_evaluations, num_draws)
        _run(data, estimators, numbers, num_samples, out)


def _run(
    data: _Data, estimators: dict[str, Any], seeds: list[int], num_samples: int, out: Path
) -> None:
    """Backtest, write the report, print the table; failures of single models come last."""
    from tsbnn.evaluation import BacktestError, backtest
    from tsbnn.evaluation.lightning_run import quiet
    from tsbnn.evaluation.report import write_report

    failure = path = None
    with progress(list(estimators), seeds) as (on_run, on_report), quiet():
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
            raise BadDataError(str(error)) from error
        if result.models:
            path = write_report(result, out, units=data.units, progress=on_report)
    if path is not None:
        show(result, path)
    if failure is not None:
        raise failure


@dataclass
class _Data:
    """What is to be forecast, and how."""

    name: str
    dataset: FrameDataset
    prediction_length: int
    windows: int
    season: int | None
    training: FrameDataset | None = None
    units: dict[str, str] = field(default_factory=dict)


def _names(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in _names(text)]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UsageError(
            f"--seeds must be different whole numbers from 0 up, by comma, not {text!r}"
        )
    return seeds


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _check(models: list[str], inference: list[str], gradient_evaluations: int) -> None:
    from tsbnn.forecasting.catalogue import NETWORKS
    from tsbnn.forecasting.settings import check_budget
    from tsbnn.inference import METHODS, method

    for option, found, known in (("models", models, NETWORKS), ("inference", inference, METHODS)):
        unknown = [name for name in found if name not in known]
        if unknown or not found or len(set(found)) < len(found):
            what = ", ".join(unknown) if unknown else ", ".join(found) or "nothing"
            raise UsageError(
                f"--{option} must be some of {', '.join(known)}, each once, not {what}"
            )
    for name in inference:
        try:
            check_budget(method(name), gradient_evaluations)
        except ValueError as error:
            raise UsageError(f"--gradient-evaluations: {error}") from error


def _data(
    name: str,
    windows: int | None,
    prediction_length: int | None,
    season: int | None,
    columns: dict[str, Any],
) -> _Data:
    """A registered dataset by its name, or a file by its path."""
    from tsbnn.datasets import from_frame, load, read_frame, specs

    path, registered = Path(name), specs()
    given = {key: value for key, value in columns.items() if value}
    if name in registered:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise UsageError(f"--{option} is about a file, and {name} is a registered dataset")
        loaded = load(name)
        as_registered = (prediction_length or loaded.prediction_length) == loaded.prediction_length
        as_registered &= (windows or loaded.windows) == loaded.windows
        return _Data(
            name,
            loaded.dataset,
            prediction_length or loaded.prediction_length,
            windows or loaded.windows,
            season or loaded.season,
            # Other windows than the registered ones: series train up to their first one.
            training=loaded.training if as_registered else None,
            units=dict(loaded.spec.units),
        )
    if not path.suffix and not path.exists() and len(path.parts) == 1:
        raise UsageError(
            f"--dataset {name}: no dataset has this name; there are {', '.join(registered)}; "
            "or name a CSV or Parquet file"
        )
    table = read_frame(path)
    if prediction_length is None:
        raise UsageError(f"--prediction-length is needed: how many steps of {path} to forecast")
    frame = from_frame(table, **given).training
    shortest = int(frame.lengths.min())
    fitting = max(1, min(_FILE_WINDOWS, shortest // (2 * prediction_length)))
    return _Data(path.stem, frame, prediction_length, windows or fitting, season)


def _estimators(
    models: Sequence[str],
    inference: Sequence[str],
    data: _Data,
    gradient_evaluations: int,
    num_draws: int,
) -> dict[str, Any]:
    from tsbnn.forecasting import BayesianEstimator
    from tsbnn.forecasting.catalogue import network

    dataset = data.dataset
    return {
        f"{model}-{method}": BayesianEstimator(
            network(
                model,
                freq=dataset.freq,
                prediction_length=data.prediction_length,
                num_feat_dynamic_real=dataset.num_feat_dynamic_real,
                num_past_feat_dynamic_real=dataset.num_past_feat_dynamic_real,
                num_feat_static_cat=dataset.num_feat_static_cat,
                num_feat_static_real=dataset.num_feat_static_real,
                cardinality=dataset.cardinality,
            ),
            inference=method,
            num_draws=num_draws,
            gradient_evaluations=gradient_evaluations,
        )
        for model in models
        for method in inference
    }
