"""Which frequency do the timestamps have: one vote per series, by its most frequent step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsbnn.datasets.errors import DuplicateTimestampError, FrequencyError, MixedFrequencyError
from tsbnn.datasets.frequencies import Frequency, frequency_of_seconds, quarter_end
from tsbnn.datasets.rows import Rows, others, show

_SECOND = 1_000_000_000
_DAY = 86400
_NO_VOTE = -1


@dataclass(frozen=True)
class _Steps:
    """Steps between neighbouring rows, and the most frequent step of each series."""

    series: NDArray[np.integer]
    size: NDArray[np.int64]
    mode: NDArray[np.int64]
    mode_count: NDArray[np.int64]
    total: NDArray[np.int64]


def check_duplicates(rows: Rows, where: str = "") -> None:
    """Raise if a series has two rows with the same timestamp.

    Parameters
    ----------
    rows
        The rows.
    where
        What the message begins with, such as the name of a frame.

    Raises
    ------
    DuplicateTimestampError
        Naming the series and both rows.
    """
    same = (np.diff(rows.series) == 0) & (np.diff(rows.stamp_codes) == 0)
    if not same.any():
        return
    first = int(np.flatnonzero(same)[0])
    count = int(same.sum())
    raise DuplicateTimestampError(
        f"{where}{rows.name(rows.series[first])}, column {show(rows.timestamp)}: rows "
        f"{show(rows.label(first))} and {show(rows.label(first + 1))} both have the timestamp "
        f"{show(rows.stamp(first))}{others(count, 'pairs')}. A series needs one row per "
        + (
            "time step: aggregate with groupby(...).sum() or .mean(), or drop_duplicates(); hours "
            "that a clock change repeats need UTC."
            if rows.has_items
            else "time step: name the column that tells series apart (item_id=...), or aggregate "
            "with groupby(...).sum() or .mean(); hours that a clock change repeats need UTC."
        ),
        **rows.where(first + 1),
    )


def infer_frequency(rows: Rows) -> Frequency:
    """Infer the one frequency of all series.

    Each series with at least three rows votes for its most frequent step, if this step occurs
    twice; rows on one day of their months (on the last one of shorter months) and at least 28 days
    apart step in months. Gaps are multiples of the step.

    Raises
    ------
    MixedFrequencyError
        If two series vote differently; names both and their frequencies.
    FrequencyError
        If no series has enough rows, or one has no step that is at least half of all its steps.
    """
    stamps = rows.stamps
    nanoseconds = np.asarray(stamps.as_unit("ns").astype("int64"))
    seconds, rest = np.divmod(nanoseconds, _SECOND)
    seconds = seconds[rows.stamp_codes]
    inside = np.diff(rows.series) == 0
    if rest.any():
        row = int(np.flatnonzero(rest[rows.stamp_codes])[0])
        if len(np.unique(rest)) > 1:
            raise FrequencyError(
                f"{rows.place(row)}: the timestamp {show(rows.stamp(row))} lies between full "
                "seconds, and steps below a second are not supported; round the timestamps "
                f"(df[{show(rows.timestamp)}].dt.round('s')) or resample.",
                **rows.where(row),
            )
    monthly = _monthly(rows, seconds, inside)
    position = seconds
    if monthly.any():
        months = np.asarray(stamps.year * 12 + stamps.month, dtype=np.int64)[rows.stamp_codes]
        position = np.where(monthly[rows.series], months, seconds)
    steps = _steps(rows, position, inside)
    votes = (steps.mode_count >= 2) & (steps.total >= 2)
    if not votes.any():
        raise _cannot_infer(rows)
    _check_regular(rows, steps, votes, monthly)
    return _agree(rows, steps, votes, monthly)


def _monthly(
    rows: Rows, seconds: NDArray[np.int64], inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which series have all rows on the same day of different months (or all at month ends).

    The same day is the last one of months that are too short for it.
    """
    stamps = rows.stamps
    close = np.zeros(rows.num_series, dtype=bool)
    np.logical_or.at(close, rows.series[1:][inside & (np.diff(seconds) < 28 * _DAY)], True)
    if close.all():
        return ~close
    day = days_of_months(rows)
    constant = np.logical_and.reduceat(day == day[rows.starts][rows.series], rows.starts)
    last_business, first_business = business_ends(stamps)
    for flag in (np.asarray(stamps.is_month_end), last_business, first_business):
        constant |= np.logical_and.reduceat(flag[rows.stamp_codes], rows.starts)
    return constant & ~close


def days_of_months(rows: Rows) -> NDArray[np.int64]:
    """Day of the month of each row, from 1, ``num_rows``.

    The last day of a month stands for the latest day that the series has: 30 for 29 February, if
    other rows lie on the 30th.
    """
    day = np.asarray(rows.stamps.day, dtype=np.int64)[rows.stamp_codes]
    latest = np.maximum.reduceat(day, rows.starts)[rows.series]
    return np.where(np.asarray(rows.stamps.is_month_end)[rows.stamp_codes], latest, day)


def business_ends(stamps: pd.DatetimeIndex) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which timestamps lie on the last, and on the first, business day of their month."""
    days = stamps.values.astype("datetime64[D]")
    month = stamps.values.astype("datetime64[M]")
    first = np.busday_offset(month.astype("datetime64[D]"), 0, roll="forward")
    last = np.busday_offset((month + 1).astype("datetime64[D]"), -1, roll="forward")
    return days == last, days == first


def _steps(rows: Rows, position: NDArray[np.int64], inside: NDArray[np.bool_]) -> _Steps:
    series = rows.series[1:][inside]
    size = np.diff(position)[inside]
    count = rows.num_series
    total = np.bincount(series, minlength=count)
    codes, sizes = pd.factorize(size, sort=True)
    key = codes.astype(np.int64)
    del codes
    key += series.astype(np.int64) * len(sizes)
    if count * len(sizes) <= len(rows.series):  # few different steps: count them in a table
        table = np.bincount(key, minlength=count * len(sizes)).reshape(count, len(sizes))
        key, occurrences = np.flatnonzero(table), table[table > 0]
    else:
        key, occurrences = np.unique(key, return_counts=True)
    key_series, key_code = np.divmod(key, max(len(sizes), 1))
    # of the most frequent the smallest: sort by series, then by falling count, then by size
    best = np.lexsort((key_code, -occurrences, key_series))
    first = best[np.flatnonzero(np.diff(key_series[best], prepend=-1))]
    mode, mode_count = np.full(count, _NO_VOTE, dtype=np.int64), np.zeros(count, dtype=np.int64)
    mode[key_series[first]] = sizes[key_code[first]]
    mode_count[key_series[first]] = occurrences[first]
    return _Steps(series, size, mode, mode_count, total)


def _check_regular(
    rows: Rows, steps: _Steps, votes: NDArray[np.bool_], monthly: NDArray[np.bool_]
) -> None:
    irregular = np.flatnonzero(votes & (2 * steps.mode_count < steps.total))
    if not len(irregular):
        return
    series = int(irregular[0])
    sizes, counts = np.unique(steps.size[steps.series == series], return_counts=True)
    common = ", ".join(
        f"{_step_text(int(sizes[i]), bool(monthly[series]))} ({counts[i]} times)"
        for i in np.argsort(-counts, kind="stable")[:3]
    )
    whole = np.gcd.reduce(steps.size[steps.series == series])
    anchor = rows.stamp(rows.starts[series]).weekday()
    if monthly[series]:
        anchor = int(end_months(rows)[series])
    grid = _frequency(int(whole), bool(monthly[series]), anchor)
    lunar = (sizes >= 28 * _DAY) & (sizes <= 31 * _DAY)
    month_like = not monthly[series] and 2 * counts[lunar].sum() > counts.sum()
    raise FrequencyError(
        f"{rows.name(series)}: no frequency can be inferred from column {show(rows.timestamp)}, "
        f"since no step between its {steps.total[series] + 1} rows is the usual one: {common}. "
        "Pass freq=... to put the rows on a grid with gaps (the coarsest that holds them all is "
        f"{grid.alias!r}), or resample the frame first."
        + (
            " For months pass freq='ME': a row off its month's day is then named."
            if month_like
            else ""
        ),
        series=rows.items[series],
        column=rows.timestamp,
    )


def _agree(
    rows: Rows, steps: _Steps, votes: NDArray[np.bool_], monthly: NDArray[np.bool_]
) -> Frequency:
    choice, candidates = _votes(rows, steps, votes, monthly)
    voted = choice[choice != _NO_VOTE]
    if not len(voted):  # Monday to Friday of one week only: daily, as far as one can see
        return Frequency("D")
    counts = np.bincount(voted, minlength=len(candidates))
    winner = int(np.argmax(counts))
    dissent = np.flatnonzero((choice != winner) & (choice != _NO_VOTE))
    if not len(dissent):
        return candidates[winner]
    a, b = int(np.flatnonzero(choice == winner)[0]), int(dissent[0])
    other = candidates[choice[b]]
    start = int(rows.starts[b])
    raise MixedFrequencyError(
        f"the series have different frequencies: {rows.name(a)} has {candidates[winner].alias!r} "
        f"(as have {counts[winner]} of {len(voted)} series), {rows.name(b)} has {other.alias!r} "
        f"(rows {show(rows.stamp(start))}, {show(rows.stamp(start + 1))}, ...). One dataset has "
        "one frequency: resample the series to a common one, make a dataset of each kind, or "
        "pass freq=... to put all of them on the finer grid, with gaps.",
        series=rows.items[b],
        column=rows.timestamp,
        row=rows.label(start),
        value=other.alias,
    )


def _votes(
    rows: Rows, steps: _Steps, votes: NDArray[np.bool_], monthly: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], list[Frequency]]:
    """Each series' frequency as a number into the list of all that occur, -1 for no vote.

    A series of Mondays to Fridays within one week cannot tell days from business days.
    """
    weekday = np.asarray(rows.stamps.weekday, dtype=np.int64)[rows.stamp_codes]
    workdays = ~monthly & (steps.mode == _DAY)
    workdays &= np.logical_and.reduceat(weekday < 5, rows.starts)
    crossing = np.zeros(rows.num_series, dtype=bool)
    falls = (np.diff(weekday) < 0) & (np.diff(rows.series) == 0)
    crossing[rows.series[1:][falls]] = True
    undecided = workdays & ~crossing & bool((workdays & crossing & votes).any())
    weekly = ~monthly & (steps.mode % (7 * _DAY) == 0)
    anchor = np.where(weekly, weekday[rows.starts], np.where(monthly, end_months(rows), 0))
    keys = np.stack([steps.mode, monthly, workdays & crossing, anchor], axis=1)
    unique, choice = np.unique(keys, axis=0, return_inverse=True)
    candidates: dict[Frequency, int] = {}
    numbers = [
        candidates.setdefault(
            Frequency("B") if business else _frequency(int(step), bool(by_month), int(at)),
            len(candidates),
        )
        for step, by_month, business, at in unique
    ]
    choice = np.asarray(numbers, dtype=np.int64)[choice.reshape(-1)]
    choice[~votes | undecided] = _NO_VOTE
    return choice, list(candidates)


def _frequency(step: int, monthly: bool, anchor: int) -> Frequency:
    """The frequency of a step of so many months or seconds, with its end month or weekday."""
    if step <= 0:
        return Frequency("D")  # of a series without a vote
    if monthly:
        if step % 12 == 0:
            return Frequency("Y", step // 12, anchor)
        return Frequency("Q", 1, quarter_end(anchor)) if step == 3 else Frequency("M", step)
    if step % (7 * _DAY) == 0:
        return Frequency("W", step // (7 * _DAY), anchor)
    return frequency_of_seconds(step)


def end_months(rows: Rows) -> NDArray[np.int64]:
    """The month that ends each series' quarters or years, if such it has, ``num_series``.

    Timestamps that are all on the first (business) day of a month start their period, on the last
    they end it; others leave it open, which is December.
    """
    stamps = rows.stamps
    last_business, first_business = business_ends(stamps)
    starts, ends = (
        np.logical_and.reduceat(calendar[rows.stamp_codes], rows.starts)
        | np.logical_and.reduceat(business[rows.stamp_codes], rows.starts)
        for calendar, business in (
            (np.asarray(stamps.day) == 1, first_business),
            (np.asarray(stamps.is_month_end), last_business),
        )
    )
    month = np.asarray(stamps.month, dtype=np.int64)[rows.stamp_codes[rows.starts]]
    return np.where(starts, (month - 2) % 12 + 1, np.where(ends, month, 12))


def _step_text(step: int, monthly: bool) -> str:
    if monthly:
        return f"{step} months"
    return str(pd.Timedelta(step, "s")).replace(" 00:00:00", "").replace("0 days ", "")


def _cannot_infer(rows: Rows) -> FrequencyError:
    longest = int(np.argmax(rows.stops - rows.starts))
    count = int(rows.stops[longest] - rows.starts[longest])
    stamps = [show(rows.stamp(rows.starts[longest] + k)) for k in range(min(count, 3))]
    return FrequencyError(
        f"no frequency can be inferred from column {show(rows.timestamp)}: {rows.name(longest)} "
        f"has the most rows, {count} ({', '.join(stamps)}{', ...' if count > 3 else ''}), and no "
        "step occurs twice. Pass freq=..., for instance freq='D' or freq='ME'.",
        series=rows.items[longest],
        column=rows.timestamp,
    )
