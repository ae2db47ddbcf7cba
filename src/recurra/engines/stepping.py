"""Single steps by the compiled kernel with nothing around it, for streams through torch."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import torch

from recurra.cells import Cell
from recurra.compiler.forms import Form
from recurra.compiler.library import get_library, parts_for
from recurra.compiler.program import make_program
from recurra.engines.compiled import refusal

__all__ = ["StepKernel", "get_step"]


class StepKernel(NamedTuple):
    """One step of a recurrence.

    pack: makes bytes of numbers, in the order of `advance_flat` in `c/step.h`.
    call: takes the bytes; 0, or another number if there is no memory.
    vectors: names of the vectors, in the order in which it takes them.
    """

    pack: Callable[..., bytes]
    call: Callable[[bytes], int]
    vectors: tuple[str, ...]


def get_step(cell: Cell, hidden: int, dtype: torch.dtype, *, projected: bool) -> StepKernel | None:
    """The kernel of one step; None where there is none, or vectors would have to be computed first.

    Raises BuildError if it cannot be built.
    """
    needs = frozenset({"projection"} if projected else ())
    if dtype not in (torch.float32, torch.float64) or refusal(cell, needs):
        return None
    program = make_program(cell, Form(projected=projected))
    if any(node.name is None for node in program.vectors):
        return None
    library = get_library(program, dtype.itemsize * 8, parts_for(program, hidden, dtype))
    names = tuple(node.name[1] for node in program.vectors if node.name)
    numbers = struct.Struct(f"{11 + len(names) + 2 * len(cell.states)}q")
    return StepKernel(numbers.pack, library.step_function(), names)
