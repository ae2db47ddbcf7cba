"""Predictions as tables: ids and times in the user's own form, any value as CSV and as JSON."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recurra.atomic import write_file, writing
from recurra.data.frequency import Frequency
from recurra.data.series import SeriesSet
from recurra.errors import DataError

__all__ = ["csv_bytes", "id_columns", "json_rows", "level_columns", "time_values", "write_table"]

_FORMULA = r"^[=+\-@\t\r]"  # what a spreadsheet takes for the beginning of a formula
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"  # what it takes for one and leaves as it is


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


def csv_bytes(frame: pl.DataFrame, name: str = "frame") -> bytes:
    """A frame as CSV; text that a spreadsheet would run as a formula is led by an apostrophe, numbers are not.

    name: what messages call the frame. Lists and structs are JSON in their cell.

    Raises DataError for bytes that are no text.

    >>> print(csv_bytes(pl.DataFrame({"text": ["=1+1", "-3.5"], "tags": [["a"], None]})).decode().rstrip())
    text,tags
    '=1+1,"[""a""]"
    -3.5,
    """
    texts = [
        _cells(frame[column], name)
        for column, kind in frame.schema.items()
        if not (kind.is_numeric() or kind.is_temporal())
    ]
    headers = {column: f"'{column}" for column in frame.columns if _is_formula(column)}
    return frame.with_columns(texts).rename(headers).write_csv().encode()


def json_rows(frame: pl.DataFrame, name: str = "frame") -> list[dict[str, Any]]:
    """The rows of a frame as JSON takes them: None for NaN and infinite numbers, texts for bytes.

    name: what messages call the frame. Dates and the like stay what they are.

    Raises DataError for bytes that are no text.

    >>> json_rows(pl.DataFrame({"y": [float("nan"), 2.0], "tags": [b"a", None]}))
    [{'y': None, 'tags': 'a'}, {'y': 2.0, 'tags': None}]
    """
    columns = {column: _plain_values(frame[column], name) for column in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cells(values: pl.Series, name: str) -> pl.Series:
    """A column as text, guarded."""
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        plain = _plain_values(values, name)
        texts = [value if value is None or isinstance(value, str) else _to_json(value) for value in plain]
        values = pl.Series(values.name, texts, pl.String)
    else:
        values = values.cast(pl.String)
    text = pl.col("text")
    formula = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    guarded = pl.when(formula).then(pl.concat_str(pl.lit("'"), text)).otherwise(text)
    return values.alias("text").to_frame().select(guarded.alias(values.name)).to_series()


def _is_formula(text: str) -> bool:
    return re.match(_FORMULA, text) is not None and re.fullmatch(_NUMBER, text) is None


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _plain_values(values: pl.Series, name: str) -> list[Any]:
    if not (values.dtype.is_nested() or values.dtype.is_float() or values.dtype in (pl.Binary, pl.Object)):
        return values.to_list()
    return [_plain(value, f"{name} row {row}: column {values.name!r}") for row, value in enumerate(values.to_list())]


def _plain(value: Any, place: str) -> Any:
    """A value and all in it without what JSON has no word for. place: where it is, as messages open."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(part, place) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, place) for part in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{place} holds bytes that are no UTF-8 text, {value[error.start]:#04x} at byte {error.start}, and CSV "
                "and JSON hold text alone; drop the column, or pass --out with a name that ends in .parquet"
            ) from error
    return value


def write_table(frame: pl.DataFrame, path: Path, name: str = "frame") -> None:
    """Write a frame as Parquet (by its ending) or CSV, whole or not at all.

    name: what messages call the frame.
    """
    if path.suffix == ".parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        data = buffer.getvalue()
    else:
        data = csv_bytes(frame, name)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)
