"""Dates written as text, in the forms people use."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from recurra.data.files import Table
from recurra.data.values import list_rows
from recurra.errors import DataError

__all__ = ["parse_text"]

Array = np.ndarray[Any, Any]
_CLOCKS = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
_ISO = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m")
_AWARE = r"^(.*:\d\d(?:[.,]\d+)?)\s?(Z|UTC|[+-]\d\d(?::?\d\d)?)$"


def _with_clocks(*dates: str) -> tuple[str, ...]:
    return tuple(date + clock for date in dates for clock in _CLOCKS)


_MONTH_FIRST = {mark: _with_clocks(f"%m{mark}%d{mark}%Y", f"%m{mark}%d{mark}%y") for mark in "/-"}
_DAY_FIRST = {mark: _with_clocks(f"%d{mark}%m{mark}%Y", f"%d{mark}%m{mark}%y") for mark in "/-"}
_FAMILIES = (
    _ISO,
    _with_clocks("%Y/%m/%d"),
    _with_clocks("%Y%m%d"),
    _with_clocks("%d.%m.%Y"),  # with dots the day comes first wherever dots are used
    _MONTH_FIRST["/"],
    _DAY_FIRST["/"],
    _MONTH_FIRST["-"],
    _DAY_FIRST["-"],
    _with_clocks("%d %b %Y", "%d-%b-%Y", "%d %B %Y"),
    _with_clocks("%b %d, %Y", "%b %d %Y", "%B %d, %Y", "%b %Y", "%b-%Y"),
)


def parse_text(table: Table, column: str, text: pl.Series, *, time_format: str | None) -> tuple[Array, Array | None]:
    """Wall clocks (rows,) datetime64[us] and their seconds ahead of UTC, None where no stamp has an offset.

    Raises DataError for text that is no time, for day and month that cannot be told apart, and for stamps
    of which only some carry an offset.
    """
    text = text.str.strip_chars()
    if time_format is not None:
        return _parse_given(table, column, text, time_format)
    wall = _parse_naive(table, column, text)
    lost = wall.is_null()
    if not lost.any():
        return wall.to_numpy(), None
    clocks = text.str.extract(_AWARE, 1)
    if clocks.null_count() == len(text):
        raise _no_time(table, column, text, lost)
    if clocks.null_count() and not (lost & clocks.is_null()).any():
        naive, aware = int(clocks.is_null().arg_max() or 0), int(clocks.is_not_null().arg_max() or 0)
        raise DataError(
            f"{table.at(aware)}: {text[aware]!r} in column {column!r} carries an offset, {table.place(naive)} "
            f"{text[naive]!r} does not; write all stamps with one, or none"
        )
    wall = _parse_naive(table, column, clocks)
    if wall.null_count():
        raise _no_time(table, column, text, wall.is_null())
    marks = text.str.extract(_AWARE, 2)
    seconds = {mark: _seconds(mark) for mark in marks.unique()}
    return wall.to_numpy(), marks.replace_strict(seconds, return_dtype=pl.Int64).to_numpy()


def _parse_given(table: Table, column: str, text: pl.Series, time_format: str) -> tuple[Array, Array | None]:
    parsed = text.str.to_datetime(time_format, time_unit="us", strict=False)
    if parsed.null_count():
        raise _no_time(table, column, text, parsed.is_null(), form=time_format)
    if "%z" not in time_format and "%#z" not in time_format:
        return parsed.to_numpy(), None
    return parsed.dt.replace_time_zone(None).to_numpy(), np.zeros(len(text), np.int64)


def _parse_naive(table: Table, column: str, text: pl.Series) -> pl.Series:
    """Stamps by the family of forms that fits a sample best; null where none of its forms fits."""
    sample = text.drop_nulls().head(100)
    scores = [len(sample) - _parse(sample, family).null_count() for family in _FAMILIES]
    family = _FAMILIES[int(np.argmax(scores))]
    parsed = _parse(text, family)
    for mark in "/-":
        if family in (_MONTH_FIRST[mark], _DAY_FIRST[mark]):
            day_first = _parse(text, _DAY_FIRST[mark])
            return _choose_order(table, column, text, _parse(text, _MONTH_FIRST[mark]), day_first)
    return parsed


def _choose_order(
    table: Table, column: str, text: pl.Series, month_first: pl.Series, day_first: pl.Series
) -> pl.Series:
    if month_first.null_count() != day_first.null_count():
        return month_first if month_first.null_count() < day_first.null_count() else day_first
    differ = (month_first != day_first).arg_true()
    if not len(differ) or month_first.null_count():
        return month_first
    row = int(differ[0])
    mark = "/" if "/" in text[row] else "-"
    raise DataError(
        f"{table.at(row)}: {text[row]!r} in column {column!r} may be day or month first and no value settles it; "
        f"pass --time-format %d{mark}%m{mark}%Y or %m{mark}%d{mark}%Y"
    )


def _parse(text: pl.Series, family: tuple[str, ...]) -> pl.Series:
    """Each value by the first of the family's forms that fits it; the form that fits the head best goes first."""
    head = text.drop_nulls().head(100)
    forms = sorted(family, key=lambda form: _strptime(head, form).null_count())
    parsed = _strptime(text, forms[0])
    for form in forms[1:]:
        left = (parsed.is_null() & text.is_not_null()).arg_true()
        if not len(left):
            break
        again = _strptime(text.gather(left), form)
        if again.null_count() < len(again):
            parsed = parsed.scatter(left, again)
    return parsed


def _strptime(text: pl.Series, form: str) -> pl.Series:
    parsed = text.str.to_datetime(form, time_unit="us", strict=False)
    if "%Y" in form and parsed.dt.year().min() is not None and parsed.dt.year().lt(1000).any():
        parsed = parsed.set(parsed.dt.year() < 1000, None)  # %Y takes the 24 of 1/2/24 as the year 24
    return parsed


def _seconds(mark: str) -> int:
    if mark in ("Z", "UTC"):
        return 0
    digits = mark[1:].replace(":", "").ljust(4, "0")
    return (-1 if mark[0] == "-" else 1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def _no_time(table: Table, column: str, text: pl.Series, lost: pl.Series, *, form: str | None = None) -> DataError:
    rows = lost.arg_true().to_numpy()
    listed = list_rows(table, rows, values=text.gather(rows[:5]).to_list())
    expected = f"times in the form {form} are" if form else "dates are"
    remedy = "Mend them, or pass --time-format" if not form else "Mend them, or the --time-format"
    return DataError(
        f"{table.at(int(rows[0]))}: column {column!r} holds text where {expected} needed: {listed}. {remedy}"
    )
