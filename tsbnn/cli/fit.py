"""``tsbnn fit``: a table of series in, a model folder out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tsbnn.cli import options as o
from tsbnn.cli.errors import UsageError, check_folder
from tsbnn.cli.output import print_json, say, uninterrupted
from tsbnn.cli.progress import stages
from tsbnn.cli.tables import about, read_table


def fit(
    data: o.Data,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder to write the model to; a model there is replaced.",
            file_okay=False,
            show_default=False,
        ),
    ],
    prediction_length: Annotated[
        int, typer.Option(metavar="N", help="Steps to forecast.", min=1, show_default=False)
    ],
    freq: o.Freq = None,
    item_id: o.ItemId = None,
    timestamp: o.Timestamp = None,
    target: o.Target = None,
    covariates: o.Covariates = None,
    past_covariates: o.PastCovariates = None,
    static: o.Static = None,
    fill_covariates: o.FillCovariates = False,
    model: o.Model = "deepar",
    inference: o.Inference = "score",
    support: o.SupportOption = o.Support.REAL,
    time_features: o.TimeFeatures = None,
    gradient_evaluations: o.GradientEvaluations = 5000,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Take as many gradients as this time pays for, at most --gradient-evaluations.",
            min=0.1,
            rich_help_panel=o.TRAINING,
        ),
    ] = None,
    seed: o.Seed = 0,
    num_draws: o.NumDraws = 20,
    num_samples: o.NumSamples = 100,
    threads: o.Threads = 1,
    stream: o.FormatOption = o.Format.CSV,
    config: o.Config = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Train a Bayesian forecaster on all series of a table.

    The model folder is what tsbnn forecast and tsbnn.load read.
    """
    _check_place(out)
    with stages(quiet) as stage:
        stage("loading libraries")
        check_names("model", [model], "inference", [inference], gradient_evaluations)
        import torch

        torch.set_num_threads(threads)
        from tsbnn.forecaster import Forecaster

        forecaster = Forecaster(
            freq=freq,
            prediction_length=prediction_length,
            model=model,
            inference=inference,
            covariates=o.names(covariates),
            past_covariates=o.names(past_covariates),
            static_features=o.names(static),
            fill_covariates=fill_covariates,
            item_id=item_id,
            timestamp=timestamp,
            target=target,
            support=support.value,
            time_features=time_feature_names(time_features),
            gradient_evaluations=gradient_evaluations,
            time_limit=time_limit,
            num_draws=num_draws,
            num_samples=num_samples,
            seed=seed,
        )
        stage("reading")
        frame = read_table(data, stream, item_id)
        began = time.perf_counter()
        with about(data):
            forecaster.fit(frame, progress=stage("training"))
        seconds = time.perf_counter() - began
        stage("writing")
        with uninterrupted():
            forecaster.save(out)
    predictor: Any = forecaster.predictor_
    summary, schema = predictor.training_summary, predictor.frame_schema
    result = {
        "model": str(out),
        "network": summary.get("network"),
        "inference": summary.get("inference"),
        "series": 1 if schema.item_id is None else int(frame[schema.item_id].nunique()),
        "observations": summary.get("num_observations"),
        "freq": schema.freq,
        "prediction_length": prediction_length,
        "gradient_evaluations": summary.get("gradient_evaluations"),
        "train_loss": summary.get("train_loss"),
        "seconds": round(seconds, 2),
    }
    if as_json:
        print_json(result)
    say(_told(result), quiet)


def check_names(
    model_option: str,
    models: list[str],
    inference_option: str,
    inference: list[str],
    gradient_evaluations: int,
) -> None:
    """Make sure that networks and methods are there, and the budget pays for a step.

    Raises
    ------
    UsageError
        Naming the option, what was given, and what there is.
    """
    from tsbnn.forecasting.catalogue import NETWORKS
    from tsbnn.forecasting.settings import check_budget
    from tsbnn.inference import METHODS, method

    checks: list[tuple[str, list[str], Mapping[str, Any]]] = [
        (model_option, models, NETWORKS),
        (inference_option, inference, METHODS),
    ]
    for option, found, known in checks:
        unknown = [name for name in found if name not in known]
        if unknown or not found or len(set(found)) < len(found):
            what = ", ".join(unknown) if unknown else ", ".join(found) or "nothing"
            few = "one" if option in ("model", "inference") and len(found) == 1 else "some"
            each = "" if few == "one" else ", each once"
            raise UsageError(f"--{option} must be {few} of {', '.join(known)}{each}, not {what}")
    for name in inference:
        try:
            check_budget(method(name), gradient_evaluations)
        except ValueError as error:
            raise UsageError(f"--gradient-evaluations: {error}") from error


def time_feature_names(text: str | None) -> list[str] | None:
    """Return the names of ``--time-features``: none of them for ``none``, None for the default.

    Raises
    ------
    UsageError
        Naming one that there is not, and those that there are.
    """
    if text is None:
        return None
    from tsbnn.forecasting.time_features import named_time_features

    found = [] if text.strip() == "none" else o.names(text)
    try:
        named_time_features(found)
    except ValueError as error:
        raise UsageError(f"--time-features: {error}; or none") from error
    return found


def _check_place(out: Path) -> None:
    """Training takes long: what stands in the way of its result is told before."""
    check_folder(out)
    if out.resolve() == Path.cwd():
        raise UsageError(f"--out {out} is the working directory: choose a folder in it")
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise UsageError(f"--out {out} has other files and no model: choose another folder")


def _told(result: Mapping[str, Any]) -> str:
    return (
        f"{result['model']}: {result['network']} by {result['inference']}, "
        f"{result['series']} series, {result['observations']:,} observations, "
        f"{result['gradient_evaluations']:,} gradients in {result['seconds']:.0f} s"
    )
