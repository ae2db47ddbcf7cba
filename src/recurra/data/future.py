"""Covariates known in advance, for the steps to be forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from recurra.data.columns import Columns
from recurra.data.covariates import CovariateEncoder
from recurra.data.files import Table
from recurra.data.frequency import Frequency
from recurra.data.stamps import read_times
from recurra.data.values import likes
from recurra.errors import DataError, nearest

__all__ = ["future_values"]

Array = np.ndarray[Any, Any]


def future_values(
    table: Table,
    columns: Columns,
    encoder: CovariateEncoder,
    ids: pl.Series,
    expected_times: Array,
    *,
    frequency: Frequency,
    timezone: str | None = None,
    time_format: str | None = None,
) -> Array:
    """The future covariates of each series at each step to come, (n, horizon, F) float64.

    table: rows of series, time and future columns, in any order; rows outside the horizon are left aside.
    columns, encoder, frequency: of the training set; timezone and time_format as in `build_series`.
    ids: (n,) the series; expected_times: (n, horizon) their steps to come, as `frequency.next` gives them.

    Raises DataError that lists the first missing (series, date) pairs with their count, names duplicate rows by
    both lines, unknown series by the nearest ones, and empty cells by their line.
    """
    columns = columns.resolve(table, roles=("id", "time", "future"))
    rows = pl.DataFrame(
        {
            "series": _positions(table, columns, ids),
            "time": read_times(table, columns.time, timezone=timezone, time_format=time_format, daily=frequency.daily),
        }
    ).with_row_index("row")
    _check_unique(table, columns, rows)
    n_series, horizon = expected_times.shape
    wanted = pl.DataFrame({"series": np.repeat(np.arange(n_series), horizon), "time": expected_times.reshape(-1)})
    if wanted["time"].dtype != rows["time"].dtype:
        raise DataError(
            f"{table.at(0)}: column {columns.time!r} and the training data disagree: dates or whole numbers"
        )
    found = wanted.join(rows, on=["series", "time"], how="left", maintain_order="left")
    absent = found.filter(pl.col("row").is_null())
    if absent.height:
        raise DataError(_absent(table, absent, ids, frequency))
    order = found["row"].to_numpy()
    features = encoder.encode(table, columns.future)[order]
    empty = np.argwhere(np.isnan(features))
    if len(empty):
        row, name = int(order[empty[0, 0]]), encoder.names(columns.future)[empty[0, 1]]
        count = int(np.isnan(features).any(axis=1).sum())
        more = likes(count - 1)
        column = name if name in columns.future else name.split("=")[0]
        raise DataError(f"{table.at(row)}: the future covariate {column!r} is empty{more}. Fill it")
    return np.asarray(features.reshape(n_series, horizon, -1))


def _positions(table: Table, columns: Columns, ids: pl.Series) -> Array:
    """The place in `ids` of each row's series, (rows,)."""
    if columns.id is None:
        if len(ids) != 1:
            raise DataError(f"{table.name} has no series column and the model has {len(ids)} series; add the column")
        return np.zeros(table.frame.height, np.int64)
    known = ids.cast(pl.String)
    names = table.frame[columns.id].cast(pl.String)
    places = names.replace_strict(known, np.arange(len(known)), default=-1, return_dtype=pl.Int64).to_numpy()
    unknown = np.flatnonzero(places < 0)
    if len(unknown):
        name = names[int(unknown[0])]
        hint = nearest(str(name), known.head(1000).to_list())
        hint = hint if hint.startswith("did") else f"there are {len(known)} series, such as {known[0]!r}."
        raise DataError(
            f"{table.at(int(unknown[0]))}: series {name!r} is unknown to the model; {hint} Remove or rename it"
        )
    return places


def _check_unique(table: Table, columns: Columns, rows: pl.DataFrame) -> None:
    twice = rows.filter(pl.struct("series", "time").is_duplicated())
    if twice.height:
        first = twice.filter((pl.col("series") == twice["series"][0]) & (pl.col("time") == twice["time"][0]))["row"]
        raise DataError(
            f"{table.at(first[0])} and {table.place(first[1])} hold the same series and {columns.time!r}; remove one"
        )


def _absent(table: Table, absent: pl.DataFrame, ids: pl.Series, frequency: Frequency) -> str:
    shown = [f"series {ids[s]!r} {_date(t, frequency)}" for s, t in absent.head(5).select("series", "time").rows()]
    more = f" and {absent.height - len(shown)} more" if absent.height > len(shown) else ""
    return (
        f"{table.name} lacks {absent.height} rows of future covariates: {', '.join(shown)}{more}. "
        "Add one row for every series and step of the horizon"
    )


def _date(time: Any, frequency: Frequency) -> str:
    text = str(time)
    return text.removesuffix(" 00:00:00") if frequency.daily else text
