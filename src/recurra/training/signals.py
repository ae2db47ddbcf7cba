"""Ending a training in good order when the system or the user asks for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from recurra.errors import Interrupted

__all__ = ["Stop", "interrupted_by_signals", "stopping_on_signals"]


class Stop:
    """Whether a signal came. The loop looks at `signal_number` after each step, saves and ends."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:  # asked twice: leave now, the last checkpoint is whole
            os._exit(128 + number)
        self.signal_number = number


@contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """A `Stop` that SIGINT and SIGTERM set while the block runs; a second signal ends the process at once.

    A signal that the block did not act on goes to the handler that was there before. Outside the main thread, where
    Python allows no handlers, the `Stop` is never set.
    """
    stop = Stop()
    with _handling(stop):
        yield stop
    if stop.signal_number is not None:
        signal.raise_signal(stop.signal_number)


@contextmanager
def interrupted_by_signals(message: str) -> Iterator[None]:
    """SIGINT and SIGTERM end the block at once with `Interrupted(message)`: for work between trainings.

    Raises:
        Interrupted: a signal came.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise _Came(number)

    try:
        with _handling(end):
            yield
    except _Came as came:
        raise Interrupted(message, came.number) from None


class _Came(BaseException):
    """No `except Exception` swallows it. A KeyboardInterrupt that passes an `exec` on its way, as in an import, would
    make `python -m` end by SIGINT even if it is caught."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
