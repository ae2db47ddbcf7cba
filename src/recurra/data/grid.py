"""Rows sorted into series and checked against one frequency."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recurra.data.cadence import all_month_end, describe_step, infer, odd_series
from recurra.data.columns import Columns
from recurra.data.files import Table
from recurra.data.frequency import DAY, Frequency
from recurra.data.values import likes
from recurra.errors import DataError, Notice

__all__ = ["Rows", "arrange", "check_duplicates", "find_frequency", "positions"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of a table in the order of series and time, each of which knows its place in the table.

    ids: (n,) in order of appearance; offsets: (n+1,); times: (N,).
    source: (N,) the table's row of each sorted row.
    """

    table: Table
    columns: Columns
    ids: pl.Series
    offsets: Array
    times: Array
    source: Array

    def at(self, k: int) -> str:
        """File and line of sorted row k."""
        return self.table.at(int(self.source[k]))

    def place(self, k: int) -> str:
        """Line of sorted row k."""
        return self.table.place(int(self.source[k]))

    def series_of(self, k: int) -> int:
        """Which series sorted row k belongs to."""
        return int(np.searchsorted(self.offsets, k, side="right")) - 1

    def label(self, k: int) -> str:
        """The series of sorted row k, as messages call it."""
        return f"series {self.ids[self.series_of(k)]!r}"

    def time(self, k: int) -> str:
        """The stamp of sorted row k, without what is zero."""
        text = str(self.times[k]).replace("T", " ")
        return text.removesuffix(".000000").removesuffix(":00").removesuffix(" 00:00")


def arrange(table: Table, columns: Columns, times: Array) -> Rows:
    """The table's rows by series (in order of appearance) and time, stably; a Notice says if time was out of order.

    Raises DataError with the line of a row without a series.
    """
    if columns.id is None:
        ids, codes = pl.Series("unique_id", ["series"]), np.zeros(len(times), np.int64)
    else:
        ids, codes = _codes(table, columns.id)
    source = np.arange(len(times))
    if (codes[1:] < codes[:-1]).any():
        source = np.argsort(codes, kind="stable")
    back = (times[source][1:] < times[source][:-1]) & (codes[source][1:] == codes[source][:-1])
    if back.any():
        first = int(source[1:][back].min())
        count = int(back.sum())
        rows = "1 row was out of order and is" if count == 1 else f"{count} rows were out of order and are"
        warnings.warn(
            f"{table.at(first)}: the time goes back here; {rows} now sorted",
            Notice,
            stacklevel=3,
        )
        source = np.lexsort((times, codes))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(ids)))]).astype(np.int64)
    return Rows(table, columns, ids, offsets, times[source], source)


def _codes(table: Table, column: str) -> tuple[pl.Series, Array]:
    names = table.frame[column]
    empty = names.is_null().arg_true()
    if len(empty):
        more = likes(len(empty) - 1)
        raise DataError(
            f"{table.at(int(empty[0]))}: column {column!r} names no series{more}. Fill or remove these rows"
        )
    ids = names.unique(maintain_order=True)
    if len(ids) == 1:
        return ids, np.zeros(len(names), np.int64)
    return ids, names.replace_strict(ids, np.arange(len(ids)), return_dtype=pl.Int64).to_numpy()


def check_duplicates(rows: Rows) -> None:
    """Raises DataError with both lines of the first stamp that a series has twice, and the count of the others."""
    same = rows.times[1:] == rows.times[:-1]
    same[rows.offsets[1:-1] - 1] = False
    twice = np.flatnonzero(same)
    if not len(twice):
        return
    k = int(twice[0])
    more = f"; {len(twice) - 1} more like it" if len(twice) > 1 else ""
    remedy = "Remove one of them"
    clock = rows.times.astype(np.int64) % DAY
    if rows.times.dtype.kind == "M" and (clock != clock[0]).any():
        remedy += ", or write UTC or offsets (02:30+01:00) if the time zone set its clocks back"
    if rows.columns.id is None:
        remedy = "If the table holds several series, pass --series COLUMN. " + remedy
    raise DataError(
        f"{rows.at(k)} and {rows.place(k + 1)}: {rows.label(k)} has {rows.columns.time!r} {rows.time(k)} twice{more}. "
        + remedy
    )


def find_frequency(rows: Rows, freq: str | int | Frequency | None) -> Frequency:
    """The frequency that was given, else the most common step.

    Raises DataError when it does not suit the kind of times, when the longest series has one row and none was
    given, and when a series keeps to another step.
    """
    dated = rows.times.dtype.kind == "M"
    if freq is not None:
        frequency = Frequency.parse(freq)
        if frequency.integer == dated:
            held, needed = ("dates", "whole numbers") if dated else ("whole numbers", "dates")
            raise DataError(
                f"{rows.table.name}: column {rows.columns.time!r} holds {held}; --freq {freq} needs {needed}"
            )
        return frequency.at_month_end() if frequency.months and all_month_end(rows.times) else frequency
    if len(rows.times) == len(rows.ids):
        raise DataError(
            f"{rows.at(0)}: the longest series has 1 row; 2 are needed to find the frequency. "
            "Pass --freq, such as --freq 1d"
        )
    try:
        frequency = infer(rows.times, rows.offsets)
    except DataError as error:
        raise DataError(f"{rows.table.name}: {error}") from None
    odd = odd_series(rows.times, rows.offsets, frequency)
    if odd is not None:
        series, step = odd
        k = int(rows.offsets[series])
        raise DataError(
            f"{rows.at(k)}: mixed frequency: {rows.label(k)} steps by {describe_step(step, integer=not dated)}, "
            f"most of the data by {frequency}. Give each frequency a file of its own, or pass --freq"
        )
    return frequency


def positions(rows: Rows, frequency: Frequency) -> Array:
    """The step of each row, counted from its series' first, (N,) int64.

    Raises DataError with the first row that is off the grid, with both steps.
    """
    start = np.repeat(rows.times[rows.offsets[:-1]], np.diff(rows.offsets))
    steps, on_grid = frequency.count(start, rows.times)
    if not on_grid.all():
        off = np.flatnonzero(~on_grid)
        k = int(off[0])
        if k == rows.offsets[rows.series_of(k)]:
            raise DataError(
                f"{rows.at(k)}: {rows.label(k)} begins at {rows.time(k)}, which is not on a grid of {frequency}"
            )
        gap = int(rows.times[k].astype(np.int64) - rows.times[k - 1].astype(np.int64))
        step = describe_step(gap, integer=frequency.integer)
        more = f"; {len(off) - 1} more rows are off its grid" if len(off) > 1 else ""
        raise DataError(
            f"{rows.at(k)}: mixed frequency: {rows.label(k)} steps by {step} from {rows.time(k - 1)} to "
            f"{rows.time(k)}, the data by {frequency}{more}. Mend the stamp, resample, or pass --freq"
        )
    return steps
