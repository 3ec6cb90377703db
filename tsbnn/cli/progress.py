"""Bars with time left, on a terminal and on stderr only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Report = Callable[[float], None]


def _bars(console: Console, shown: bool, *, transient: bool = False) -> Progress:
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Share(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.total is None else f"{task.percentage:>3.0f} %")

    class Left(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            return Text("") if task.total is None else Text("left ") + super().render(task)

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        Share(),
        TimeElapsedColumn(),
        Left(),
        console=console,
        disable=not shown,
        transient=transient,
        # One slow start should not make the estimate jump.
        speed_estimate_period=60,
    )


@contextmanager
def stages(quiet: bool) -> Iterator[Callable[[str], Report]]:
    """What a command is doing, one stage after the other; it is gone once all is done.

    Yields
    ------
    Callable
        Begins a stage by its name; returns what takes the share of it that is done. Until that is
        called the bar moves to and fro.
    """
    from rich.console import Console

    console = Console(stderr=True)
    with _bars(console, console.is_terminal and not quiet, transient=True) as bars:
        tasks: list[Any] = []

        def begin(name: str) -> Report:
            if tasks:
                bars.remove_task(tasks.pop())
            tasks.append(bars.add_task(name, total=None))
            task = tasks[-1]

            def report(share: float) -> None:
                bars.update(task, total=1.0, completed=share)

            return report

        yield begin


@contextmanager
def runs(
    models: Sequence[str], seeds: Sequence[int], quiet: bool
) -> Iterator[tuple[Callable[[str, int, float], None], Report]]:
    """Progress of a backtest: bars on a terminal; elsewhere one line per finished run.

    Yields
    ------
    on_run, on_report
        To be called with model, seed and share; and with the report's share.
    """
    from rich.console import Console

    console = Console(stderr=True)
    lines = not console.is_terminal and not quiet
    several = len(seeds) > 1
    # The naive baseline takes no time worth counting.
    weights = dict.fromkeys([*models, "gluonts_deepar"], 1.0)
    shares: dict[tuple[str, int], float] = {}
    whole = sum(weights.values()) * len(seeds) + 0.2

    with _bars(console, console.is_terminal and not quiet) as bars:
        total = bars.add_task("all", total=whole)
        tasks: dict[tuple[str, int], Any] = {}

        def on_run(model: str, seed: int, share: float) -> None:
            name = f"{model}, seed {seed}" if several else model
            key = (model, seed)
            if key not in tasks:
                tasks[key] = bars.add_task(name, total=1.0)
            if share == 1.0 and shares.get(key) != 1.0 and lines:
                console.print(f"{name}: done", highlight=False)
            shares[key] = share
            bars.update(tasks[key], completed=share)
            done = sum(weights.get(m, 0.0) * part for (m, _), part in shares.items())
            bars.update(total, completed=done)

        def on_report(share: float) -> None:
            key = ("report", 0)
            if key not in tasks:
                tasks[key] = bars.add_task("report", total=1.0)
            bars.update(tasks[key], completed=share)
            bars.update(total, completed=whole - 0.2 * (1 - share))

        yield on_run, on_report
