"""The command line: ``tsbnn backtest``. Heavy libraries are imported inside the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tsbnn import __version__
from tsbnn.cli.backtest import backtest

app = typer.Typer(
    name="tsbnn",
    help="Bayesian neural time-series forecasters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tsbnn {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Bayesian neural time-series forecasters."""


app.command()(backtest)
