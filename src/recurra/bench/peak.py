"""The most floating-point operations a second that this machine does, by a small loop in C."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path
from types import TracebackType
from typing import Self

from recurra.errors import RecurraError

__all__ = ["Peak", "no_compiler"]

_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-funroll-loops", "-shared", "-fPIC")
_ROUNDS = 200_000  # some milliseconds


def no_compiler() -> str:
    """Why the peak cannot be measured; empty if it can."""
    return "" if _compiler() else "no C compiler found; install gcc or clang, or set CC"


class Peak:
    """A loop of multiply-adds on so many threads; `run` runs it once, which is so many `operations`.

    Raises RecurraError if there is no compiler or it fails.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._library = _build()
        self._library.run.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float]
        self._library.run.restype = ctypes.c_float
        self._library.operations.restype = ctypes.c_long
        self.operations = threads * _ROUNDS * int(self._library.operations())

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def run(self) -> list[float]:
        """On all threads at once."""
        if self._threads == 1:
            return [self._loop()]
        return [running.result() for running in [self._pool.submit(self._loop) for _ in range(self._threads)]]

    def _loop(self) -> float:
        return float(self._library.run(_ROUNDS, 0.999, 0.001))  # stays in range, whatever it begins with


def _compiler() -> str | None:
    wanted = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((found for name in wanted if name and (found := shutil.which(name))), None)


def _build() -> ctypes.CDLL:
    compiler = _compiler()
    if compiler is None:
        raise RecurraError(no_compiler())
    with as_file(files("recurra.bench") / "fma.c") as source, tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "fma.so"
        made = subprocess.run([compiler, *_FLAGS, "-o", library, source], capture_output=True, text=True, check=False)
        if made.returncode:
            raise RecurraError(f"{compiler} could not compile the loop that measures the peak: {made.stderr[:500]}")
        return ctypes.CDLL(str(library))
