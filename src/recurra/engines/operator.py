"""Compiled recurrences as operators of torch, which torch.compile and autograd know how to work with.

recurra::sequence            outputs, last state, tape
recurra::sequence_backward   the gradients of all its inputs
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from recurra.compiler.program import Program
from recurra.engines.inputs import Gradients, Inputs
from recurra.engines.kernel import compute, differentiate, tape_size

__all__ = ["number_of", "run_operator"]

# A program by its number: in one process, and in what torch.compile keeps for it.
_PROGRAMS: list[Program] = []

_INPUTS = (
    "Tensor x, Tensor[] start, Tensor weight_input, Tensor? weight_recurrent, Tensor? bias_input, "
    "Tensor? bias_recurrent, Tensor? projection, Tensor[] vectors, Tensor? lengths, Tensor? resets, Tensor[] restart, "
    "Tensor? gaps, Tensor? thin, Tensor?[] kept, Tensor? connections, int program, bool reverse"
)
_library = torch.library.Library("recurra", "DEF")
_library.define(f"sequence({_INPUTS}, bool keep) -> (Tensor, Tensor[], Tensor)")
_library.define(
    f"sequence_backward({_INPUTS}, Tensor y, Tensor tape, Tensor? dy, Tensor?[] dlast) "
    "-> (Tensor, Tensor[], Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor[])"
)


def number_of(program: Program) -> int:
    """The number by which the operators know a program."""
    if program not in _PROGRAMS:
        _PROGRAMS.append(program)
    return _PROGRAMS.index(program)


def run_operator(program: int, inputs: Inputs, reverse: bool) -> tuple[Tensor, ...]:
    """The outputs and the fields of the last state, by the operator."""
    y, last, _ = torch.ops.recurra.sequence(*inputs, program, reverse, torch.is_grad_enabled())
    return (y, *last)


def _sequence(*arguments: Any) -> tuple[Tensor, list[Tensor], Tensor]:
    inputs, program, reverse = _read(arguments)
    y, last, tape = compute(program, inputs, reverse=reverse, keep=arguments[-1])
    return y, last, y.new_empty(0) if tape is None else tape


def _fake_sequence(*arguments: Any) -> tuple[Tensor, list[Tensor], Tensor]:
    inputs, program, _ = _read(arguments)
    time, batch, _ = inputs.x.shape
    y = inputs.x.new_empty(time, batch, inputs.start[0].shape[1])
    tape = y.new_empty(tape_size(program, inputs) if arguments[-1] else 0)
    return y, [torch.empty_like(part) for part in inputs.start], tape


def _sequence_backward(*arguments: Any) -> tuple[Any, ...]:
    inputs, program, reverse = _read(arguments)
    y, tape, dy, dlast = arguments[-4:]
    found = differentiate(program, inputs, y, tape, dy, dlast, reverse=reverse)
    nothing = y.new_empty(0)
    return tuple(nothing if part is None else part for part in found)


def _fake_sequence_backward(*arguments: Any) -> tuple[Any, ...]:
    inputs, program, _ = _read(arguments)
    x, hidden = inputs.x, inputs.weight_input.shape[0] // len(program.cell.gates)
    biases = (None, None) if program.form.layer_norm else (inputs.bias_input, inputs.bias_recurrent)
    perhaps = (inputs.weight_recurrent, *biases, inputs.projection)
    return (
        x.new_empty(x.shape),
        [torch.empty_like(part) for part in inputs.start],
        torch.empty_like(inputs.weight_input),
        *(x.new_empty(0) if one is None else torch.empty_like(one) for one in perhaps),
        x.new_empty(len(program.vectors), hidden),
        [torch.empty_like(part) for part in inputs.restart],
    )


def _read(arguments: Sequence[Any]) -> tuple[Inputs, Program, bool]:
    count = len(Inputs._fields)
    return Inputs(*arguments[:count]), _PROGRAMS[arguments[count]], arguments[count + 1]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, list[Tensor], Tensor]) -> None:
    leaves, ctx.tree = pytree.tree_flatten((inputs[:-1], output[0], output[2]))
    ctx.rest = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    ctx.places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    ctx.save_for_backward(*(leaves[place] for place in ctx.places))


def _differentiate(ctx: Any, dy: Tensor | None, dlast: list[Tensor | None], dtape: Tensor | None) -> tuple[Any, ...]:
    leaves = list(ctx.rest)
    for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
        leaves[place] = tensor
    arguments, y, tape = pytree.tree_unflatten(leaves, ctx.tree)
    inputs, program, _ = _read(arguments)
    found = Gradients(*torch.ops.recurra.sequence_backward(*arguments, y, tape, dy, dlast))
    return (
        found.x,
        found.start,
        found.weight_input,
        found.weight_recurrent if inputs.weight_recurrent is not None else None,
        None if inputs.bias_input is None or program.form.layer_norm else found.bias_input,
        None if inputs.bias_recurrent is None or program.form.layer_norm else found.bias_recurrent,
        found.projection if inputs.projection is not None else None,
        list(found.vectors.unbind(0)),
        *(None, None, found.restart, None, None, _nothing_of(inputs.kept), None),
        *(None, None, None),
    )


def _nothing_of(tensors: Sequence[Tensor | None]) -> list[None] | None:
    """No gradients of a list; torch takes one with None in it for a single argument."""
    return None if any(one is None for one in tensors) else [None] * len(tensors)


_library.impl("sequence", _sequence, "CPU")
_library.impl("sequence_backward", _sequence_backward, "CPU")
torch.library.register_fake("recurra::sequence", _fake_sequence, lib=_library)
torch.library.register_fake("recurra::sequence_backward", _fake_sequence_backward, lib=_library)
torch.library.register_autograd("recurra::sequence", _differentiate, setup_context=_remember, lib=_library)
