"""How the states of layers, directions and dilated slots lie in one State."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.cells import Cell, State
from recurra.errors import ArgumentError

__all__ = ["StateLayout"]


class StateLayout:
    """The shape of a layer's state.

    A field is (layers*directions, batch, unit), layer by layer, as torch has it. A layer with dilation d has d slots in
    each direction, the oldest first. Where layers differ in width, a field is a tuple of one such tensor a layer.

    widths: per layer, the units of each field.
    """

    def __init__(
        self, cell: Cell, widths: Sequence[tuple[int, ...]], *, directions: int, dilations: Sequence[int]
    ) -> None:
        self.cell, self.widths = cell, tuple(widths)
        self.directions, self.dilations = directions, tuple(dilations)
        self.stacked = len(set(widths)) == 1

    def shapes(self, batch: tuple[int, ...], space: tuple[int, ...]) -> list[Any]:
        """Of each field. batch: (rows,), or () without a batch."""
        slots = [self.directions * dilation for dilation in self.dilations]
        if self.stacked:
            return [(sum(slots), *batch, width, *space) for width in self.widths[0]]
        by_layer = [
            [(slot, *batch, width, *space) for width in widths] for slot, widths in zip(slots, self.widths, strict=True)
        ]
        return [tuple(shapes) for shapes in zip(*by_layer, strict=True)]

    def zeros(self, like: Tensor, batch: tuple[int, ...], space: tuple[int, ...]) -> State:
        """The zeros that a sequence begins with."""
        shapes = self.shapes(batch, space)
        if self.stacked:
            return self.cell.by_state(like.new_zeros(shape) for shape in shapes)
        return self.cell.by_state(tuple(like.new_zeros(shape) for shape in field) for field in shapes)

    def split(self, state: State) -> list[State]:
        """The state of each layer and direction: (slots, batch, unit, ...) per field."""
        sizes = [dilation for dilation in self.dilations for _ in range(self.directions)]
        if self.stacked and len(sizes) == 1:
            return [state]
        if self.stacked:
            fields = [part.split(sizes) for part in state]
        else:
            fields = [
                [slots for layer, size in zip(part, self.dilations, strict=True) for slots in layer.split(size)]
                for part in state
            ]
        return [self.cell.by_state(parts) for parts in zip(*fields, strict=True)]

    def join(self, states: Sequence[State]) -> State:
        """The inverse of `split`."""
        if self.stacked and len(states) == 1:
            return states[0]
        if self.stacked:
            return self.cell.by_state(torch.cat(parts) for parts in zip(*states, strict=True))
        pairs = [states[start : start + self.directions] for start in range(0, len(states), self.directions)]
        layers = [[torch.cat(parts) for parts in zip(*pair, strict=True)] for pair in pairs]
        return self.cell.by_state(tuple(parts) for parts in zip(*layers, strict=True))

    def check(
        self, state: object, x: Tensor, batch: tuple[int, ...], space: tuple[int, ...], *, name: str = "state"
    ) -> State:
        """The state given to a layer, as a State with the cell's fields.

        state: a State, or a tuple with the same fields in order.
        name: of the argument; "hx" as torch has it, with h_0 and c_0 in it.
        Raises ArgumentError for other fields, shapes, dtypes or devices.
        """
        names, torchs = self.cell.states, name == "hx"
        spelled = f"State({', '.join(f'{field}=...' for field in names)})"
        if torchs:
            spelled = f"({', '.join(f'{field}_0' for field in names)})" if len(names) > 1 else f"{names[0]}_0"
        fields = getattr(state, "_fields", names)
        if not isinstance(state, tuple) or len(state) != len(names) or fields != names:
            came = f"a {type(state).__name__}" if not isinstance(state, tuple) else f"a tuple of {', '.join(fields)}"
            if isinstance(state, tuple) and len(state) != len(names):
                came = f"a tuple of {len(state)}"
            raise ArgumentError(
                f"{name} is {came}; cell {self.cell.name!r} has {', '.join(names)}: pass {spelled}, or omit it"
            )
        shapes = self.shapes(batch, space)
        for field, part, expected in zip(names, state, shapes, strict=True):
            label = f"{field}_0 of {name}" if torchs else f"{name}.{field}"
            if self.stacked:
                self._check_part(label, part, expected, x)
                continue
            if not isinstance(part, tuple) or len(part) != len(expected):
                raise ArgumentError(
                    f"{label} is a {type(part).__name__}; the layers differ in width: pass a tuple of "
                    f"{len(expected)} tensors, one a layer, as the layer returned them"
                )
            for layer, (tensor, shape) in enumerate(zip(part, expected, strict=True)):
                self._check_part(f"{label}[{layer}]", tensor, shape, x)
        return self.cell.by_state(state)

    def _check_part(self, name: str, part: object, expected: tuple[int, ...], x: Tensor) -> None:
        if not isinstance(part, Tensor):
            raise ArgumentError(f"{name} is {type(part).__name__}; expected a tensor of shape {expected}")
        if tuple(part.shape) != expected:
            axes = "(layers*directions, batch, hidden)" if len(expected) > 2 else "(layers*directions, hidden)"
            if max(self.dilations) > 1:
                axes += f", each layer's slots of its dilation {self.dilations}"
            raise ArgumentError(
                f"{name} has shape {tuple(part.shape)}; expected {expected}, {axes}; pass that or omit the state"
            )
        if part.device != x.device:
            raise ArgumentError(f"{name} is on {part.device}, x on {x.device}; move one with .to(...)")
        if part.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ArgumentError(f"{name} has dtype {part.dtype}, x {x.dtype}; convert it: .to({x.dtype})")

    @property
    def numel(self) -> int:
        """Numbers in the state of one row."""
        return sum(
            math.prod((self.directions, dilation, sum(widths)))
            for dilation, widths in zip(self.dilations, self.widths, strict=True)
        )
