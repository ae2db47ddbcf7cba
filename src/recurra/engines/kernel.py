"""Calls of compiled programs on tensors: forward in time, and the gradients of it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.compiler.library import FIELDS, Library, get_library, parts_for, tile_for
from recurra.compiler.program import Program

__all__ = ["Gradients", "Inputs", "bias_gradients", "compute", "differentiate", "tape_size", "tape_width"]

_BLOCK = 128  # rows of a block of steps, if so many find room in
_CACHE = 1 << 20  # bytes of a processor's cache
_FEW = 16  # rows of one step
_WORTHWHILE = 1 << 21  # multiplications below which a second thread costs more than it brings


class Inputs(NamedTuple):
    """All that a sequence is computed of: of one dtype, on the CPU, contiguous but for x.

    x: (time, batch, feature), the features contiguous.
    start, restart: before the first step and after resets, (batch, unit) per field of the state.
    weight_input, weight_recurrent, bias_input, bias_recurrent, projection: as in Weights.
    vectors: those of the program, (hidden,) each.
    lengths: (batch,); resets, gaps: (time, batch); thin: (batch, output).
    kept: per field, which units stay as they were, (time, batch, unit); None for none.
    """

    x: Tensor
    start: Sequence[Tensor]
    weight_input: Tensor
    weight_recurrent: Tensor | None = None
    bias_input: Tensor | None = None
    bias_recurrent: Tensor | None = None
    projection: Tensor | None = None
    vectors: Sequence[Tensor] = ()
    lengths: Tensor | None = None
    resets: Tensor | None = None
    restart: Sequence[Tensor] = ()
    gaps: Tensor | None = None
    thin: Tensor | None = None
    kept: Sequence[Tensor | None] = ()


class Gradients(NamedTuple):
    """Of the inputs of the same names. bias: per column of the program, (column, hidden). x: None if not wanted."""

    x: Tensor | None
    start: list[Tensor]
    weight_input: Tensor
    weight_recurrent: Tensor | None
    bias: Tensor
    projection: Tensor | None
    vectors: Tensor
    restart: list[Tensor]


def compute(
    program: Program, inputs: Inputs, *, reverse: bool, keep: bool
) -> tuple[Tensor, list[Tensor], Tensor | None]:
    """The outputs (time, batch, output), the state after the last step, and the tape for the way back if it is kept.

    Raises RecurraError without memory.
    """
    plan, x = _plan(program, inputs), inputs.x
    time, batch, _ = x.shape
    y = x.new_empty(time, batch, inputs.start[0].shape[1])
    last = [torch.empty_like(part) for part in inputs.start]
    tape = x.new_empty(time * batch * plan.tape + 1) if keep else None
    frame = _Frame(plan, inputs, reverse)
    frame.set("y", y)
    frame.set("tape", tape)
    frame.set_all("last", last)
    frame.run("advance" if _is_step(inputs, keep) else "forward")
    return y, last, tape


def differentiate(
    program: Program,
    inputs: Inputs,
    y: Tensor,
    tape: Tensor,
    dy: Tensor | None,
    dlast: Sequence[Tensor | None],
    *,
    reverse: bool,
    wants_x: bool,
) -> Gradients:
    """The gradients of all inputs, from those of the results; None where those are 0."""
    plan, x = _plan(program, inputs), inputs.x
    empty, zeros = torch.empty_like, torch.zeros_like
    found = Gradients(
        (x.new_empty if program.reads_input else x.new_zeros)(x.shape) if wants_x else None,
        [empty(part) for part in inputs.start],
        (empty if plan.reads_all_inputs else zeros)(inputs.weight_input),
        None
        if inputs.weight_recurrent is None
        else (empty if plan.reads_all_outputs else zeros)(inputs.weight_recurrent),
        x.new_empty(len(program.columns), plan.hidden),
        None if inputs.projection is None else empty(inputs.projection),
        x.new_empty(len(program.vectors), plan.hidden),
        [zeros(part) for part in inputs.restart],
    )
    dy = dy if dy is None else dy.contiguous()
    dlast = [part if part is None else part.contiguous() for part in dlast]
    frame = _Frame(plan, inputs, reverse)
    for name, tensor in (("y", y), ("tape", tape), ("dy", dy), *zip(_GRADIENTS, _single(found), strict=True)):
        frame.set(name, tensor)
    frame.set_all("dlast", dlast)
    frame.set_all("dstart", found.start)
    frame.set_all("drestart", found.restart)
    frame.run("backward")
    return found


_GRADIENTS = ("dx", "dweight_input", "dweight_recurrent", "dbias", "dprojection", "dvectors")


def _single(found: Gradients) -> tuple[Tensor | None, ...]:
    return found.x, found.weight_input, found.weight_recurrent, found.bias, found.projection, found.vectors


def bias_gradients(program: Program, columns: Tensor, inputs: Inputs) -> tuple[Tensor | None, Tensor | None]:
    """Of bias_input and bias_recurrent, from those of the program's columns; None where there are none."""
    if inputs.bias_input is None or program.form.layer_norm:
        return None, None
    plan = _plan(program, inputs)
    found: list[Tensor | None] = [_of_gates(columns, plan.input_columns)]
    found.append(None if inputs.bias_recurrent is None else _of_gates(columns, plan.recurrent_columns))
    return found[0], found[1]


def _of_gates(columns: Tensor, places: tuple[int, ...]) -> Tensor:
    """The columns of gates, one after another; those of gates without one are 0."""
    if places[0] >= 0 and places == tuple(range(places[0], places[0] + len(places))):
        return columns[places[0] : places[0] + len(places)].reshape(-1).clone()
    rows = [columns[place] if place >= 0 else columns.new_zeros(columns.shape[1]) for place in places]
    return torch.cat(rows)


def tape_size(program: Program, inputs: Inputs) -> int:
    """Numbers on the tape of a sequence: for each step, row and unit, padded, what is kept; and who shared the rows."""
    time, batch, _ = inputs.x.shape
    return time * batch * tape_width(program, len(inputs.weight_input) // len(program.cell.gates), inputs.x.dtype) + 1


def tape_width(program: Program, hidden: int, dtype: torch.dtype) -> int:
    """Numbers on the tape of each step and row."""
    tile = tile_for(program, hidden, dtype)
    spread = len(program.columns) if program.form.layer_norm else 0
    return -(-hidden // tile) * tile * len(program.kept) + spread


class _Plan(NamedTuple):
    """What is known of all calls of a program with so many units of one dtype.

    tape: numbers that are kept of each step and row.
    input_columns, recurrent_columns: of each gate its column; -1 for none.
    """

    library: Library
    hidden: int
    columns: int
    tape: int
    input_columns: tuple[int, ...]
    recurrent_columns: tuple[int, ...]

    @property
    def reads_all_inputs(self) -> bool:
        """Whether every gate's projection of x is used."""
        return -1 not in self.input_columns

    @property
    def reads_all_outputs(self) -> bool:
        """Whether every recurrent projection is."""
        return -1 not in self.recurrent_columns


def _plan(program: Program, inputs: Inputs) -> _Plan:
    weight = inputs.weight_input
    return _make_plan(program, weight.shape[0] // len(program.cell.gates), weight.dtype)


@cache
def _make_plan(program: Program, hidden: int, dtype: torch.dtype) -> _Plan:
    def columns(gates: int, field: str) -> tuple[int, ...]:
        places = {getattr(column, field): place for place, column in enumerate(program.columns)}
        return tuple(places.get(gate, -1) for gate in range(gates))

    return _Plan(
        get_library(program, dtype.itemsize * 8, parts_for(program, hidden, dtype)),
        hidden,
        max(len(program.columns), 1),
        tape_width(program, hidden, dtype),
        columns(len(program.cell.gates), "input_gate"),
        columns(len(program.cell.recurrent_gates), "recurrent_gate"),
    )


def _is_step(inputs: Inputs, keep: bool) -> bool:
    """Whether it is one step of so few rows that packing the weights for them would take longer."""
    time, batch, _ = inputs.x.shape
    return time == 1 and batch <= _FEW and not keep and inputs.lengths is None and inputs.resets is None


class _Frame:
    """A call being filled in; it holds on to what the call's addresses are of."""

    def __init__(self, plan: _Plan, inputs: Inputs, reverse: bool) -> None:
        x = inputs.x
        (time, batch, features), output = x.shape, inputs.start[0].shape[1]
        work = time * batch * plan.columns * plan.hidden * (features + output)
        threads = 1 if _forked else torch.get_num_threads()
        slabs = max(1, min(threads, batch, work // _WORTHWHILE))
        room = _CACHE // (plan.columns * plan.hidden * x.element_size())
        block = max(-(-batch // slabs), min(_BLOCK, room), 1)
        sizes = (time, batch, features, plan.hidden, output, int(reverse), slabs, block, x.stride(0), x.stride(1))
        self._library = plan.library
        self._values = [*sizes, *[0] * (len(FIELDS) - len(sizes))]
        self._held: list[object] = []
        self._pool: list[int] = []
        self._arrays: list[tuple[int, int]] = []
        for name in _TENSORS:
            self.set(name, getattr(inputs, name))
        for name in ("vectors", "start", "restart", "kept"):
            self.set_all(name, getattr(inputs, name))
        if inputs.lengths is not None:
            lengths, order = inputs.lengths.sort(descending=True, stable=True)
            self.set("lengths", lengths)
            self.set("order", order)

    def set(self, name: str, tensor: Tensor | None) -> None:
        """The address of a tensor."""
        if tensor is not None:
            self._held.append(tensor)
            self._values[FIELDS[name]] = tensor.data_ptr()

    def set_all(self, name: str, tensors: Sequence[Tensor | None]) -> None:
        """An array of the addresses of tensors."""
        if tensors:
            self._held.append(tensors)
            self._arrays.append((FIELDS[name], len(self._pool)))
            self._pool += [0 if one is None else one.data_ptr() for one in tensors]

    def run(self, name: str) -> None:
        """Call a function of the library."""
        pool = (ctypes.c_int64 * max(len(self._pool), 1))(*self._pool)
        base = ctypes.addressof(pool)
        for field, place in self._arrays:
            self._values[field] = base + 8 * place
        self._library.run(name, self._values)


_forked: list[bool] = []
"""Not empty in a child process: OpenMP's threads did not come along, and to ask them for help would never end."""

os.register_at_fork(after_in_child=lambda: _forked.append(True))

_TENSORS = (
    *("x", "weight_input", "weight_recurrent", "bias_input", "bias_recurrent", "projection"),
    *("resets", "gaps", "thin"),
)
