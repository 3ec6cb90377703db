"""What all commands have in common: errors in one line, settings from a file, exit codes."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tsbnn.cli.errors import INTERRUPTED, USAGE, told


class Command(TyperCommand):
    """A command with ``--debug`` and ``--quiet``, whose errors are told in one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Each paragraph is broken to the width of the terminal, not where the source breaks it.
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        self.help = "\n\n".join(" ".join(part.split()) for part in paragraphs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with told(ctx.params["debug"], ctx.params["quiet"]):
            return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands; wrong options are told in one line too."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the command line, run the command, exit with its code."""
        standalone = kwargs.get("standalone_mode", True)
        kwargs["standalone_mode"] = False
        if not standalone:
            return super().main(*args, **kwargs)
        try:
            code = super().main(*args, **kwargs)
        except typer.Abort:
            code = INTERRUPTED
        except Exception as error:
            # Exceptions of the parser, whose home differs between versions of typer.
            if not hasattr(error, "format_message"):
                raise
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else "tsbnn"
            message = " ".join(str(error.format_message()).split())
            typer.echo(f"tsbnn: {message} (see {path} --help)", err=True)
            code = USAGE
        sys.exit(code if isinstance(code, int) else 0)
