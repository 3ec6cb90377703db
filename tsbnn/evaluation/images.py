"""Plots for a page: drawn once, as SVG in the page's own colours, and as PNG to pass on."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from tsbnn.evaluation.plot_style import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of every figure in inches. A page shows 100 pixels per inch, a phone some 85.
WIDTH = 4.4
_DPI = 180

#: Settings of the style by the name of a page's colour; those of curves are c0, c1, ….
_COLOURS = {"page": "figure.facecolor", "ink": "text.color", "line": "grid.color"}


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes
    ----------
    group
        What it shows: ``differences``, ``calibration``, ``fan``, ….
    name
        File name without ending.
    caption, alt
        What stands above it, and what it shows, in words.
    svg
        An element of a page that has the variables of :func:`colours` and ``--font``.
    png
        A file, for a light page.
    height
        In inches.
    """

    group: str
    name: str
    caption: str
    alt: str
    svg: str
    png: bytes
    height: float


@dataclass(frozen=True)
class Drawing:
    """A plot that is still to be drawn, by ``paint`` on a figure of some inches."""

    group: str
    name: str
    caption: str
    alt: str
    height: float
    paint: Callable[[Figure], object]
    width: float = WIDTH

    def plot(self, prefix: str = "") -> Plot:
        """Draw it; ``prefix`` makes its name one of its own among those of several backtests."""
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        name = f"{prefix}{self.name}"
        with mpl.rc_context({**style(), "svg.fonttype": "none", "svg.hashsalt": name}):
            figure = Figure(figsize=(self.width, self.height), layout="constrained")
            FigureCanvasAgg(figure)
            self.paint(figure)
            png, svg = io.BytesIO(), io.StringIO()
            # Without dates and versions, which would change the bytes but not the picture.
            figure.savefig(png, dpi=_DPI, metadata={"Software": None})
            figure.set_layout_engine("none")  # the layout stays as it is
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(svg, format="svg", metadata=nothing)
        element = _element(svg.getvalue(), name, self.alt)
        file = png.getvalue()
        return Plot(self.group, name, self.caption, self.alt, element, file, self.height)


def colours(dark: bool = False) -> dict[str, str]:
    """Colours of plots by the name of the variable that a page's plots take them from."""
    settings = style(dark)
    cycle = settings["axes.prop_cycle"].by_key()["color"]
    named = {name: settings[key] for name, key in _COLOURS.items()}
    return {
        name: colour.lower()
        for name, colour in {**named, **{f"c{i}": c for i, c in enumerate(cycle)}}.items()
    }


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A part of a file name for each name, no two alike."""
    found: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "unnamed"
        part, count = stem, 1
        while part in found.values():
            count += 1
            part = f"{stem}-{count}"
        found[name] = part
    return found


def _element(svg: str, name: str, alt: str) -> str:
    """Turn a file into an element: no prologue, ids of its own, the page's colours and font."""
    names = {colour: f"var(--{variable})" for variable, colour in colours().items()}

    def styled(found: re.Match[str]) -> str:
        words = re.sub(r"#[0-9a-f]{6}", lambda c: names.get(c[0], c[0]), found[0])
        return words.replace("'DejaVu Sans'", "var(--font)")

    def known(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    box = re.search(r'viewBox="([^"]*)"', svg)
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', known, body)
    body = re.sub(r'(?:xlink:)?(href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r'style="[^"]*"', styled, body)
    # Two decimals are enough for shapes; what is written, between tags, stays.
    body = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    view: Any = box and box[1]
    head = f'<svg class="plot" viewBox="{view}" preserveAspectRatio="xMinYMid"'
    return f'{head} role="img" aria-label="{escape(alt)}">{body}'
