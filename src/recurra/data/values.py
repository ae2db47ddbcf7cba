"""Columns of a table as numbers, each bad value named by its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from recurra.data.files import Table
from recurra.errors import DataError

__all__ = ["check_finite", "check_transform", "empty_cells", "likes", "list_rows", "parse_numbers", "read_numbers"]

Array = np.ndarray[Any, Any]
MISSING = ("", "na", "n/a", "nan", "null", "none", "<na>", "#n/a")
_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+$"
_LOWEST = {"log": 0.0, "log1p": -1.0}


def read_numbers(table: Table, column: str) -> Array:
    """A column as float64 (rows,), NaN where a cell is missing.

    Missing are null, NaN, an empty cell and NA, N/A, NaN, null, None, <NA>, #N/A in any case.
    Raises DataError with the first five rows when a value is no number, and when decimals are written with a comma.

    >>> read_numbers(Table(pl.DataFrame({"y": ["1.5", "n/a"]})), "y")
    array([1.5, nan])
    """
    numbers, bad = parse_numbers(table, column)
    if len(bad):
        text = table.frame[column].cast(pl.String).gather(bad).str.strip_chars()
        if table.decimal == "." and text.str.contains(_COMMA).all():
            raise DataError(
                f"{table.at(bad[0])}: column {column!r} writes decimals with a comma, {text[0]!r}"
                f"{likes(len(bad) - 1)}. Pass --decimal , or write {text[0].replace(',', '.')!r}"
            )
        raise DataError(
            f"{table.at(bad[0])}: column {column!r} holds text where numbers are needed: "
            f"{list_rows(table, bad, values=text.to_list())}. Clean them; an empty cell counts as missing"
        )
    return numbers


def parse_numbers(table: Table, column: str) -> tuple[Array, Array]:
    """The column as float64 (rows,) and the rows whose value is no number; those are NaN."""
    values = table.frame[column]
    if values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null):
        return values.cast(pl.Float64).fill_null(np.nan).to_numpy(), np.empty(0, np.int64)
    if values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(f"{table.name}: column {column!r} is of type {values.dtype}; numbers are needed")
    text = values.cast(pl.String)
    if table.decimal == ",":
        text = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    parsed = text.cast(pl.Float64, strict=False)
    numbers = parsed.fill_null(np.nan).to_numpy(writable=True)
    failed = (parsed.is_null() & text.is_not_null()).arg_true()
    if not len(failed):
        return numbers, np.empty(0, np.int64)
    again = text.gather(failed).str.strip_chars()  # spaces around a number are forgiven
    second = again.cast(pl.Float64, strict=False)
    rows = failed.to_numpy().astype(np.int64)
    numbers[rows] = second.fill_null(np.nan).to_numpy()
    return numbers, rows[(second.is_null() & ~again.str.to_lowercase().is_in(MISSING)).to_numpy()]


def empty_cells(text: pl.Series) -> Array:
    """Whether each cell of a text column is missing, (rows,) bool."""
    return np.asarray(text.str.strip_chars().str.to_lowercase().is_in(MISSING).fill_null(True).to_numpy())


def check_finite(table: Table, column: str, numbers: Array) -> None:
    """Raises DataError with the first row of an infinite value; huge finite ones pass."""
    bad = np.flatnonzero(np.isinf(numbers))
    if len(bad):
        raise DataError(
            f"{table.at(bad[0])}: column {column!r} is {numbers[bad[0]]}{likes(len(bad) - 1)}. "
            "Replace it by a number, or empty the cell and pass --missing interpolate|mask|drop"
        )


def check_transform(table: Table, column: str, numbers: Array, *, transform: str | None) -> None:
    """Raises DataError with the first row whose value the transform (log, log1p) cannot take."""
    lowest = _LOWEST.get(transform or "")
    if lowest is None:
        return
    bad = np.flatnonzero(numbers <= lowest)
    if len(bad):
        raise DataError(
            f"{table.at(bad[0])}: column {column!r} is {numbers[bad[0]]:g}{likes(len(bad) - 1)}; "
            f"--transform {transform} needs values above {lowest:g}. Choose another transform, or mend the values"
        )


def list_rows(table: Table, rows: Array, *, values: list[Any], most: int = 5) -> str:
    """`line 3 'abc', line 9 'x'`, the first five, with the count of the others."""
    shown = [f"{table.place(row)} {_short(value)}" for row, value in zip(rows[:most], values, strict=False)]
    return ", ".join(shown) + likes(len(rows) - len(shown)).replace(" it", " them")


def _short(value: Any) -> str:
    text = repr(value) if value is not None else "empty"
    return text if len(text) <= 42 else text[:40] + "...'"


def likes(count: int, *, noun: str = "row") -> str:
    """The clause that counts further cases: `; 1 row like it`, `; 37 rows like it`, nothing for none."""
    plural = "s" if count > 1 and noun != "series" else ""
    return f"; {count} {noun}{plural} like it" if count else ""
