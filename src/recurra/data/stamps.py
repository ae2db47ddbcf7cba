"""The time column as UTC stamps or whole numbers."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recurra.data.files import Table
from recurra.data.formats import parse_text
from recurra.data.frequency import DAY
from recurra.data.values import likes, list_rows
from recurra.errors import ArgumentError, DataError, nearest

__all__ = ["read_times"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Stamps:
    """Wall clocks as written, (rows,) datetime64[us], with their seconds ahead of UTC (None: naive)."""

    wall: Array
    ahead: Array | None


def read_times(
    table: Table,
    column: str,
    *,
    timezone: str | None = None,
    time_format: str | None = None,
    daily: bool | None = None,
) -> Array:
    """The time column, (rows,) datetime64[us] or int64.

    timezone: the zone of the clocks, `Europe/Paris`. Naive stamps of a step below a day are local and become UTC;
        a local hour that is skipped or comes twice is refused. Daily and longer data keep their local dates.
    time_format: the form of text stamps in strptime's letters, where it cannot be told.
    daily: whether a step is a day or longer; None: yes if every stamp shows the same time of day.

    Naive stamps without a timezone are taken as they are; stamps with an offset become UTC.
    Raises DataError with the first five rows that are no time.
    """
    zone = None if timezone is None else _zone(timezone)
    values = table.frame[column]
    if values.dtype.is_float():
        values = _whole(table, column, values)
    if values.dtype.is_integer() or values.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = values.cast(pl.String)
        numbers = _integers(text) if time_format is None else None
        if numbers is not None:
            return numbers
        wall, ahead = parse_text(table, column, text, time_format=time_format)
        return _settle(table, column, _Stamps(wall, ahead), zone=zone, daily=daily)
    if values.dtype not in (pl.Date, pl.Datetime):
        raise DataError(f"{table.name}: column {column!r} is of type {values.dtype}; dates or whole numbers are needed")
    empty = values.is_null().arg_true().to_numpy()
    if len(empty):
        listed = list_rows(table, empty, values=[None] * 5)
        raise DataError(f"{table.at(empty[0])}: column {column!r} holds no time: {listed}. Fill or remove these rows")
    return _settle(table, column, _from_dates(values), zone=zone, daily=daily)


def _zone(timezone: str) -> str:
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        hint = nearest(timezone, known) if known else ""
        hint = hint if hint.startswith("did") else "write it as Europe/Paris"
        raise ArgumentError(f"timezone {timezone!r} is not known; {hint}") from error
    return timezone


def _whole(table: Table, column: str, values: pl.Series) -> pl.Series:
    bad = (values.is_null() | values.is_nan() | (values != values.floor())).arg_true().to_numpy()
    if len(bad):
        listed = list_rows(table, bad, values=values.gather(bad[:5]).to_list())
        raise DataError(f"{table.at(bad[0])}: column {column!r} is neither date nor whole number: {listed}")
    return values.cast(pl.Int64)


def _integers(text: pl.Series) -> Array | None:
    """Whole numbers as time steps; None where the column is something else, dates such as 20240131 included."""
    first = text[0]
    if first is None or not first.strip().lstrip("+-").isdigit():
        return None
    numbers = text.str.strip_chars().cast(pl.Int64, strict=False)
    if numbers.null_count():
        return None
    if numbers.is_between(19_000_101, 21_001_231).all() and text.str.to_date("%Y%m%d", strict=False).null_count() == 0:
        return None
    return numbers.to_numpy()


def _from_dates(values: pl.Series) -> _Stamps:
    zone = getattr(values.dtype, "time_zone", None)
    if zone is None:
        return _Stamps(values.cast(pl.Datetime("us")).to_numpy(), None)
    aware = values.dt.cast_time_unit("us")
    wall = aware.dt.replace_time_zone(None).to_numpy()
    utc = aware.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()
    return _Stamps(wall, (wall - utc).astype(np.int64) // 1_000_000)


def _settle(table: Table, column: str, stamps: _Stamps, *, zone: str | None, daily: bool | None) -> Array:
    if stamps.ahead is None:
        if zone is None or (_one_clock(stamps.wall) if daily is None else daily):
            return stamps.wall
        return _localize(table, column, stamps.wall, zone)
    utc = stamps.wall - (stamps.ahead * 1_000_000).astype("m8[us]")
    if zone is not None:
        there = pl.Series(utc).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        wall = there.dt.replace_time_zone(None).to_numpy()
        return wall if (_one_clock(wall) if daily is None else daily) else utc
    moved = stamps.ahead.any() and (np.ptp(stamps.ahead) != 0 or not (stamps.wall.astype(np.int64) % DAY).any())
    if moved and daily is not False and np.ptp(stamps.wall) > np.timedelta64(0) and _one_clock(stamps.wall):
        row = int(np.flatnonzero(stamps.ahead)[0])
        raise DataError(
            f"{table.at(row)}: column {column!r} holds daily stamps by a local clock ({_offset(stamps.ahead[row])}), "
            "which fall on other dates or clocks in UTC; pass --timezone NAME, such as --timezone Europe/Paris"
        )
    return np.asarray(utc)


def _one_clock(wall: Array) -> bool:
    """Whether every stamp shows the same time of day."""
    clock = wall.astype(np.int64) % DAY
    return bool((clock == clock[0]).all())


def _localize(table: Table, column: str, wall: Array, zone: str) -> Array:
    local = pl.Series(wall)
    there = local.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    lost = there.is_null().arg_true()
    if len(lost):
        row = int(lost[0])
        twice = (
            local.gather(lost[:1]).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")[0] is not None
        )
        what = "comes twice" if twice else "is skipped"
        more = likes(len(lost) - 1)
        raise DataError(
            f"{table.at(row)}: {local[row]} {what} in {zone} as the clocks change{more}. "
            f"Write column {column!r} with offsets (2024-10-27 02:30+02:00) or in UTC, and leave out --timezone"
        )
    return there.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()


def _offset(seconds: int) -> str:
    minutes = abs(int(seconds)) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
