"""Forecasts as tables: ids and times in the user's own form."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recurra.atomic import write_file, writing
from recurra.data.frequency import Frequency
from recurra.data.series import SeriesSet

__all__ = ["csv_bytes", "id_values", "level_columns", "time_values", "write_table"]


def id_values(series: SeriesSet, rows: np.ndarray[Any, Any]) -> pl.DataFrame:
    """One row for each of `rows` (numbers of series) with the id column, or no column where the table had none."""
    frame = pl.DataFrame({"row": rows})
    if series.columns.id is None:
        return frame.drop("row").with_columns(pl.lit(None).alias("_")).drop("_") if not len(rows) else frame.drop("row")
    return frame.select(series.ids.gather(rows).alias(series.columns.id))


def time_values(times: np.ndarray[Any, Any], frequency: Frequency, timezone: str | None) -> pl.Series:
    """Times as dates for steps of a day or more, clock times for shorter ones (in `timezone` if given), or integers."""
    values = pl.Series(times)
    if frequency.integer:
        return values
    if frequency.daily and bool((times == times.astype("M8[D]")).all()):
        return values.cast(pl.Date)
    values = values.cast(pl.Datetime("us"))
    if timezone and not frequency.daily:
        return values.dt.replace_time_zone("UTC").dt.convert_time_zone(timezone)
    return values


def level_columns(name: str, levels: Sequence[float]) -> list[tuple[str, float]]:
    """Column names and quantiles of a forecast: the point, then low bounds from wide to narrow, then high ones back.

    >>> level_columns("LSTM", [80, 95])[:3]
    [('LSTM', 0.5), ('LSTM-lo-95', 0.025), ('LSTM-lo-80', 0.1)]
    """
    lows = [(f"{name}-lo-{level:g}", round((1 - level / 100) / 2, 10)) for level in sorted(levels, reverse=True)]
    highs = [(f"{name}-hi-{level:g}", round((1 + level / 100) / 2, 10)) for level in sorted(levels)]
    return [(name, 0.5), *lows, *highs]


def csv_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as CSV; text that a spreadsheet would run as a formula is led by an apostrophe."""
    guarded = (
        frame.with_columns(
            pl.when(pl.col(pl.String).str.contains(r"^[=+\-@\t\r]"))
            .then(pl.concat_str(pl.lit("'"), pl.col(pl.String)))
            .otherwise(pl.col(pl.String))
            .name.keep()
        )
        if pl.String in frame.dtypes
        else frame
    )
    headers = {name: f"'{name}" for name in frame.columns if name[:1] in "=+-@\t\r" and name}
    return guarded.rename(headers).write_csv().encode()


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame as Parquet (by its ending) or CSV, whole or not at all."""
    if path.suffix == ".parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        data = buffer.getvalue()
    else:
        data = csv_bytes(frame)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)
