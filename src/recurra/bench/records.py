"""What was measured, and whether it is what was to be reached."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from recurra.bench.sizes import Size

__all__ = ["Check", "Record", "geometric_mean", "least"]


class Record(NamedTuple):
    """One thing of ours beside one peer."""

    subject: str
    """What of ours."""
    peer: str
    size: Size
    threads: int
    ours: float
    """Seconds, or MiB."""
    theirs: float
    spread: tuple[float, float] | None
    """Quartiles of the ratio, round by round."""
    explained: str
    """Which engine ran ours and why, as the layer says."""
    unit: str = "s"
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster, or smaller, ours is."""
        return self.theirs / self.ours

    @property
    def engine(self) -> str:
        """The name of the engine that ran ours."""
        _, found, rest = self.explained.partition(" by ")
        return rest.split()[0] if found else self.explained

    def to_json(self) -> dict[str, Any]:
        """Without what JSON cannot hold, rounded to what was measured."""
        return {
            "subject": self.subject,
            "peer": self.peer,
            "time, batch, input, hidden": list(self.size),
            "threads": self.threads,
            f"ours, {self.unit}": _rounded(self.ours),
            f"peer, {self.unit}": _rounded(self.theirs),
            "peer / ours": _rounded(self.ratio),
            "quartiles": None if self.spread is None else [_rounded(edge) for edge in self.spread],
            "engine": self.explained,
            **({"note": self.note} if self.note else {}),
        }


class Check(NamedTuple):
    """One number that was to be reached."""

    what: str
    sign: str
    """">=" or "<="."""
    goal: float
    measured: float | None
    unit: str = "x"
    """"x": times; "%": a share; "us": microseconds."""
    note: str = ""
    """Where it was the worst, or why it was not measured."""

    @property
    def met(self) -> bool | None:
        """None if it was not measured.

        >>> Check("share of the peak", ">=", 0.8, 0.79, "%").met
        False
        """
        if self.measured is None:
            return None
        return self.measured >= self.goal if self.sign == ">=" else self.measured <= self.goal

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]

    def written(self, value: float | None) -> str:
        """A value in the check's unit, three digits of it.

        >>> Check("share of the peak", ">=", 0.8, 0.7912, "%").written(0.7912)
        '79.1 %'
        """
        if value is None:
            return "-"
        shown = _rounded(100 * value if self.unit == "%" else value, digits=3)
        return f"{shown:g}x" if self.unit == "x" else f"{shown:g} {self.unit}"

    def to_json(self) -> dict[str, Any]:
        """With the verdict."""
        measured = None if self.measured is None else _rounded(self.measured)
        return {**self._asdict(), "measured": measured, "verdict": self.verdict}


def geometric_mean(records: Iterable[Record]) -> float | None:
    """Of the ratios; None of none."""
    ratios = [record.ratio for record in records]
    return statistics.geometric_mean(ratios) if ratios else None


def least(records: Sequence[Record], key: Callable[[Record], float] = lambda record: record.ratio) -> Record | None:
    """The record with the smallest ratio, or key; None of none."""
    return min(records, key=key) if records else None


def _rounded(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value
