"""The command line, ``tsbnn``. Heavy libraries are imported inside the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tsbnn import __version__
from tsbnn.cli import datasets
from tsbnn.cli.backtest import backtest
from tsbnn.cli.command import Command, Group
from tsbnn.cli.errors import EXIT_CODES
from tsbnn.cli.evaluate import evaluate
from tsbnn.cli.fit import fit
from tsbnn.cli.forecast import forecast
from tsbnn.cli.info import info
from tsbnn.cli.plot import plot

app = typer.Typer(
    name="tsbnn",
    cls=Group,
    epilog=EXIT_CODES,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tsbnn {__version__}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Bayesian neural time-series forecasters: forecasts that know what they do not know."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), nl=False)
        raise typer.Exit(2)


for command, usage in (
    (fit, "tsbnn fit sales.csv --freq D --prediction-length 28 --out model/"),
    (forecast, "tsbnn forecast model/ sales.csv --out forecast.csv"),
    (evaluate, "tsbnn evaluate forecast.csv actuals.csv"),
    (plot, "tsbnn plot forecast.csv sales.csv --out forecast.png"),
    (backtest, "tsbnn backtest --dataset seattle_weather --out report/"),
    (info, "tsbnn info --json"),
):
    app.command(cls=Command, epilog=f"Example: {usage}")(command)
app.add_typer(datasets.app, name="datasets")
