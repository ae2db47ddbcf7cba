"""Checks of what is passed to a recurrent layer: sequences, lengths and states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.cells import Cell, State
from recurra.errors import ArgumentError

__all__ = ["check_sequence", "check_state", "check_step", "read_lengths"]


def check_sequence(x: object, *, input_size: int, batch_first: bool, weight: Tensor) -> None:
    """Raise ArgumentError unless x is a sequence that the layer takes, in the weights' dtype and on their device."""
    batched = "(batch, time, feature)" if batch_first else "(time, batch, feature)"
    if not isinstance(x, Tensor):
        raise ArgumentError(f"x is {type(x).__name__}; expected a tensor {batched} or (time, feature), or packed")
    if x.dim() not in (2, 3):
        raise ArgumentError(f"x has shape {tuple(x.shape)}; expected {batched}, or (time, feature) without a batch")
    _check_features(x, input_size, weight)
    time = x.shape[1 if x.dim() == 3 and batch_first else 0]
    if time == 0:
        raise ArgumentError(
            f"x has shape {tuple(x.shape)}, no time step; pass one at least, or leave the call out and keep the state"
        )


def check_step(x_t: object, *, input_size: int, weight: Tensor) -> None:
    """Raise ArgumentError unless x_t is one time step that the layer takes."""
    if not isinstance(x_t, Tensor):
        raise ArgumentError(f"x_t is {type(x_t).__name__}; expected a tensor (batch, feature) or (feature,)")
    if x_t.dim() not in (1, 2):
        raise ArgumentError(
            f"x_t has shape {tuple(x_t.shape)}; expected one time step, (batch, feature) or (feature,); "
            f"for a whole sequence call the layer itself"
        )
    _check_features(x_t, input_size, weight, name="x_t")


def _check_features(x: Tensor, input_size: int, weight: Tensor, *, name: str = "x") -> None:
    if x.shape[-1] != input_size:
        raise ArgumentError(
            f"{name} has shape {tuple(x.shape)} with {x.shape[-1]} features, the layer's input_size is {input_size}; "
            f"the last axis must be the features"
        )
    if x.device != weight.device:
        raise ArgumentError(
            f"{name} is on {x.device}, the weights on {weight.device}; move one: {name}.to({str(weight.device)!r})"
        )
    # Under autocast the engines' products choose their own type.
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ArgumentError(
            f"{name} has dtype {x.dtype}, the weights {weight.dtype}; convert one: {name}.to({weight.dtype})"
        )


def read_lengths(lengths: Any, *, batch: int, time: int) -> Tensor | None:
    """The steps of each row as int64 on the CPU, where kernels and checks want them; None if all rows are whole.

    Raises ArgumentError unless lengths are `batch` integers from 0 to `time`.
    """
    if lengths is None:
        return None
    try:
        read = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(
            f"lengths is {lengths!r}; expected one integer per row of the batch, as in [5, 3]"
        ) from error
    if isinstance(lengths, Sequence) and not len(lengths):
        read = read.long()  # of an empty list torch cannot know better than float
    if read.dtype == torch.bool or read.is_floating_point() or read.is_complex():
        raise ArgumentError(f"lengths has dtype {read.dtype}; expected integers, as in lengths.long()")
    if read.dim() != 1 or len(read) != batch:
        raise ArgumentError(
            f"lengths has shape {tuple(read.shape)}, x has batch {batch}; pass one length per row, shape ({batch},)"
        )
    read = read.detach().to("cpu", torch.int64)
    for row, length in enumerate(read.tolist()):
        if not 0 <= length <= time:
            raise ArgumentError(
                f"lengths[{row}] is {length}; expected 0 to {time}, the time steps of x; "
                f"mend the length, or pad x to at least that many steps"
            )
    return None if bool((read == time).all()) else read


def check_state(state: object, cell: Cell, *, expected: tuple[int, ...], x: Tensor) -> State:
    """The state given to a layer, as a State with the cell's fields.

    state: a State, or a tuple with the same fields in order.
    expected: shape of each field, (layers*directions, batch, hidden), without batch for an unbatched x.
    Raises ArgumentError for other fields, shapes, dtypes or devices.
    """
    spelled = f"State({', '.join(f'{name}=...' for name in cell.states)})"
    fields = getattr(state, "_fields", cell.states)
    if not isinstance(state, tuple) or len(state) != len(cell.states) or fields != cell.states:
        came = f"a {type(state).__name__}" if not isinstance(state, tuple) else f"a tuple of {', '.join(fields)}"
        if isinstance(state, tuple) and len(state) != len(cell.states):
            came = f"a tuple of {len(state)}"
        raise ArgumentError(
            f"state is {came}; cell {cell.name!r} has {', '.join(cell.states)}: pass {spelled}, or omit it"
        )
    for name, part in zip(cell.states, state, strict=True):
        if not isinstance(part, Tensor):
            raise ArgumentError(f"state.{name} is {type(part).__name__}; expected a tensor of shape {expected}")
        if tuple(part.shape) != expected:
            axes = "(layers*directions, batch, hidden)" if len(expected) == 3 else "(layers*directions, hidden)"
            raise ArgumentError(
                f"state.{name} has shape {tuple(part.shape)}; expected {expected}, {axes}; pass that or omit the state"
            )
        if part.device != x.device:
            raise ArgumentError(f"state.{name} is on {part.device}, x on {x.device}; move one with .to(...)")
        if part.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ArgumentError(f"state.{name} has dtype {part.dtype}, x {x.dtype}; convert it: .to({x.dtype})")
    return cell.by_state(state)
