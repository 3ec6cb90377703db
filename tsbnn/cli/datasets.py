"""``tsbnn datasets``: what series there are by name, what is known of them, and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsbnn.cli import options as o
from tsbnn.cli.command import Command, Group
from tsbnn.cli.output import print_json, say

if TYPE_CHECKING:
    from tsbnn.datasets import Spec

app = typer.Typer(
    cls=Group,
    help="List, describe and download series that have names.",
    no_args_is_help=False,
    invoke_without_command=True,
)


@app.callback()
def main(ctx: typer.Context) -> None:
    """List, describe and download series that have names."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), nl=False)
        raise typer.Exit(2)


@app.command("list", cls=Command)
def list_all(as_json: o.Json = False, quiet: o.Quiet = False, debug: o.Debug = False) -> None:
    """List all datasets."""
    from tsbnn.datasets import specs

    found = [_known(spec) for spec in specs().values()]
    if as_json:
        print_json(found)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("freq")
    table.add_column("series", justify="right")
    table.add_column("files", no_wrap=True)
    table.add_column("what")
    for one in found:
        table.add_row(*(str(one[key]) for key in ("name", "freq", "series", "files", "what")))
    Console().print(table)


@app.command(cls=Command)
def describe(
    name: o.DatasetName, as_json: o.Json = False, quiet: o.Quiet = False, debug: o.Debug = False
) -> None:
    """Tell what is known of a dataset: source, licence, split, files."""
    from tsbnn.datasets import locate
    from tsbnn.datasets.registry import find_spec

    spec = find_spec(name)
    places = locate(name)
    found = {
        **_known(spec),
        "season": spec.season,
        "covariates": list(spec.known_covariates),
        "split": spec.split,
        "source": spec.source,
        "licence": spec.licence,
        "paths": {str(path): "there" if there else "absent" for path, there in places.items()},
    }
    if as_json:
        print_json(found)
        return
    print_pairs(
        {
            "name": found["name"],
            "what": found["what"],
            "series": found["series"],
            "frequency": f"{found['freq']}, season of {found['season']}",
            "covariates": ", ".join(found["covariates"]) or "none",
            "backtest": f"{found['windows']} window(s) of {found['prediction_length']} steps",
            "split": found["split"],
            "source": found["source"],
            "licence": found["licence"],
            "files": "\n".join(f"{path} ({state})" for path, state in found["paths"].items()),
        }
    )


@app.command(cls=Command)
def download(
    names: Annotated[
        list[str],
        typer.Argument(help="Names of datasets.", metavar="NAME...", show_default=False),
    ],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Get the files of datasets that are not here yet; each is checked by its sha256."""
    from tsbnn.datasets import download as get
    from tsbnn.datasets.registry import find_spec

    for name in names:
        find_spec(name)
    paths: dict[str, list[str]] = {}
    for name in names:
        paths[name] = [str(path) for path in get(name, quiet=quiet)]
        if not as_json:
            say("\n".join(f"{name}: {path}" for path in paths[name]), quiet)
    if as_json:
        print_json(paths)


def _known(spec: Spec) -> dict[str, Any]:
    from tsbnn.datasets import locate

    there = all(locate(spec.name).values())
    return {
        "name": spec.name,
        "what": spec.description,
        "freq": spec.freq,
        "series": spec.num_series,
        "prediction_length": spec.prediction_length,
        "windows": spec.windows,
        "files": "bundled" if spec.bundled else "here" if there else "to download",
    }


def print_pairs(pairs: dict[str, Any]) -> None:
    """Print names and what they stand for, below one another."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(name, Text(str(value)))
    Console().print(table)
