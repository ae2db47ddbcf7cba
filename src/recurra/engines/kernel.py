"""Calls of compiled programs on tensors: forward in time, and the gradients of it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.compiler.library import FIELDS, Library, get_library, parts_for, tile_for
from recurra.compiler.program import Program
from recurra.engines.inputs import Gradients, Inputs, Wanted, check_inputs
from recurra.engines.memory import take

__all__ = [
    "Frame",
    "compute",
    "differentiate",
    "plan_for",
    "tape_size",
    "tape_width",
]

_BLOCK = 128  # rows of a block of steps, if so many find room in
_CACHE = 1 << 20  # bytes of a processor's cache
_FEW = 16  # rows of one step
_WORTHWHILE = 1 << 20  # multiplications below which a second thread costs more than it brings


def compute(
    program: Program, inputs: Inputs, *, reverse: bool, keep: bool
) -> tuple[Tensor, list[Tensor], Tensor | None]:
    """The outputs (time, batch, output), the state after the last step, and the tape for the way back if it is kept.

    Raises ArgumentError for tensors that do not go together, RecurraError without memory.
    """
    check_inputs(program, inputs)
    plan, x = plan_for(program, inputs), inputs.x
    time, batch, _ = x.shape
    y = x.new_empty(time, batch, inputs.start[0].shape[1])
    last = [torch.empty_like(part) for part in inputs.start]
    tape = take(time * batch * plan.tape + 1, x.dtype) if keep else None
    frame = Frame(plan, inputs, reverse)
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
    wanted: Wanted = Wanted(),  # noqa: B008 - a tuple
) -> Gradients:
    """The gradients of all inputs, from those of the results; None where those are 0."""
    plan, x = plan_for(program, inputs), inputs.x
    of_inputs, of_outputs = plan.rooms
    biases = (None, None) if program.form.layer_norm else (inputs.bias_input, inputs.bias_recurrent)
    wants_start = wanted.start or (True,) * len(inputs.start)
    again = inputs.weight_recurrent if wanted.weight_recurrent else None
    found = Gradients(
        (x.new_empty if program.reads_input else x.new_zeros)(x.shape) if wanted.x else None,
        [torch.empty_like(part) if want else None for part, want in zip(inputs.start, wants_start, strict=True)],
        of_inputs(inputs.weight_input) if wanted.weight_input else None,
        None if again is None else of_outputs(again),
        None if biases[0] is None else of_inputs(biases[0]),
        None if biases[1] is None else of_outputs(biases[1]),
        None if inputs.projection is None else torch.empty_like(inputs.projection),
        x.new_empty(len(program.vectors), plan.hidden),
        [torch.zeros_like(part) for part in inputs.restart],
    )
    dy = dy if dy is None else dy.contiguous()
    dlast = [part if part is None else part.contiguous() for part in dlast]
    frame = Frame(plan, inputs, reverse)
    for name, tensor in (("y", y), ("tape", tape), ("dy", dy)):
        frame.set(name, tensor)
    for name in _GRADIENTS:
        frame.set(f"d{name}", getattr(found, name))
    frame.set_all("dlast", dlast)
    frame.set_all("dstart", found.start)
    frame.set_all("drestart", found.restart)
    frame.run("backward")
    return found


_GRADIENTS = ("x", "weight_input", "weight_recurrent", "bias_input", "bias_recurrent", "projection", "vectors")


def tape_size(program: Program, inputs: Inputs) -> int:
    """Numbers on the tape of a sequence: for each step, row and unit, padded, what is kept; and who shared the rows."""
    time, batch, _ = inputs.x.shape
    return time * batch * tape_width(program, len(inputs.weight_input) // len(program.cell.gates), inputs.x.dtype) + 1


def tape_width(program: Program, hidden: int, dtype: torch.dtype) -> int:
    """Numbers on the tape of each step and row."""
    tile = tile_for(program, hidden, dtype)
    spread = len(program.columns) if program.form.layer_norm else 0
    return -(-hidden // tile) * tile * len(program.kept) + spread


class Plan(NamedTuple):
    """What is known of all calls of a program with so many units of one dtype.

    block: rows of a block of steps, if a step has not more by itself.
    tape: numbers that are kept of each step and row.
    rooms: for gradients of what multiplies x, and the output: zeros where some gates' rows are never written.
    """

    library: Library
    hidden: int
    columns: int
    block: int
    tape: int
    rooms: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def plan_for(program: Program, inputs: Inputs) -> Plan:
    """That of the inputs' units and dtype. Raises BuildError."""
    weight = inputs.weight_input
    return _make_plan(program, weight.shape[0] // len(program.cell.gates), weight.dtype)


@cache
def _make_plan(program: Program, hidden: int, dtype: torch.dtype) -> Plan:
    used = [{getattr(column, field) for column in program.columns} for field in ("input_gate", "recurrent_gate")]
    gates = (len(program.cell.gates), len(program.cell.recurrent_gates))
    of_inputs, of_outputs = (
        torch.empty_like if read.issuperset(range(count)) else torch.zeros_like
        for read, count in zip(used, gates, strict=True)
    )
    columns = max(len(program.columns), 1)
    return Plan(
        get_library(program, dtype.itemsize * 8, parts_for(program, hidden, dtype)),
        hidden,
        columns,
        min(_BLOCK, _CACHE // (columns * hidden * dtype.itemsize)),
        tape_width(program, hidden, dtype),
        (of_inputs, of_outputs),
    )


def _is_step(inputs: Inputs, keep: bool) -> bool:
    """Whether it is one step of so few rows that packing the weights for them would take longer."""
    time, batch, _ = inputs.x.shape
    return time == 1 and batch <= _FEW and not keep and inputs.lengths is None and inputs.resets is None


def _connected(plan: Plan, inputs: Inputs, block: int) -> int:
    """Outputs that the kernel looks for one by one, for each row of the recurrent weights; 0: it multiplies all."""
    connections, (batch, output) = inputs.connections, inputs.start[0].shape
    reach = (plan.hidden + _BLOCK) * plan.columns * block  # of gradients, which are found by 32 bits
    if connections is None or reach >= 2**31 or not _are_few(connections, batch, output, inputs.x.element_size()):
        return 0
    return connections.shape[1]


def _are_few(connections: Tensor, batch: int, output: int, itemsize: int) -> bool:
    """Whether it is faster to look for the outputs that are read, one by one, than to multiply all, most of them by 0.

    Measured: to look for one costs as much as 6 to 14 products, half of that where the weights of all find no room in
    the cache, and less for one row, for which they are fetched each time.
    """
    rows, connected = connections.shape
    if rows * output * itemsize <= 2 * _CACHE:
        cost = 6 if batch == 1 else 14
    else:
        cost = 3 if batch == 1 else 6 if batch < _FEW else 10
    return connected * cost <= output


class Frame:
    """A call being filled in; it holds on to what the call's addresses are of."""

    def __init__(self, plan: Plan, inputs: Inputs, reverse: bool, *, slabs: int | None = None) -> None:
        """slabs: shares of the rows, a thread each; None: as many as there are threads and work for."""
        x = inputs.x
        (time, batch, features), output = x.shape, inputs.start[0].shape[1]
        if slabs is None:
            threads = 1 if _forked else torch.get_num_threads()
            work = time * batch * plan.columns * plan.hidden * (features + output)
            slabs = max(1, min(threads, batch, work // _WORTHWHILE))
        block = max(-(-batch // slabs), plan.block, 1)
        connected = _connected(plan, inputs, block)
        sizes = (time, batch, features, plan.hidden, output, int(reverse), slabs, block, *x.stride()[:2], connected, 0)
        self._library = plan.library
        self._values = values = [*sizes, *_NOWHERE]
        self._held: list[object] = [inputs]
        self._pool: list[int] = []
        self._arrays: list[tuple[int, int]] = []
        for field, place in _TENSORS:
            tensor: Any = inputs[place]
            if tensor is not None:
                values[field] = tensor.data_ptr()
        for name, place in _ARRAYS:
            tensors: Any = inputs[place]
            self.set_all(name, tensors)
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

    def values(self) -> list[int]:
        """Of FIELDS, in order. They are good for as long as the frame is."""
        pool = (ctypes.c_int64 * max(len(self._pool), 1))(*self._pool)
        self._held.append(pool)
        base = ctypes.addressof(pool)
        for field, place in self._arrays:
            self._values[field] = base + 8 * place
        return self._values

    def run(self, name: str) -> None:
        """Call a function of the library."""
        self._library.run(name, self.values())


_forked: list[bool] = []
"""Not empty in a child process: OpenMP's threads did not come along, and to ask them for help would never end."""

os.register_at_fork(after_in_child=lambda: _forked.append(True))

_NOWHERE = (0,) * (len(FIELDS) - FIELDS["x"])
_TENSORS = tuple(
    (FIELDS[name], Inputs._fields.index(name))
    for name in (
        *("x", "weight_input", "weight_recurrent", "bias_input", "bias_recurrent", "projection"),
        *("resets", "gaps", "thin", "connections"),
    )
)
_ARRAYS = tuple((name, Inputs._fields.index(name)) for name in ("vectors", "start", "restart", "kept"))
