"""What the calendar says of a stamp, as features."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.data.frequency import DAY, Frequency

__all__ = ["calendar_features", "calendar_names"]

Array = np.ndarray[Any, Any]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def calendar_names(frequency: Frequency, *, yearly: bool = True) -> tuple[str, ...]:
    """Names of the calendar features, (K,): those whose cycle is longer than a step.

    Below a day: hour of the day (sine, cosine). Up to a day: day of the week (one of seven). Up to a week: day of
    the year (two harmonics), unless `yearly` is false: a table of few years teaches their noise. In months below a
    year: month (sine, cosine). Years and whole numbers: none.

    >>> calendar_names(Frequency("1w"))
    ('year_sin_1', 'year_cos_1', 'year_sin_2', 'year_cos_2')
    """
    if frequency.integer:
        return ()
    if frequency.months:
        return ("month_sin", "month_cos") if frequency.months < 12 else ()
    names: tuple[str, ...] = ()
    if not frequency.daily:
        names += ("hour_sin", "hour_cos")
    if frequency.unit == "bd" or (frequency.fixed or 0) <= DAY:
        names += _DAYS[:5] if frequency.unit == "bd" else _DAYS
    return (*names, "year_sin_1", "year_cos_1", "year_sin_2", "year_cos_2") if yearly else names


def calendar_features(times: Array, frequency: Frequency, *, yearly: bool = True) -> Array:
    """Calendar features of stamps: datetime64 of any shape to float32 (..., K), K as `calendar_names` counts.

    >>> calendar_features(np.array(["2024-04-01"], "M8[us]"), Frequency("1mo")).round(2)
    array([[1., 0.]], dtype=float32)
    """
    names = calendar_names(frequency, yearly=yearly)
    features = np.empty((*times.shape, len(names)), np.float32)
    if not names:
        return features
    day = times.astype("M8[D]")
    at = 0
    if "hour_sin" in names:
        _circle(features, at, (times.astype("M8[us]") - day).astype(np.int64) / DAY)
        at += 2
    if "monday" in names:
        width = 5 if frequency.unit == "bd" else 7
        weekday = (day.astype(np.int64) + 3) % 7  # day 0, 1 January 1970, was a Thursday
        features[..., at : at + width] = weekday[..., None] == np.arange(width)
        at += width
    if "month_sin" in names:
        _circle(features, at, times.astype("M8[M]").astype(np.int64) % 12 / 12)
        return features
    if "year_sin_1" not in names:
        return features
    year = times.astype("M8[Y]").astype("M8[D]")
    turn = (day - year).astype(np.int64) / 365.25
    _circle(features, at, turn)
    _circle(features, at + 2, 2 * turn)
    return features


def _circle(features: Array, at: int, turn: Array) -> None:
    """Sine and cosine of a part of a turn, written at two features."""
    features[..., at] = np.sin(2 * np.pi * turn)
    features[..., at + 1] = np.cos(2 * np.pi * turn)
