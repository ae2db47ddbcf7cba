"""Compiled programs: the functions of a library, and the arguments that they take."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch

from recurra.compiler.build import load_library
from recurra.compiler.emit import emit, emit_products
from recurra.compiler.program import Program
from recurra.errors import RecurraError

__all__ = ["FIELDS", "Library", "get_library", "pack", "parts_for", "tile_for"]

_INTEGERS = (
    *("time", "batch", "input", "hidden", "output", "reverse", "slabs", "block", "x_time", "x_batch"),
    *("connected", "most_read"),
)
_POINTERS = (
    "x",
    "weight_input",
    "weight_recurrent",
    "bias_input",
    "bias_recurrent",
    "connections",
    "projection",
    "vectors",
    "order",
    "lengths",
    "resets",
    "restart",
    "gaps",
    "thin",
    "kept",
    "start",
    "y",
    "last",
    "tape",
    "dy",
    "dlast",
    "dx",
    "dweight_input",
    "dweight_recurrent",
    "dbias_input",
    "dbias_recurrent",
    "dprojection",
    "dvectors",
    "dstart",
    "drestart",
)


FIELDS = {name: place for place, name in enumerate((*_INTEGERS, *_POINTERS))}
"""The places of a call's numbers, and addresses of contiguous tensors, 0 for none: as `c/recurrence.h` has them."""

_PACKED = struct.Struct(f"{len(FIELDS)}q")


def pack(values: Sequence[int]) -> bytes:
    """A call, for a function of a library. values: of FIELDS, in order."""
    return _PACKED.pack(*values)


class StreamFunctions(NamedTuple):
    """Those of `c/step.h` that open a stream, run, read, write and close it."""

    open: Callable[..., int | None]
    step: Callable[..., None]
    read: Callable[..., None]
    write: Callable[..., None]
    close: Callable[..., None]


class Library:
    """The functions of one program, for numbers of so many bits."""

    def __init__(self, program: Program, *, bits: int, parts: int) -> None:
        source = emit(program, bits=bits, parts=parts, whole=False)
        self._loaded = load_library(source, f"{program.cell.name}{bits}")
        products = _products(bits).recurra_products
        products.restype = ctypes.c_void_p
        self._function("link", None, arguments=2)(products(0), products(1))
        results = {
            "forward": ctypes.c_int,
            "backward": ctypes.c_int,
            "advance": ctypes.c_int,
            "tape_size": ctypes.c_int64,
        }
        self._functions = {name: self._function(name, result) for name, result in results.items()}

    def stream_functions(self) -> StreamFunctions:
        """Those of streams."""
        return StreamFunctions(
            self._function("stream_open", ctypes.c_void_p),
            self._function("stream_step", None, arguments=None),
            self._function("stream_read", None, arguments=2),
            self._function("stream_write", None, arguments=2),
            self._function("stream_close", None),
        )

    def step_function(self) -> Any:
        """`advance_flat` of `c/step.h`, which takes bytes."""
        return self._function("advance_flat", ctypes.c_int, arguments=None)

    def _function(self, name: str, result: Any, arguments: int | None = 1) -> Any:
        function = getattr(self._loaded, f"recurra_{name}")
        function.restype = result
        if arguments is not None:
            function.argtypes = [ctypes.c_void_p] * arguments
        return function

    def tape_size(self, values: Sequence[int]) -> int:
        """Numbers that the tape of a call has. values: of FIELDS, in order."""
        return int(self._functions["tape_size"](pack(values)))

    def run(self, name: str, values: Sequence[int]) -> None:
        """`forward`, `backward` or `advance`. values: of FIELDS, in order.

        Raises RecurraError if there is no memory for it.
        """
        if self._functions[name](pack(values)):
            raise RecurraError("there is no memory for the kernel's buffers; use a smaller batch or shorter sequences")


@cache
def get_library(program: Program, bits: int, parts: int) -> Library:
    """The library of a program; built if it must be. Raises BuildError."""
    return Library(program, bits=bits, parts=parts)


def parts_for(program: Program, hidden: int, dtype: torch.dtype) -> int:
    """Vectors of a column in a tile: as many as fill a panel with the columns, unless units would be padded for it."""
    width, panel = _vectors()
    vectors = -(-hidden * dtype.itemsize // width)
    parts = 1
    while 2 * parts * program.first_columns <= panel and vectors % (2 * parts) == 0:
        parts *= 2
    return parts


def tile_for(program: Program, hidden: int, dtype: torch.dtype) -> int:
    """Units in a tile."""
    return parts_for(program, hidden, dtype) * _vectors()[0] // dtype.itemsize


def _products(bits: int) -> ctypes.CDLL:
    """The library of products that all programs share."""
    return load_library(emit_products(bits), f"products{bits}")


@cache
def _vectors() -> tuple[int, int]:
    """Bytes of a vector, and vectors of a panel, as the compiler here builds them."""
    built = _products(32)
    return int(built.recurra_vector_bytes()), int(built.recurra_panel())
