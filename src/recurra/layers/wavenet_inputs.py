"""How a WaveNet reads what it is given: x, its condition and its state, checked and in one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.forms import Sequences, read_sequences
from recurra.layers.pasts import Past, Pasts, read_past
from recurra.layers.shapes import check_sequence, check_step
from recurra.layers.wavenet_module import WaveNetModule

__all__ = ["WaveNetInputs"]


class WaveNetInputs(WaveNetModule):
    """The part of `WaveNet`, which documents the arguments, between a call and its arithmetic."""

    def _read(self, x: Any, lengths: Any) -> Sequences:
        if not self.embedding:
            check_sequence(x, input_size=self.input_size, batch_first=self.batch_first, weight=self._any_weight())
        else:
            shape = "(batch, time)" if self.batch_first else "(time, batch)"
            _check_classes(x, (1, 2), "x", f"{shape} or (time,)", self._any_weight())
            if not x.shape[1 if self.batch_first and x.dim() == 2 else 0]:
                raise ArgumentError(f"x has shape {tuple(x.shape)}, no time step; pass one at least")
        return read_sequences(x, rank=self._rank, batch_first=self.batch_first, lengths=lengths, mask=None)

    def _check_step(self, x_t: Any) -> None:
        if self.embedding:
            _check_classes(x_t, (0, 1), "x_t", "(batch,) or ()", self._any_weight())
        else:
            check_step(x_t, input_size=self.input_size, weight=self._any_weight())

    def _read_state(self, state: Any, h: Tensor, batch: tuple[int, ...]) -> Sequence[Past]:
        count = len(self.dilations)
        if state is not None and (not isinstance(state, Pasts) or len(state.layers) != count):
            came = f"Pasts of {len(state.layers)} layers" if isinstance(state, Pasts) else type(state).__name__
            raise ArgumentError(
                f"state is {came}; pass the Pasts of {count} layers that the last call returned, or omit it"
            )
        pasts = self._read_layers(state, h, batch)
        if state is None or not state.recent:
            return pasts
        shape = (count, *batch, self.channels)
        for place, inputs in enumerate(state.recent):
            if inputs.shape != shape or inputs.dtype != pasts[0].block.dtype:
                raise ArgumentError(
                    f"state.recent[{place}] has shape {tuple(inputs.shape)} in {inputs.dtype}; expected {shape} in "
                    f"{pasts[0].block.dtype}: pass what the last call for these rows returned, or omit it"
                )
        return Pasts(tuple(pasts), state.recent).parted().layers

    def _read_layers(self, state: Pasts | None, h: Tensor, batch: tuple[int, ...]) -> Sequence[Past]:
        steps = self._remembered()
        if state is not None and {*map(type, state.layers)} == {Past}:
            blocks = [past.block for past in state.layers]
            shapes = [(remembered, *batch, self.channels) for remembered in steps]
            if [block.shape for block in blocks] == shapes and {block.dtype for block in blocks} == {h.dtype}:
                return state.layers  # what a single step gets, looked at in a tenth of the step's time
        pasts = (None,) * len(steps) if state is None else state.layers
        return [
            read_past(f"state.layers[{layer}]", past, remembered, self.channels, h, batch)
            for layer, (past, remembered) in enumerate(zip(pasts, steps, strict=True))
        ]

    def _read_condition(self, condition: Any, sequences: Sequences, padding: Tensor | None) -> Tensor | None:
        """As (time or 1, batch, condition), 0 where a row has no step."""
        time, rows = sequences.x.shape[:2]
        batch = sequences.batch
        per_step = (rows, time) if sequences.batch_first else (time, *batch)
        shapes = {len(batch) + 1: (*batch, self.condition_size), len(batch) + 2: (*per_step, self.condition_size)}
        c = self._check_condition(condition, shapes, self._any_weight())
        if c is None:
            return None
        c = c if batch else c.unsqueeze(-2)
        if c.dim() == 2:
            return c.unsqueeze(0)
        c = c.transpose(0, 1) if sequences.batch_first else c
        return c if padding is None else c.masked_fill(padding, 0)

    def _check_condition(self, condition: Any, shapes: dict[int, tuple[int, ...]], like: Tensor) -> Tensor | None:
        if condition is None and not self.condition_size:
            return None
        expected = " or ".join(str(shape) for shape in shapes.values())
        if not self.condition_size:
            raise ArgumentError(
                "condition was passed to a net with condition_size=0; build it with the features it has"
            )
        if not isinstance(condition, Tensor):
            raise ArgumentError(
                f"condition is {'missing' if condition is None else type(condition).__name__}; condition_size is "
                f"{self.condition_size}: pass a tensor {expected}"
            )
        if tuple(condition.shape) != shapes.get(condition.dim()):
            raise ArgumentError(f"condition has shape {tuple(condition.shape)}; expected {expected}")
        if condition.dtype != like.dtype or condition.device != like.device:
            raise ArgumentError(
                f"condition is {condition.dtype} on {condition.device}, the net {like.dtype} on {like.device}; "
                f"convert it"
            )
        return condition


def _check_classes(x: Any, dims: tuple[int, int], name: str, expected: str, weight: Tensor) -> None:
    """Raise ArgumentError unless x is a dense tensor of classes with so many axes; their range shows in the look-up."""
    if not isinstance(x, Tensor) or x.is_nested or x.dtype != torch.int64:
        came = f"a tensor of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(f"{name} is {came}; with embedding=True expected classes, an int64 tensor {expected}")
    if x.dim() not in dims:
        raise ArgumentError(f"{name} has shape {tuple(x.shape)}; with embedding=True expected {expected}")
    if x.device != weight.device:
        raise ArgumentError(f"{name} is on {x.device}, the weights on {weight.device}; move one")
