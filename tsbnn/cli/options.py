"""The options that commands share, each defined once."""

from __future__ import annotations

import csv
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tsbnn.cli.config import read_config

COLUMNS = "Columns of the data (names by comma where there can be several)"
TRAINING = "Training"
FORECAST = "Forecast"
RUN = "Run"


class Format(StrEnum):
    """What standard streams hold."""

    CSV = "csv"
    PARQUET = "parquet"


class Support(StrEnum):
    """What targets can be."""

    REAL = "real"
    NONNEGATIVE = "nonnegative"
    COUNT = "count"


def _datasets(incomplete: str) -> list[tuple[str, str]]:
    from tsbnn.datasets.registry import specs

    return [(n, s.description) for n, s in specs().items() if n.startswith(incomplete)]


def _networks(incomplete: str) -> list[str]:
    from tsbnn.forecasting.catalogue import NETWORKS

    return [name for name in NETWORKS if name.startswith(incomplete)]


def _methods(incomplete: str) -> list[str]:
    from tsbnn.inference import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]


Data = Annotated[
    Path,
    typer.Argument(
        help="CSV or Parquet file with one row for each series and time step; - reads standard "
        "input.",
        metavar="DATA",
        allow_dash=True,
        show_default=False,
    ),
]
Forecast = Annotated[
    Path,
    typer.Argument(
        help="CSV or Parquet file of forecasts; - reads standard input.",
        metavar="FORECAST",
        allow_dash=True,
        show_default=False,
    ),
]
Actuals = Annotated[
    Path | None,
    typer.Argument(
        help="Table of actual values: ids, dates, target. Not needed where FORECAST has them.",
        metavar="ACTUALS",
        allow_dash=True,
        show_default=False,
    ),
]
DatasetName = Annotated[
    str,
    typer.Argument(
        help="Name of a dataset, see tsbnn datasets list.",
        autocompletion=_datasets,
        metavar="NAME",
        show_default=False,
    ),
]
Dataset = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Name of a dataset (tsbnn datasets list), or path of a CSV or Parquet file.",
        autocompletion=_datasets,
        show_default=False,
    ),
]
TableOut = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="File to write, .csv or .parquet; - writes standard output.",
        allow_dash=True,
    ),
]

ItemId = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column that names the series. Found by itself: item_id, unique_id.",
        rich_help_panel=COLUMNS,
    ),
]
Timestamp = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of dates. Found by itself: timestamp, ds.",
        rich_help_panel=COLUMNS,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column to forecast. Found by itself: target, y.",
        rich_help_panel=COLUMNS,
    ),
]
Freq = Annotated[
    str | None,
    typer.Option(
        metavar="FREQ",
        help="Frequency: h, D, B, W-SAT, MS, 15min, … Inferred from the dates if left out.",
        rich_help_panel=COLUMNS,
    ),
]
Covariates = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help="Numeric columns known through the horizon: prices, holidays.",
        rich_help_panel=COLUMNS,
    ),
]
PastCovariates = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help="Numeric columns known up to the forecast's start only: weather as measured.",
        rich_help_panel=COLUMNS,
    ),
]
Static = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help="Columns with one value per series: numbers, or text as categories.",
        rich_help_panel=COLUMNS,
    ),
]
FillCovariates = Annotated[
    bool,
    typer.Option(
        "--fill-covariates",
        help="Carry a covariate's last value over gaps, which are an error otherwise.",
        rich_help_panel=COLUMNS,
    ),
]

Model = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Network: deepar, transformer, patch_transformer, gluonts_deepar.",
        autocompletion=_networks,
        rich_help_panel=TRAINING,
    ),
]
METHOD_NAMES = (
    "score, elbo, elbo_natural, alpha, map, ensemble, mc_dropout, swag, laplace, sgld, psgld, "
    "sghmc, cyclical, ssvi; bam, gsm for at most 2,000 weights."
)
Inference = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"Inference method: {METHOD_NAMES}",
        autocompletion=_methods,
        rich_help_panel=TRAINING,
    ),
]
SupportOption = Annotated[
    Support,
    typer.Option(
        metavar="KIND",
        help="What targets can be: real, nonnegative (forecasts are cut at 0) or "
        "count (whole numbers).",
        rich_help_panel=TRAINING,
    ),
]
TimeFeatures = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="What the network is told of the calendar, by comma: second_of_minute, "
        "minute_of_hour, hour_of_day, day_of_week, day_of_month, day_of_year, week_of_year, "
        "month_of_year; or none. By default what suits the frequency and the data can teach.",
        rich_help_panel=TRAINING,
    ),
]
GradientEvaluations = Annotated[
    int,
    typer.Option(
        metavar="N", help="Minibatch gradients per training.", min=1, rich_help_panel=TRAINING
    ),
]
Seed = Annotated[
    int,
    typer.Option(metavar="N", help="Decides everything random.", min=0, rich_help_panel=TRAINING),
]

NumDraws = Annotated[
    int,
    typer.Option(metavar="N", help="Weight draws per forecast.", min=1, rich_help_panel=FORECAST),
]
NumSamples = Annotated[
    int,
    typer.Option(metavar="N", help="Sample paths per forecast.", min=1, rich_help_panel=FORECAST),
]
Season = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Steps of a season, for the naive baseline and MASE; by default that of the "
        "frequency.",
        min=1,
    ),
]

Threads = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Threads of torch. Small networks are fastest on one, and results do not then depend "
        "on the machine's cores.",
        min=1,
        rich_help_panel=RUN,
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="Format of standard streams.", rich_help_panel=RUN)
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="YAML file of options by their names, as in freq: D; the command line wins.",
        is_eager=True,
        callback=read_config,
        rich_help_panel=RUN,
        show_default=False,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing but results and errors.", rich_help_panel=RUN),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the result as JSON; messages go to stderr.", rich_help_panel=RUN
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=RUN),
]


def names(text: str | None) -> list[str]:
    """Names that are given by comma; one with a comma in it stands in double quotes."""
    (parts,) = csv.reader([text or ""], skipinitialspace=True)
    return [part.strip() for part in parts if part.strip()]
