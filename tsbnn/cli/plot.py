"""``tsbnn plot``: fan charts of any tool's forecasts, one page for several series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tsbnn.cli import options as o
from tsbnn.cli.errors import BadDataError, UsageError
from tsbnn.cli.output import STREAM, check_file, print_json, say, write
from tsbnn.cli.progress import stages
from tsbnn.cli.tables import about, check_inputs, name_of

_SUFFIXES = (".png", ".svg", ".pdf")


def plot(
    forecast: o.Forecast,
    actuals: o.Actuals = None,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="File to write: .png, .svg or .pdf.", show_default=False),
    ] = Path("forecast.png"),
    series: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Series to draw, by comma; the first --most ones if left out.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(metavar="N", help="Series to draw at most on the page.", min=1)
    ] = 6,
    history_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps of ACTUALS to show before the forecast; twice its length if left out.",
            min=0,
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Model to draw, where FORECAST has several; the first one if left out.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Unit of the target, for the axis.", show_default=False),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw for a dark page.")] = False,
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
    """Draw fan charts of any tool's forecasts, with what came and what was before.

    FORECAST is a table as for tsbnn evaluate. Where its rows have several cutoffs, the latest one
    of each series is drawn.
    """
    check_inputs(forecast, actuals)
    check_file("--out", out, _SUFFIXES)
    if out == STREAM:
        raise UsageError("--out must be a file: .png, .svg or .pdf")
    with stages(quiet) as stage:
        stage("loading libraries")
        from tsbnn.cli.fans import draw, fans
        from tsbnn.cli.matching import Names, open_actuals, open_forecasts

        stage("reading")
        names = Names(item_id, timestamp, target)
        table, models = open_forecasts(forecast, stream, names)
        by_name = {one.name: one for one in models}
        if model is not None and model not in by_name:
            raise UsageError(
                f"--model {model}: {name_of(forecast)} has forecasts of {', '.join(by_name)}"
            )
        chosen = models[0] if model is None else by_name[model]
        if not chosen.bounds or chosen.median is None:
            raise BadDataError(
                f"{name_of(forecast)}: {chosen.name} has no intervals, which a fan chart needs: "
                "quantiles below and above 0.5, or bounds such as lo-80 and hi-80"
            )
        came = table.without_repetition() if table.target in table.frame else None
        if actuals is not None:
            came = open_actuals(actuals, stream, names, table.zone)
        there = list(dict.fromkeys(table.keys["item"]))
        wanted = o.names(series) or there
        unknown = [name for name in wanted if name not in there]
        if unknown:
            raise UsageError(
                f"--series {unknown[0]}: {name_of(forecast)} has no such series; there are "
                f"{', '.join(there[:12])}{', …' if len(there) > 12 else ''}"
            )
        shown = wanted[:most]
        with about(forecast, actuals):
            found = fans(table, chosen, came, shown, freq, history_steps)
        stage("drawing")
        write(out, draw(found, unit, out.suffix.lower().removeprefix("."), dark=dark))
    if as_json:
        print_json({"plot": str(out), "model": chosen.name, "series": shown})
    rest = f" of {len(wanted)}; --series chooses others" if len(shown) < len(wanted) else ""
    say(f"{out}: {len(shown)} series{rest}", quiet)
