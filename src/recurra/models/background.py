"""Work that a second thread does while the first goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

__all__ = ["Background"]


class Background:
    """One piece of work after another in a second thread; where torch is to use but one thread, at once.

    No more than one piece waits or runs, so that what it holds is never more than twice the memory. At the end all is
    done, and what was raised is raised.

    >>> done = []
    >>> with Background() as background:
    ...     for number in range(3):
    ...         background.run(done.append, number)
    >>> done
    [0, 1, 2]
    """

    def __enter__(self) -> Background:
        self._pool = ThreadPoolExecutor(1) if torch.get_num_threads() > 1 else None
        self._running: Future[Any] | None = None
        return self

    def run(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Begin this work, when the piece before it is done."""
        if self._pool is None:
            work(*arguments)
            return
        if self._running is not None:
            self._running.result()
        self._running = self._pool.submit(work, *arguments)

    def __exit__(self, kind: object, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        if self._running is not None and kind is None:
            self._running.result()
