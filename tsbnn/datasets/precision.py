"""What float32 loses of a column: values that it cannot tell apart, and values that become 0."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsbnn.datasets.rows import Rows, others, show

#: More than this share of a series' steps, or of its values, is worth a warning.
_SHARE = 0.1
#: What is smaller, relative to its series' span or its largest value, no network could use.
_NOTHING = 2.0**-24
#: Relative differences below are the rounding of float64 itself.
_ROUNDING = 2.0**-44


class Loss(NamedTuple):
    """The series that loses most of a column.

    Attributes
    ----------
    column
        The column's name.
    series
        The number of the series.
    share
        Of its steps between unlike values, those between values that are alike in float32; or of
        its values other than 0, those that become 0.
    num_series
        How many series lose too much.
    different, left
        How many different values it has, and how many of them float32 can tell apart.
    vanished
        How many of its values become 0.
    """

    column: Hashable
    series: int
    share: float
    num_series: int
    different: int
    left: int
    vanished: int


def find_loss(
    column: Hashable, exact: NDArray[np.float64], single: NDArray[np.float32], rows: Rows
) -> Loss | None:
    """What a column loses in float32, if it is too much for any series.

    Neighbours in time are compared, which costs little, and finds whatever makes a series move;
    whether any two of many values meet says nothing.

    Parameters
    ----------
    column
        Its name.
    exact, single
        Its values in the order of ``rows``, ``num_rows``, NaN where missing.
    rows
        The sorted rows.
    """
    same = single[1:] == single[:-1]
    same &= exact[1:] != exact[:-1]
    vanished = single == 0
    vanished &= exact != 0
    if not same.any() and not vanished.any():
        return None
    known = ~np.isnan(exact)
    high = np.maximum.reduceat(np.where(known, exact, -np.inf), rows.starts)
    low = np.minimum.reduceat(np.where(known, exact, np.inf), rows.starts)
    span, largest = high - low, np.maximum(np.abs(high), np.abs(low))
    # Of a constant that was computed, all differences are rounding.
    least = np.maximum(_NOTHING * span, _ROUNDING * largest)[rows.series]
    steps = np.abs(np.diff(exact)) > least[1:]
    steps &= np.diff(rows.series) == 0
    vanished &= np.abs(exact) > (_NOTHING * largest)[rows.series]

    def share(found: NDArray[np.bool_], of: NDArray[np.bool_]) -> NDArray[np.float64]:
        series, count = rows.series[len(rows.series) - len(of) :], rows.num_series
        every = np.bincount(series[of], minlength=count)
        return np.bincount(series[found], minlength=count) / np.maximum(every, 1)

    shares = share(same & steps, steps), share(vanished, (exact != 0) & known)
    larger = np.maximum(*shares)
    worst = int(np.argmax(larger))
    if larger[worst] <= _SHARE:
        return None
    its = slice(int(rows.starts[worst]), int(rows.stops[worst]))
    values = exact[its][~np.isnan(exact[its])]
    return Loss(
        column,
        worst,
        float(larger[worst]),
        int(np.sum(larger > _SHARE)),
        len(np.unique(values)),
        len(np.unique(values.astype(np.float32))),
        int(vanished[its].sum()) if shares[1][worst] > _SHARE else 0,
    )


def warn_of_losses(losses: list[Loss], rows: Rows) -> None:
    """Warn once of the worst of all columns' losses."""
    if not losses:
        return
    worst = max(losses, key=lambda loss: loss.share)
    names = ", ".join(dict.fromkeys(show(loss.column) for loss in losses))
    if worst.vanished:
        what = (
            f"{worst.vanished} values other than 0 are too small for float32, with which networks "
            "compute, and become 0; multiply the column by a power of ten"
        )
    else:
        what = (
            f"float32, with which networks compute, has seven digits, and leaves {worst.left} of "
            f"{worst.different} different values; subtract what all values have in common, or take "
            "differences where they only grow"
        )
    whose = others(worst.num_series, "series")
    also = f" This concerns the columns {names}." if len(losses) > 1 else ""
    warnings.warn(
        f"{rows.name(worst.series)}, column {show(worst.column)}{whose}: {what}.{also}",
        stacklevel=3,
    )
