"""The step between two observations, with the arithmetic of the calendar it lives on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import ArgumentError

__all__ = ["Frequency"]

Array = np.ndarray[Any, Any]
MICROSECONDS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
DAY, WEEK = MICROSECONDS["d"], MICROSECONDS["w"]
_MONTHS = {"mo": 1, "me": 1, "q": 3, "qe": 3, "y": 12, "ye": 12}
_FORM = re.compile(r"([1-9]\d*)(us|ms|s|m|h|d|w|mo|me|q|qe|y|ye|bd|i)")
_ALIASES = {  # pandas, polars and plain words; the case counts, as "M" is months and "m" minutes
    "min": "m", "T": "m", "minutely": "m", "H": "h", "hourly": "h", "D": "d", "daily": "d", "W": "w", "weekly": "w",
    "MS": "mo", "monthly": "mo", "M": "me", "ME": "me", "QS": "q", "quarterly": "q", "Q": "qe", "QE": "qe",
    "Y": "ye", "YE": "ye", "A": "ye", "YS": "y", "AS": "y", "yearly": "y", "annual": "y",
    "B": "bd", "S": "s", "L": "ms", "U": "us",
}  # fmt: skip


@dataclass(frozen=True)
class Frequency:
    """The step of a series.

    every: a count and a unit in canonical form: `15m`, `1h`, `1d`, `1w`; months `1mo`, quarters `1q`, years `1y`,
        each with an `e` (`1me`, `1qe`, `1ye`) where stamps keep to the end of the month; `1bd` business days
        (Monday to Friday); `1i` for whole numbers in place of dates.

    A frequency is one string, and `parse` reads it back: that is its JSON form.
    Raises ArgumentError for any other spelling; `parse` accepts many more.

    >>> Frequency.parse("60min")
    Frequency(every='1h')
    >>> Frequency("1me").next(np.array(["2024-01-31"], "M8[us]"), 2).astype("M8[D]")
    array([['2024-02-29', '2024-03-31']], dtype='datetime64[D]')
    """

    every: str

    def __post_init__(self) -> None:
        if _canonical(self.every) != self.every:
            raise ArgumentError(
                f"frequency {self.every!r} is not in canonical form; use Frequency.parse({self.every!r})"
            )

    @classmethod
    def parse(cls, text: str | int | Frequency) -> Frequency:
        """The frequency of a polars duration, a pandas alias (`h D W MS ME QS B 15min`), a word or a whole number."""
        if isinstance(text, Frequency):
            return text
        if isinstance(text, int) and not isinstance(text, bool):
            text = f"{text}i"
        match = re.fullmatch(r"\s*(\d*)\s*([A-Za-z]+)(-[A-Z]{3})?\s*", str(text))
        if match:
            unit = _ALIASES.get(match[2], match[2])
            every = _canonical(f"{match[1] or 1}{unit}")
            if every:
                return cls(every)
        raise ArgumentError(f"frequency {text!r} is not known; write 15m, 1h, 1d, 1w, 1mo, 1q, 1y, 1bd or 1i")

    def __str__(self) -> str:
        return self.every

    @property
    def unit(self) -> str:
        """The unit's letters, `h` of `6h`."""
        return self.every.lstrip("0123456789")

    @property
    def count_of_units(self) -> int:
        """How many units a step has, 6 of `6h`."""
        return int(self.every[: -len(self.unit)])

    @property
    def integer(self) -> bool:
        """Whether times are whole numbers."""
        return self.unit == "i"

    @property
    def fixed(self) -> int | None:
        """The step in microseconds (whole numbers: as it is), None where its length varies."""
        if self.unit in MICROSECONDS:
            return self.count_of_units * MICROSECONDS[self.unit]
        return self.count_of_units if self.integer else None

    @property
    def months(self) -> int | None:
        """The step in months, None where it is not in months."""
        return self.count_of_units * _MONTHS[self.unit] if self.unit in _MONTHS else None

    @property
    def month_end(self) -> bool:
        """Whether stamps keep to the last day of the month."""
        return self.unit in ("me", "qe", "ye")

    @property
    def daily(self) -> bool:
        """Whether a step is a whole number of days, months or years: wall dates then mean more than UTC."""
        return not self.integer and (self.fixed is None or self.fixed % DAY == 0)

    def at_month_end(self) -> Frequency:
        """The same step, kept to the end of the month; steps that are not in months are returned as they are."""
        return Frequency.parse(f"{self.months}me") if self.months else self

    def advance(self, start: Array, steps: Array) -> Array:
        """`start` moved by whole steps; shapes broadcast."""
        if self.fixed is not None:
            sums = start.astype(np.int64) + self.fixed * np.asarray(steps, np.int64)
            return sums if self.integer else sums.astype("M8[us]")
        steps = np.asarray(steps, np.int64) * (self.months or self.count_of_units)
        day = start.astype("M8[D]")
        clock = start - day
        if self.unit == "bd":
            moved = np.busday_offset(day, steps, roll="backward")
            return np.asarray(np.where(steps == 0, day, moved).astype("M8[us]") + clock)
        month = start.astype("M8[M]")
        target = month + steps
        last = ((target + 1).astype("M8[D]") - target.astype("M8[D]")).astype(np.int64) - 1
        day_of_month = last if self.month_end else np.minimum((day - month.astype("M8[D]")).astype(np.int64), last)
        return np.asarray((target.astype("M8[D]") + day_of_month).astype("M8[us]") + clock)

    def count(self, start: Array, times: Array) -> tuple[Array, Array]:
        """Whole steps from `start` to `times` (rounded down), and whether each time is on the grid; both (rows,)."""
        if self.fixed is not None:
            steps, rest = np.divmod(times.astype(np.int64) - start.astype(np.int64), self.fixed)
            return steps, rest == 0
        if self.unit == "bd":
            steps = np.busday_count(start.astype("M8[D]"), times.astype("M8[D]")) // self.count_of_units
        else:
            between = times.astype("M8[M]").astype(np.int64) - start.astype("M8[M]").astype(np.int64)
            steps = between // (self.months or 1)
        return steps, self.advance(start, steps) == times

    def next(self, last: Array, horizon: int) -> Array:
        """The stamps that follow: `last` (n,) to (n, horizon), each series from its own last stamp.

        >>> Frequency("1bd").next(np.array(["2024-03-01"], "M8[us]"), 2).astype("M8[D]")  # a Friday
        array([['2024-03-04', '2024-03-05']], dtype='datetime64[D]')
        """
        if horizon < 1:
            raise ArgumentError(f"horizon is {horizon}; it is 1 or more steps")
        return self.advance(np.asarray(last)[:, None], np.arange(1, horizon + 1)[None, :])

    def seasons(self) -> tuple[int, ...]:
        """Periods worth trying, in steps, shortest first: the day and week of hours, the year of months and so on.

        >>> Frequency("15m").seasons(), Frequency("1mo").seasons(), Frequency("1i").seasons()
        ((96, 672), (12,), ())
        """
        if self.unit == "bd":
            return (5,) if self.count_of_units == 1 else ()
        if self.months:
            return (12 // self.months,) if self.months < 12 and 12 % self.months == 0 else ()
        if self.integer or self.fixed is None:
            return ()
        if self.every in ("1d", "1w"):
            return (7, 365) if self.every == "1d" else (52,)
        cycles = [DAY, WEEK]
        if self.fixed <= MICROSECONDS["m"]:
            cycles.insert(0, MICROSECONDS["h"])
        if self.fixed <= MICROSECONDS["s"]:
            cycles.insert(0, MICROSECONDS["m"])
        return tuple(c // self.fixed for c in cycles if c % self.fixed == 0 and c > self.fixed)[:2]


def _canonical(every: str) -> str | None:
    """The canonical spelling, None where there is none: 60m is 1h, 3mo is 1q, 7d is 1w."""
    match = _FORM.fullmatch(every)
    if not match:
        return None
    count, unit = int(match[1]), match[2]
    if unit in _MONTHS:
        months, end = count * _MONTHS[unit], "e" if unit.endswith("e") else ""
        for size, letter in ((12, "y"), (3, "q")):
            if months % size == 0:
                return f"{months // size}{letter}{end}"
        return f"{months}{'me' if end else 'mo'}"
    if unit in MICROSECONDS:
        total = count * MICROSECONDS[unit]
        unit = next(name for name in reversed(MICROSECONDS) if total % MICROSECONDS[name] == 0)
        return f"{total // MICROSECONDS[unit]}{unit}"
    return every
