"""What a row of the table of kernels is: cases that are measured, and checks of what they gave."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import NamedTuple

from recurra.bench.records import Check, Record
from recurra.bench.sizes import QUICK_SIZES, SIZES, Size
from recurra.bench.timing import Pace

__all__ = ["QUICK", "Case", "Row", "Settings", "anything", "installed", "threaded"]


class Settings(NamedTuple):
    """How much is measured."""

    sizes: tuple[Size, ...] = SIZES
    threads: tuple[int, ...] = (1, 2)
    pace: Pace = Pace()
    long: int = 10_000
    """Time steps of what is measured on long sequences."""


QUICK = Settings(QUICK_SIZES, pace=Pace(0.15, 3, 50), long=1_000)


class Case(NamedTuple):
    """One comparison."""

    label: str
    measure: Callable[[], Sequence[Record]]


class Row(NamedTuple):
    """One question."""

    name: str
    title: str
    cases: Callable[[Settings], Sequence[Case]]
    judge: Callable[[Sequence[Record], Settings], Sequence[Check]]
    obstacle: Callable[[], str]
    """Why nothing of it can be measured here; empty if it can."""


def anything() -> str:
    """No obstacle."""
    return ""


def installed(*packages: str) -> Callable[[], str]:
    """The obstacle of a row whose peer may not be there."""

    def obstacle() -> str:
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        return f"{' and '.join(missing)} not installed; pip install 'recurra[bench]'" if missing else ""

    return obstacle


def threaded(count: int) -> str:
    """A number of threads in words.

    >>> threaded(1), threaded(2)
    ('1 thread', '2 threads')
    """
    return f"{count} thread{'s' if count > 1 else ''}"
