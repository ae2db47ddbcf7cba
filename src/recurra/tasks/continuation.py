"""What a table holds beyond another one: the steps after a training's end, the covariates known in advance."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl

from recurra.data.files import Table
from recurra.data.frames import to_table
from recurra.data.future import future_values
from recurra.data.series import SeriesSet
from recurra.data.stamps import read_times
from recurra.errors import ArgumentError, DataError, Notice

__all__ = ["first_new_positions", "known_covariates"]

Array = np.ndarray[Any, Any]


def known_covariates(
    series: SeriesSet, future: Any, *, horizon: int, timezone: str | None, time_format: str | None
) -> Array | None:
    """The future covariates of the `horizon` steps after each series, (series, horizon, F); None if there are none.

    Raises:
        ArgumentError: the table is missing, or given though nothing is known in advance.
    """
    if not series.columns.future:
        if future is not None:
            raise ArgumentError(
                "a future table is given, but the model knows no covariates in advance; leave it out, or fit with "
                "future=[...] (--future COLUMN)"
            )
        return None
    if future is None:
        raise ArgumentError(
            f"the model knows the covariates {', '.join(series.columns.future)} in advance: pass their next "
            f"{horizon} steps (future=TABLE, --future-table FILE)"
        )
    return future_values(
        to_table(future),
        series.columns,
        series.encoder,
        series.ids,
        series.next_times(horizon),
        frequency=series.frequency,
        timezone=timezone,
        time_format=time_format,
    )


def first_new_positions(
    series: SeriesSet, trained: SeriesSet, start: Any, *, timezone: str | None, time_format: str | None
) -> Array:
    """The flat position in each series of the first step that is after `trained`'s end and not before `start`.

    Series that `trained` does not hold begin after the last of its ends, with a notice. At least one step of each
    series comes before its position.
    """
    ends = trained.last_times
    known = dict(zip(trained.ids.cast(pl.String).to_list(), ends, strict=True))
    names = series.ids.cast(pl.String).to_list()
    strangers = [name for name in names if name not in known]
    if strangers:
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        warnings.warn(
            f"series {strangers[0]!r}{more} were not there in training; they are scored after {ends.max()}",
            Notice,
            stacklevel=3,
        )
    new = series.times > np.repeat(np.array([known.get(name, ends.max()) for name in names]), series.lengths)
    if start is not None:
        new &= series.times >= _moment(series, start, timezone, time_format)
    positions = series.offsets[1:] - np.add.reduceat(new, series.offsets[:-1], dtype=np.int64)
    return np.asarray(np.maximum(positions, series.offsets[:-1] + 1))


def _moment(series: SeriesSet, start: Any, timezone: str | None, time_format: str | None) -> Any:
    """`start` read as the table's own times are."""
    column = series.columns.time
    try:
        table = Table(pl.DataFrame({column: [start]}), "start")
        return read_times(
            table, column, timezone=timezone, time_format=time_format, daily=series.frequency.daily
        ).astype(series.times.dtype)[0]
    except (DataError, TypeError, ValueError):
        raise ArgumentError(f"start is {start!r}; write a time such as {series.times.max()}") from None
