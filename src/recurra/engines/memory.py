"""Memory of tapes, kept for the next one: to touch fresh memory for the first time can take longer than the kernel."""

from __future__ import annotations

import ctypes
import threading
import weakref

import torch
from torch import Tensor

__all__ = ["Memory", "take"]

_SMALLEST = 16 << 20  # bytes; what is smaller the allocator itself uses again
_MOST = 512 << 20  # bytes that lie idle at most
_OLDEST = 32  # takings after which what lies idle is given back


class Memory:
    """Blocks that were used and are free; a tensor gives its block back when the last that shares its storage is gone.

    smallest, most: bytes of a block that is worth keeping, and of all that lie idle.
    """

    def __init__(self, *, smallest: int = _SMALLEST, most: int = _MOST) -> None:
        self._smallest, self._most = smallest, most
        self._idle: list[tuple[int, Tensor]] = []  # when it was given back, counted in takings; the block
        self._taken = 0
        # Entered again by the same thread: collecting garbage, which may begin anywhere, gives blocks back.
        self._lock = threading.RLock()

    def take(self, count: int, dtype: torch.dtype) -> Tensor:
        """So many numbers, of no particular value, on the CPU."""
        size = count * dtype.itemsize
        if not self._smallest <= size <= self._most:
            return torch.empty(count, dtype=dtype, device="cpu")
        block = self._find(size)
        if block is None:
            block = torch.empty(size, dtype=torch.uint8, device="cpu")
        lent = (ctypes.c_char * size).from_address(block.data_ptr())
        weakref.finalize(lent, self._give_back, block).atexit = False  # torch holds `lent` as long as the storage
        return torch.frombuffer(lent, dtype=dtype)

    @property
    def idle(self) -> int:
        """Bytes that lie idle."""
        return sum(len(block) for _, block in self._idle)

    def _find(self, size: int) -> Tensor | None:
        """The smallest block that is large enough and not far too large."""
        with self._lock:
            self._taken += 1
            self._idle = [one for one in self._idle if self._taken - one[0] <= _OLDEST]
            fitting = [one for one in self._idle if size <= len(one[1]) <= size + size // 4]
            if not fitting:
                return None
            found = min(fitting, key=lambda one: len(one[1]))
            self._idle = [one for one in self._idle if one is not found]
            return found[1]

    def _give_back(self, block: Tensor) -> None:
        with self._lock:
            self._idle.append((self._taken, block))
            while self.idle > self._most:
                del self._idle[:1]


_MEMORY = Memory()
take = _MEMORY.take
