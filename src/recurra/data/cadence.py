"""The frequency of a set of series, found from the differences between their stamps."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.data.frequency import DAY, Frequency
from recurra.errors import DataError

__all__ = ["all_month_end", "describe_step", "infer", "odd_series"]

Array = np.ndarray[Any, Any]
_DAYS_PER_MONTH = 30.436875


def infer(times: Array, offsets: Array) -> Frequency:
    """The most common step over all series.

    times: (N,) sorted within each series, without duplicates, datetime64[us] or int64.
    offsets: (n+1,) where each series begins.
    Months, quarters and years win over a fixed number of days where they fit as many pairs of neighbours;
    days become business days where no stamp is on a weekend and one at least is crossed.
    Raises DataError when no series has two rows.

    >>> infer(np.array(["2024-01-01", "2024-02-01", "2024-03-01"], "M8[us]"), np.array([0, 3]))
    Frequency(every='1mo')
    """
    before, after = _neighbours(times, offsets)
    if not len(before):
        raise DataError("no series has two rows, so the step between rows is unknown; pass --freq, such as --freq 1d")
    step = _most_common((after - before).astype(np.int64))
    if times.dtype.kind != "M":
        return Frequency(f"{step}i")
    fixed = Frequency.parse(f"{step}us")
    if step == DAY and _is_business(times, before, after):
        return Frequency("1bd")
    months = round(step / DAY / _DAYS_PER_MONTH)
    if step % DAY or months < 1 or abs(step / DAY - months * _DAYS_PER_MONTH) > 2.5:
        return fixed
    monthly = Frequency.parse(f"{months}mo")
    if all_month_end(times):
        monthly = monthly.at_month_end()
    _check_one_anchor(times, offsets, monthly)
    return monthly if _fit(monthly, before, after) >= _fit(fixed, before, after) else fixed


def odd_series(times: Array, offsets: Array, frequency: Frequency) -> tuple[int, int] | None:
    """The first series (of three rows or more) whose own most common step is another, with that step; else None."""
    before, after = _neighbours(times, offsets)
    same = frequency.advance(before, np.ones(1, np.int64)) == after
    owner = np.repeat(np.arange(len(offsets) - 1), np.maximum(np.diff(offsets) - 1, 0))
    hits = np.bincount(owner, weights=same, minlength=len(offsets) - 1)
    pairs = np.diff(offsets) - 1
    for series in np.flatnonzero((pairs >= 2) & (hits * 2 < pairs)):
        own = times[offsets[series] : offsets[series + 1]]
        gaps = np.diff(own).astype(np.int64)
        step = _most_common(gaps)
        if (gaps == step).sum() > max(hits[series], 1):
            return int(series), step
    return None


def describe_step(step: int, *, integer: bool) -> str:
    """A difference in words: microseconds as `7m`, whole numbers as they are."""
    return str(step) if integer else str(Frequency.parse(f"{step}us"))


def all_month_end(times: Array) -> bool:
    """Whether every stamp is on the last day of its month."""
    return bool(_at_month_end(times).all())


def _neighbours(times: Array, offsets: Array) -> tuple[Array, Array]:
    inner = np.ones(max(len(times) - 1, 0), bool)
    inner[offsets[1:-1] - 1] = False
    return times[:-1][inner], times[1:][inner]


def _most_common(steps: Array) -> int:
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()])


def _at_month_end(times: Array) -> Array:
    day = times.astype("M8[D]")
    return np.asarray((day + 1).astype("M8[M]") != day.astype("M8[M]"))


def _is_business(times: Array, before: Array, after: Array) -> bool:
    crossed = (after - before).astype(np.int64) == 3 * DAY
    return bool(crossed.any() and np.is_busday(times.astype("M8[D]")).all())


def _fit(frequency: Frequency, before: Array, after: Array) -> int:
    return int((frequency.advance(before, np.ones(1, np.int64)) == after).sum())


def _check_one_anchor(times: Array, offsets: Array, monthly: Frequency) -> None:
    """The end of the month belongs to the frequency, so all series share it."""
    if monthly.month_end:
        return
    ends = np.add.reduceat(_at_month_end(times), offsets[:-1]) == np.diff(offsets)
    long = np.diff(offsets) >= 3
    if (ends & long).any():
        series = int(np.flatnonzero(ends & long)[0])
        raise DataError(
            f"mixed frequency: series number {series + 1} is stamped at the end of the month, others are not; "
            "stamp all of them alike"
        )
