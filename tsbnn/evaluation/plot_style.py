"""How plots look: Okabe and Ito's colours on a light or a dark page, dashes, markers, sizes."""

from __future__ import annotations

from typing import Any

#: Okabe and Ito's colours, those that stand out from a white page first; then a grey.
LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
#: The same hues, lighter where a dark page needs it.
DARK = ("#56B4E9", "#E8703A", "#2FC79A", "#E39CC4", "#E69F00", "#9AD4F5", "#A6A6A6")

_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def style(dark: bool = False) -> dict[Any, Any]:
    """Settings for ``matplotlib.rc_context`` under which all plots of this module look alike.

    Parameters
    ----------
    dark
        Draw for a dark page.

    Returns
    -------
    dict
        Settings by name.
    """
    from matplotlib.rcsetup import cycler

    page, ink, faint = (
        ("#15181c", "#e6e6e6", "#3a4048") if dark else ("#ffffff", "#1f2328", "#d9dde2")
    )
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": faint,
        "axes.facecolor": page,
        "axes.grid": True,
        "axes.labelcolor": ink,
        "axes.labelsize": 10,
        "axes.prop_cycle": cycler(color=DARK if dark else LIGHT),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "figure.facecolor": page,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "grid.color": faint,
        "grid.linewidth": 0.6,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "savefig.facecolor": page,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
    }


def curve(place: int) -> dict[str, Any]:
    """Colour, dashes and marker of the curve at one place of a legend: no two of seven agree."""
    return {
        "color": f"C{place}",
        "linestyle": _DASHES[place % len(_DASHES)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 4,
    }


def ink() -> Any:
    """The colour of text, for lines that belong to no model."""
    import matplotlib as mpl

    return mpl.rcParams["text.color"]


def page() -> Any:
    """The colour behind a plot."""
    import matplotlib as mpl

    return mpl.rcParams["axes.facecolor"]
