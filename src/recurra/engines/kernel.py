"""Calls of compiled programs on tensors: forward in time, and the gradients of it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.compiler.library import Call, Library, addresses, get_library, parts_for, tile_for
from recurra.compiler.program import Program

__all__ = ["Gradients", "Inputs", "bias_gradients", "compute", "differentiate", "tape_size", "tape_width"]

_BLOCK = 256  # rows of a block of steps, if so many find room in
_CACHE = 1 << 20  # bytes of a processor's cache
_FEW = 4  # rows of one step
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
    frame = _Frame(program, inputs, reverse)
    x = inputs.x
    y = x.new_empty(x.shape[0], x.shape[1], inputs.start[0].shape[1])
    last = [torch.empty_like(part) for part in inputs.start]
    frame.set("y", y)
    frame.set_all("last", last)
    tape = x.new_empty(tape_size(program, inputs)) if keep else None
    frame.set("tape", tape)
    frame.library.run("advance" if _is_step(inputs, keep) else "forward", frame.call)
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
    frame = _Frame(program, inputs, reverse)
    x, hidden = inputs.x, frame.call.hidden
    dweight = _like(inputs.weight_input, program, "input_gate")
    drecurrent = None if inputs.weight_recurrent is None else _like(inputs.weight_recurrent, program, "recurrent_gate")
    found = Gradients(
        x.new_empty(x.shape) if wants_x else None,
        [torch.empty_like(part) for part in inputs.start],
        dweight,
        drecurrent,
        x.new_empty(len(program.columns), hidden),
        None if inputs.projection is None else torch.empty_like(inputs.projection),
        x.new_empty(len(program.vectors), hidden),
        [torch.zeros_like(part) for part in inputs.restart],
    )
    frame.set("y", y)
    frame.set("tape", tape)
    frame.set("dy", dy if dy is None else dy.contiguous())
    frame.set_all("dlast", [part if part is None else part.contiguous() for part in dlast])
    frame.set("dx", found.x)
    frame.set("dweight_input", found.weight_input)
    frame.set("dweight_recurrent", found.weight_recurrent)
    frame.set("dbias", found.bias)
    frame.set("dprojection", found.projection)
    frame.set("dvectors", found.vectors)
    frame.set_all("dstart", found.start)
    if found.restart:
        frame.set_all("drestart", found.restart)
    frame.library.run("backward", frame.call)
    return found


def _is_step(inputs: Inputs, keep: bool) -> bool:
    """Whether it is one step of so few rows that packing the weights for them would take longer."""
    time, batch, _ = inputs.x.shape
    return time == 1 and batch <= _FEW and not keep and inputs.lengths is None and inputs.resets is None


def bias_gradients(program: Program, columns: Tensor, inputs: Inputs) -> tuple[Tensor | None, Tensor | None]:
    """Of bias_input and bias_recurrent, from those of the program's columns; None where there are none."""
    found: list[Tensor | None] = []
    for bias, field in ((inputs.bias_input, "input_gate"), (inputs.bias_recurrent, "recurrent_gate")):
        if bias is None or program.form.layer_norm:
            found.append(None)
            continue
        gates = [getattr(column, field) for column in program.columns]
        count = len(bias) // columns.shape[1]
        rows = [columns[gates.index(gate)] if gate in gates else columns.new_zeros(()) for gate in range(count)]
        found.append(torch.cat([row.expand(columns.shape[1]) for row in rows]))
    return found[0], found[1]


def tape_size(program: Program, inputs: Inputs) -> int:
    """Numbers on the tape of a sequence: for each step, row and unit, padded, what is kept; and who shared the rows."""
    time, batch, _ = inputs.x.shape
    return time * batch * tape_width(program, len(inputs.weight_input) // len(program.cell.gates), inputs.x.dtype) + 1


def tape_width(program: Program, hidden: int, dtype: torch.dtype) -> int:
    """Numbers on the tape of each step and row."""
    tile = tile_for(program, hidden, dtype)
    spread = len(program.columns) if program.form.layer_norm else 0
    return -(-hidden // tile) * tile * len(program.kept) + spread


def _slabs(program: Program, inputs: Inputs) -> int:
    """Threads that share the rows of a batch: torch's, as far as there are rows and work for them."""
    time, batch, features = inputs.x.shape
    hidden, output = len(inputs.weight_input) // len(program.cell.gates), inputs.start[0].shape[1]
    work = time * batch * len(program.columns) * hidden * (features + output)
    return max(1, min(torch.get_num_threads(), batch, work // _WORTHWHILE))


class _Frame:
    """A call being filled in; it holds on to what the call's addresses are of."""

    def __init__(self, program: Program, inputs: Inputs, reverse: bool) -> None:
        x = inputs.x
        time, batch, features = x.shape
        hidden = len(inputs.weight_input) // len(program.cell.gates)
        self.library: Library = get_library(program, x.element_size() * 8, parts_for(program, hidden, x.dtype))
        slabs = _slabs(program, inputs)
        rows = -(-batch // slabs)
        room = _CACHE // (max(len(program.columns), 1) * hidden * x.element_size())
        block = max(rows, min(_BLOCK, room), 1)
        output = inputs.start[0].shape[1]
        self._held: list[object] = []
        self.call = Call(
            time, batch, features, hidden, output, reverse, slabs, block, x.stride(0), x.stride(1), x.data_ptr()
        )
        for name in ("weight_input", "weight_recurrent", "bias_input", "bias_recurrent", "projection"):
            self.set(name, getattr(inputs, name))
        for name in ("gaps", "resets", "thin"):
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
            setattr(self.call, name, tensor.data_ptr())

    def set_all(self, name: str, tensors: Sequence[Tensor | None]) -> None:
        """An array of the addresses of tensors."""
        if tensors:
            array = addresses(tensors)
            self._held += [array, tensors]
            setattr(self.call, name, ctypes.addressof(array))


def _like(weight: Tensor, program: Program, gate: str) -> Tensor:
    """For a weight's gradient; of gates that the equations do not use it is 0."""
    gates = {getattr(column, gate) for column in program.columns} - {None}
    count = len(program.cell.gates if gate == "input_gate" else program.cell.recurrent_gates)
    return torch.empty_like(weight) if len(gates) == count else torch.zeros_like(weight)
