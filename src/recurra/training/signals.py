"""Ending a training in good order when the system or the user asks for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "stopping_on_signals"]


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

    Outside the main thread, where Python allows no handlers, the `Stop` is never set.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
