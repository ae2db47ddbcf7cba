"""What the tests of engines share: forks, in which something may crash."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable

import pytest


@pytest.fixture
def in_a_fork() -> Callable[[Callable[[], None]], int | None]:
    """Does something in a forked process and says how that ends: with its exit status, negative for a signal; None if
    it has not after 20 seconds."""

    def run(action: Callable[[], None]) -> int | None:
        process = os.fork()
        if process == 0:
            with contextlib.suppress(BaseException):
                try:
                    action()
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    raise
            os._exit(1)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return None

    return run
