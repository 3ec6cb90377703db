"""What commands print and write: messages, JSON, and files that are never half-written."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from tsbnn.cli.errors import UsageError

STREAM = Path("-")


def say(message: str, quiet: bool) -> None:
    """Tell what was done, on stderr."""
    if not quiet:
        typer.echo(message, err=True)


def print_json(result: Any) -> None:
    """Print a result for programs; numbers that are not finite become null."""
    typer.echo(json.dumps(_plain(result), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def check_file(option: str, path: Path, suffixes: tuple[str, ...]) -> None:
    """Make sure that a file can be written, before work for it begins.

    Raises
    ------
    UsageError
        If its ending is another one, its folder is not there, or it is a folder.
    """
    if path == STREAM:
        return
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder, and a file is needed")
    if not path.name.lower().endswith(suffixes):
        raise UsageError(f"{option} {path}: its name must end in {', '.join(suffixes)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UsageError(f"{option} {path}: nothing can be written in {path.absolute().parent}")


def write(path: Path, content: bytes) -> None:
    """Write a file, all or nothing, or standard output."""
    if path == STREAM:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    fresh = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def bytes_of(fill: Callable[[io.BytesIO], object]) -> bytes:
    """What something writes into a file."""
    buffer = io.BytesIO()
    fill(buffer)
    return buffer.getvalue()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until a folder has taken another one's place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
