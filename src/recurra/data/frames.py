"""Data frames of any library to a `Table`, and results back to the caller's kind."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from recurra.data.files import Table, read_table
from recurra.errors import ArgumentError, DataError

__all__ = ["add_columns", "check_free", "like", "to_table"]


def to_table(data: Any) -> Table:
    """A `Table` of a path or of a polars, pandas or pyarrow frame.

    data: a path to CSV or Parquet; a polars frame (lazy ones are collected); any eager frame that narwhals knows.
    A named pandas index becomes a column of the table; `add_columns` leaves it an index.
    Raises ArgumentError for any other kind, DataError for an empty frame.

    >>> to_table(pl.DataFrame({"ds": [1, 2], "y": [0.5, 0.7]})).at(1)
    'frame row 1'
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, str | os.PathLike):
        return read_table(data)
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    frame = data if isinstance(data, pl.DataFrame) else _to_polars(data)
    if frame.height == 0:
        raise DataError("frame has no rows")
    return Table(frame)


def like(frame: pl.DataFrame, original: Any) -> Any:
    """The frame in the kind of `original`: pandas for pandas, pyarrow for pyarrow, polars for polars and paths.

    >>> like(pl.DataFrame({"y": [1]}), "sales.csv").columns
    ['y']
    """
    if isinstance(original, str | os.PathLike | Table | pl.DataFrame | pl.LazyFrame):
        return frame
    kind = nw.from_native(original, eager_only=True).implementation
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())  # the newest has texts that pandas takes in no list
    return nw.from_arrow(table, backend=kind).to_native()


def add_columns(table: Table, columns: Sequence[pl.Series], original: Any) -> Any:
    """The frame that came in, with columns behind its own: of pandas with its index as it was, named or not.

    table: what was read of it. columns: with a value for each of its rows. original: as `like` takes it.

    >>> add_columns(Table(pl.DataFrame({"y": [1]})), [pl.Series("z", [2])], "sales.csv").columns
    ['y', 'z']
    """
    if isinstance(original, str | os.PathLike | Table | pl.DataFrame | pl.LazyFrame):
        return table.frame.with_columns(columns)
    frame = nw.from_native(original, eager_only=True)
    kind = frame.implementation
    return frame.with_columns(
        *(nw.new_series(column.name, column.to_list(), backend=kind) for column in columns)
    ).to_native()


def check_free(name: str, columns: Iterable[str], *answers: str) -> None:
    """Raise DataError where a column would be lost to what is predicted.

    name: what messages call the table. columns: that it has. answers: that are put into it.
    """
    taken = [column for column in columns if column in answers]
    if taken:
        raise DataError(f"{name}: what is predicted would replace its column {taken[0]!r}; rename or drop the column")


def _to_polars(data: Any) -> pl.DataFrame:
    index = getattr(getattr(data, "index", None), "names", None)
    if index is not None and any(name is not None for name in index):
        data = data.reset_index()
    try:
        wrapped = nw.from_native(data, eager_only=True)
    except TypeError as error:
        kind = type(data).__name__
        raise ArgumentError(f"data is a {kind}; pass a path or a polars, pandas or pyarrow frame") from error
    except nw.exceptions.NarwhalsError as error:
        raise DataError(f"frame cannot be read: {' '.join(str(error).split())}; rename one") from error
    names = [str(name) for name in wrapped.columns]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(f"frame has the column {twice[0]!r} {names.count(twice[0])} times; rename one")
    try:
        frame: pl.DataFrame = wrapped.to_polars()
        return frame
    except ModuleNotFoundError as error:
        raise ArgumentError("pandas frames with text need pyarrow; install recurra[pandas]") from error
    except (TypeError, ValueError) as error:
        raise DataError(f"frame cannot be read: {str(error).splitlines()[0]}; give each column one type") from error
