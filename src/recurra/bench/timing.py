"""Timing of functions in turn, in one process: what else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch

__all__ = ["Pace", "Timing", "alternate", "times_faster", "using_threads"]

_SAMPLE = 1e-3  # seconds that a sample takes at least, far above what reading the clock takes


class Pace(NamedTuple):
    """How long to measure.

    seconds: all the samples of one comparison may take, so many.
    least, most: rounds, whatever the seconds say.
    """

    seconds: float = 1.5
    least: int = 5
    most: int = 200


class Timing(NamedTuple):
    """Seconds that one call took, in each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the rounds.

        >>> Timing((3.0, 1.0, 2.0)).median
        2.0
        """
        return statistics.median(self.seconds)


class Ratio(NamedTuple):
    """How many times faster, as the ratio of medians; and the quartiles of the ratios round by round."""

    value: float
    lower: float
    upper: float


def alternate(functions: Mapping[str, Callable[[], object]], pace: Pace = Pace()) -> dict[str, Timing]:  # noqa: B008
    """Time the functions in turn, round after round, with the garbage collector at rest.

    Each is called twice before, once to warm up and once to see how many calls make a sample that the clock resolves.
    """
    for function in functions.values():
        function()
    calls = {name: _calls_per_sample(function) for name, function in functions.items()}
    samples: dict[str, list[float]] = {name: [] for name in functions}
    with _collector_at_rest():
        begun = time.perf_counter()
        for done in range(pace.most):
            if done >= pace.least and time.perf_counter() - begun > pace.seconds:
                break
            for name, function in functions.items():
                samples[name].append(_seconds(function, calls[name]))
    return {name: Timing(tuple(found)) for name, found in samples.items()}


def times_faster(ours: Timing, theirs: Timing) -> Ratio:
    """How many times as long theirs takes. Both come from one `alternate`.

    >>> times_faster(Timing((1.0, 2.0, 1.0)), Timing((3.0, 3.0, 4.0)))
    Ratio(value=3.0, lower=2.25, upper=3.5)
    """
    rounds = [their / our for our, their in zip(ours.seconds, theirs.seconds, strict=True)]
    lower, _, upper = statistics.quantiles(rounds, n=4, method="inclusive") if len(rounds) > 1 else rounds * 3
    return Ratio(theirs.median / ours.median, lower, upper)


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """torch on so many threads, inside the `with`."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _calls_per_sample(function: Callable[[], object]) -> int:
    return max(1, math.ceil(_SAMPLE / max(_seconds(function, 1), 1e-9)))


def _seconds(function: Callable[[], object], calls: int) -> float:
    """Of one call, the mean of so many."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls
