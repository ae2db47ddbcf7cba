"""Forecasts as tables: ids and times in the user's own form."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recurra.atomic import write_file, writing
from recurra.data.frequency import Frequency
from recurra.data.series import SeriesSet

__all__ = ["csv_bytes", "id_columns", "level_columns", "time_values", "write_table"]

_FORMULA = r"^[=+\-@\t\r]"  # what a spreadsheet takes for the beginning of a formula


def id_columns(series: SeriesSet, rows: np.ndarray[Any, Any]) -> list[pl.Series]:
    """The id of each of `rows` (numbers of series) as a column, or no column where the table had none."""
    return [] if series.columns.id is None else [series.ids.gather(rows).alias(series.columns.id)]


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
    words = [name for name, kind in frame.schema.items() if not (kind.is_numeric() or kind.is_temporal())]
    guarded = [
        pl.when(pl.col(name).cast(pl.String).str.contains(_FORMULA))
        .then(pl.concat_str(pl.lit("'"), pl.col(name).cast(pl.String)))
        .otherwise(pl.col(name).cast(pl.String))
        .alias(name)
        for name in words
    ]
    headers = {name: f"'{name}" for name in frame.columns if re.match(_FORMULA, name)}
    return frame.with_columns(guarded).rename(headers).write_csv().encode()


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
