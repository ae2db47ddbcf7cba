"""What a kernel takes and gives: tensors by their names, and that they are what it takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.compiler.program import Program
from recurra.errors import ArgumentError

__all__ = ["Gradients", "Inputs", "Wanted", "check_inputs"]


class Inputs(NamedTuple):
    """All that a sequence is computed of: of one dtype, on the CPU, contiguous but for x.

    x: (time, batch, feature), the features contiguous.
    start, restart: before the first step and after resets, (batch, unit) per field of the state.
    weight_input, weight_recurrent, bias_input, bias_recurrent, projection: as in Weights.
    vectors: those of the program, (hidden,) each.
    lengths: (batch,); resets, gaps: (time, batch); thin: (batch, output).
    kept: per field, which units stay as they were, (time, batch, unit); None for none.
    connections: (recurrent gates * hidden, connected), int64: which outputs each row of weight_recurrent reads.
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
    connections: Tensor | None = None


class Wanted(NamedTuple):
    """Whether the gradients are wanted that can be left out. start: those of the fields of the state, () for all."""

    x: bool = True
    start: Sequence[bool] = ()
    weight_input: bool = True
    weight_recurrent: bool = True


class Gradients(NamedTuple):
    """Of the inputs of the same names; None of those that there are not, or that are not wanted.

    With layer normalisation biases are vectors.
    """

    x: Tensor | None
    start: list[Tensor | None]
    weight_input: Tensor | None
    weight_recurrent: Tensor | None
    bias_input: Tensor | None
    bias_recurrent: Tensor | None
    projection: Tensor | None
    vectors: Tensor
    restart: list[Tensor]


def check_inputs(program: Program, inputs: Inputs) -> None:
    """Raise ArgumentError unless tensors are what the kernel, which goes by addresses alone, takes them for.

    A layer's parameters may have been replaced since it was built, and an operator may be called with anything.
    """
    cell, x, weight = program.cell, inputs.x, inputs.weight_input
    time, batch, features = x.shape
    hidden, output = weight.shape[0] // len(cell.gates), inputs.start[0].shape[1]
    dtype = x.dtype if x.dtype in _DTYPES else torch.float32
    _check("x", x, x.shape, dtype)
    for name, field, shape in _shapes(len(cell.gates), len(cell.recurrent_gates), hidden, output, features):
        _check(name, getattr(inputs, field), shape, dtype)
    for vector in inputs.vectors:
        _check("a vector", vector, (hidden,), dtype)
    width = output
    for part, again in zip_longest(inputs.start, inputs.restart):
        _check("a state", part, (batch, width), dtype)
        _check("a state after a reset", again, (batch, width), dtype)
        width = hidden
    _check("gaps", inputs.gaps, (time, batch), dtype)
    if inputs.connections is not None:
        _check_connections(inputs.connections, len(cell.recurrent_gates) * hidden, output)
    _check("the mask of recurrent dropout", inputs.thin, (batch, output), dtype)
    _check("lengths", inputs.lengths, (batch,), torch.int64)
    _check("resets", inputs.resets, (time, batch), torch.bool)
    for part, (_, width) in zip(inputs.kept, [(batch, output), *[(batch, hidden)] * len(inputs.start)], strict=False):
        _check("what zoneout keeps", part, (time, batch, width), torch.bool)


def _check(name: str, tensor: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tensor is None:
        return
    if tensor.shape != shape:
        raise ArgumentError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}, as the layer was built")
    if tensor.dtype is not dtype or not tensor.is_cpu:
        raise ArgumentError(f"{name} is {tensor.dtype} on {tensor.device}; a kernel takes {dtype} on the CPU")


def _check_connections(connections: Tensor, rows: int, output: int) -> None:
    shape, dtype = tuple(connections.shape), connections.dtype
    if len(shape) != 2 or shape[0] != rows or not 1 <= shape[1] <= output or dtype is not torch.int64:
        raise ArgumentError(f"connections are {dtype} of shape {shape}; expected int64, ({rows}, 1 to {output})")
    rising = bool((connections[:, 1:] > connections[:, :-1]).all())
    if not rising or connections[:, 0].min() < 0 or connections[:, -1].max() >= output:
        raise ArgumentError(f"connections must rise from left to right, between 0 and {output - 1}, in every row")


@cache
def _shapes(
    gates: int, recurrent_gates: int, hidden: int, output: int, features: int
) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """Of the weights: the layer's names, those of the inputs, and shapes."""
    rows, again = gates * hidden, recurrent_gates * hidden
    return (
        ("weight_ih", "weight_input", (rows, features)),
        ("weight_hh", "weight_recurrent", (again, output)),
        ("bias_ih", "bias_input", (rows,)),
        ("bias_hh", "bias_recurrent", (again,)),
        ("weight_hr", "projection", (output, hidden)),
    )


_DTYPES = (torch.float32, torch.float64)
