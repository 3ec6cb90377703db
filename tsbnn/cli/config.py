"""Options from a YAML file: the same names, the same checks; the command line wins."""

from __future__ import annotations

import csv
import difflib
import io
from pathlib import Path
from typing import Any

import typer

_NOT_IN_FILES = ("config", "help")


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Callback of ``--config``: make the settings of a file the defaults of the command.

    Raises
    ------
    typer.BadParameter
        If the file cannot be read, is no table of options, or names one that there is not.
    """
    if path is None or ctx.resilient_parsing:
        return path
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        raise typer.BadParameter(f"{path}: each line must be a setting, such as freq: D")
    known = _names(ctx)
    found = {}
    for key, value in settings.items():
        name = str(key).replace("_", "-")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise typer.BadParameter(f"{path}: {ctx.info_name} has no setting {key!s}; {hint}")
        found[known[name]] = _text(path, key, value)
    ctx.default_map = {**(ctx.default_map or {}), **found}
    return path


def _names(ctx: typer.Context) -> dict[str, str]:
    """Parameters of the command by the names that a file may use."""
    known = {}
    for parameter in ctx.command.params:
        longest = max(parameter.opts, key=len)
        name = longest.lstrip("-").replace("_", "-").lower()
        if name not in _NOT_IN_FILES and parameter.name is not None:
            known[name] = parameter.name
    return known


def _text(path: Path, key: Any, value: Any) -> Any:
    """A value as the command line would have it: lists by comma."""
    if isinstance(value, dict):
        raise typer.BadParameter(f"{path}: {key} is one value or a list, not a table")
    if isinstance(value, list):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value)
        return line.getvalue()
    return value if value is None or isinstance(value, bool) else str(value)
