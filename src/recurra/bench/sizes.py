"""The sizes that kernels are measured at."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["QUICK_SIZES", "SIZES", "Size"]


class Size(NamedTuple):
    """Of a batch of sequences and the layer that reads it."""

    time: int
    batch: int
    features: int
    hidden: int

    def __str__(self) -> str:
        return ", ".join(f"{axis:,}" if axis >= 10_000 else str(axis) for axis in self)


SIZES = (
    Size(50, 32, 1, 50),
    Size(100, 32, 64, 64),
    Size(100, 32, 128, 128),
    Size(100, 64, 256, 256),
    Size(35, 20, 640, 640),
    Size(56, 128, 5, 32),
    Size(784, 64, 1, 128),
    Size(1000, 16, 64, 64),
    Size(100, 1, 64, 64),
)
QUICK_SIZES = (SIZES[0], SIZES[2])
