"""Recurrences that are linear in their state, all steps at once: a blocked parallel scan in torch's own operations.

It needs no compiler, runs on any device and in any floating-point type, and is differentiable as often as one likes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.cells import Cell, State
from recurra.compiler.linear import LinearForm, NotLinear, linear_form
from recurra.compiler.trace import Untraceable
from recurra.engines.blocks import is_watched, states_before
from recurra.engines.conditions import Conditions
from recurra.engines.constant import constant_in_traces
from recurra.engines.linear import LinearRecurrence
from recurra.engines.reference import _Projection
from recurra.engines.weights import Weights

__all__ = ["advance", "refusal", "run"]

_SEGMENT = 1 << 20  # numbers of a value that a processor's cache still holds


def refusal(cell: Cell, needs: frozenset[str] = frozenset()) -> str | None:
    """Why this engine cannot run the cell; None if it can."""
    why: str | None = _refusal(cell, "projection" in needs)
    return why


@constant_in_traces
def _refusal(cell: Cell, projected: bool) -> str | None:
    try:
        form = linear_form(cell)
    except (NotLinear, Untraceable) as why:
        return str(why)
    if projected and cell.states[0] in form.memory:
        return f"the equations read s.{cell.states[0]} unit by unit, and a projected output has other units"
    return None


def run(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
    *,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """One layer in one direction: arguments and results are those of `reference.run`.

    On a CPU it goes through time in segments, for memory that a processor's cache does not hold costs more than what is
    computed in it.
    """
    layer = _Layer.of(cell, weights)
    step = math.prod((x.shape[1], layer.hidden, *x.shape[3:]))
    steps = max(1, _SEGMENT // max(1, step)) if x.device.type == "cpu" and not is_watched() else len(x)
    parts = list(zip(range(0, len(x), steps), x.split(steps), strict=True))
    outputs = []
    for start, part in reversed(parts) if reverse else parts:
        within = conditions if len(parts) == 1 else conditions.between(start, start + len(part))
        y, state = _Passage(layer, part, state, within, reverse).run()
        outputs.append(y)
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs[::-1] if reverse else outputs), state


def advance(
    cell: Cell,
    weights: Weights,
    x_t: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
) -> State:
    """One step: arguments and result are those of `reference.advance`."""
    return run(cell, weights, x_t.unsqueeze(0), state, conditions)[1]


class _Layer(NamedTuple):
    """What is the same for every segment.

    gates: the projection of each gate, by its name in the equations, ("x", gate) or ("u", gate).
    vectors: by name. projection: of the output, if there is any.
    """

    cell: Cell
    form: LinearForm
    hidden: int
    gates: Mapping[tuple[str, str], _Projection]
    vectors: Mapping[str, Tensor]
    projection: Tensor | None

    @classmethod
    def of(cls, cell: Cell, weights: Weights) -> _Layer:
        """That of a cell with its weights."""
        gates = _by_gate("x", cell.gates, weights.input, weights.input_bias, weights.input_gain)
        if weights.recurrent is not None:
            again = weights.recurrent, weights.recurrent_bias, weights.recurrent_gain
            gates |= _by_gate("u", cell.recurrent_gates, *again)
        vectors = dict(zip(cell.vectors, weights.vectors, strict=True))
        return cls(cell, _form(cell), len(weights.input) // len(cell.gates), gates, vectors, weights.projection)


@constant_in_traces
def _form(cell: Cell) -> LinearForm:
    return linear_form(cell)


def _by_gate(
    kind: str, gates: Sequence[str], weight: Tensor, bias: Tensor | None, gain: Tensor | None
) -> dict[tuple[str, str], _Projection]:
    rows = [[None] * len(gates) if one is None else one.chunk(len(gates)) for one in (weight, bias, gain)]
    return {(kind, gate): _Projection(1, *parts) for gate, *parts in zip(gates, *rows, strict=True)}


class _Passage:
    """One layer in one direction over a segment. Values are (time, batch, unit, ...), or of size 1 where they are the
    same; each is computed when it is asked for, once."""

    def __init__(self, layer: _Layer, x: Tensor, state: State, conditions: Conditions, reverse: bool) -> None:
        self.layer, self.start, self.conditions, self.reverse = layer, state, conditions, reverse
        self.spatial = x.dim() - 3
        self.shape = (*x.shape[:2], layer.hidden, *x.shape[3:])
        alive = conditions.alive(len(x), x.device)
        self.alive = None if alive is None else self._widened(alive)
        self.x = x if self.alive is None else torch.where(self.alive, x, 0)  # 0 * NaN is NaN
        self.resets = None if conditions.resets is None else self._widened(conditions.resets)
        self.kept: State = layer.cell.by_state(conditions.zoneout or [None] * len(layer.cell.states))
        self.values: dict[int, Tensor | float] = {}
        matrix = {(row, column): self._tensor(place) for row, column, place in layer.form.matrix}
        self.memory = LinearRecurrence(matrix, [self._full(place) for place in layer.form.offsets])
        self.found: dict[str, tuple[Tensor, Tensor]] = {}

    def run(self) -> tuple[Tensor, State]:
        """The outputs, and the state after the last step taken."""
        if self.layer.form.memory:
            self._follow(self.memory, self.layer.form.memory)
        for field, place in self.layer.form.outputs:
            self._add_output(field, self._full(place))
        states = self.layer.cell.states
        y, last = self.found[states[0]][0], self.layer.cell.by_state(self.found[field][1] for field in states)
        return y if self.alive is None else torch.where(self.alive, y, 0), last

    def _follow(self, recurrence: LinearRecurrence, fields: Sequence[str]) -> None:
        """Find what a recurrence makes of fields under all conditions: after each step, and after the last."""
        recurrence = recurrence.keep(_fields(self.kept, fields))
        restart = self.conditions.restart
        if self.resets is not None and restart is not None:
            recurrence = recurrence.begin_anew(self.resets, _fields(restart, fields))
        if self.alive is not None:
            recurrence = recurrence.keep([~self.alive] * len(fields))
        after, last = recurrence.run(_fields(self.start, fields), reverse=self.reverse)
        self.found |= zip(fields, zip(after, last, strict=True), strict=True)

    def _add_output(self, field: str, value: Tensor) -> None:
        """Find a field that no step reads."""
        if field == self.layer.cell.states[0] and self.layer.projection is not None:
            value = F.linear(value, self.layer.projection)
        if getattr(self.kept, field) is None:
            self.found[field] = value, self._at_end(value, getattr(self.start, field))
        else:
            self._follow(LinearRecurrence({}, [value]), [field])

    def _at_end(self, value: Tensor, start: Tensor) -> Tensor:
        """A value at the last step that each row takes; where it takes none, what it began with."""
        lengths = self.conditions.lengths
        if lengths is None:
            return value[0 if self.reverse else -1]
        lengths = lengths.to(value.device).view(-1, *[1] * (value.dim() - 2))
        place = torch.zeros_like(lengths) if self.reverse else (lengths - 1).clamp(min=0)
        return torch.where(lengths > 0, value.gather(0, place.expand(1, *value.shape[1:]))[0], start)

    def _value(self, place: int) -> Tensor | float:
        """The value at a place among the operations."""
        if place not in self.values:
            self.values[place] = self._compute(*self.layer.form.operations[place])
        return self.values[place]

    def _compute(self, op: str, inputs: tuple[int, ...], name: tuple[str, str], number: float) -> Tensor | float:
        if op == "constant":
            return number
        if op == "leaf":
            return self._leaf(*name)
        if op == "product":
            thin, value = self.conditions.dropout, self._full(inputs[0])
            return self._projected(self.layer.gates[name], value if thin is None else value * thin)
        values = [self._value(one) for one in inputs]
        if op in _OPERATORS:
            return _OPERATORS[op](*values)  # type: ignore[no-any-return]
        return getattr(torch, op)(*map(self._as_tensor, values))  # type: ignore[no-any-return]

    def _leaf(self, kind: str, word: str) -> Tensor | float:
        match kind:
            case "x":
                return self._projected(self.layer.gates["x", word], self.x)
            case "p":
                return self.layer.vectors[word].view(1, 1, -1, *[1] * self.spatial)
            case "s":
                return self._before(word)
            case "after":
                return self._after(word)
        gaps = self.conditions.gaps
        return 1.0 if gaps is None else self._widened(gaps).to(self.x.dtype)

    def _before(self, field: str) -> Tensor:
        """A field of the memory before each step."""
        after, start, restart = self.found[field][0], getattr(self.start, field), self.conditions.restart
        before = states_before(after, start.to(after.dtype), reverse=self.reverse)
        if self.resets is None or restart is None:
            return before
        return torch.where(self.resets, getattr(restart, field), before)

    def _after(self, field: str) -> Tensor:
        """A field of the memory after each step, as the equations have it: zoneout acts behind them."""
        fields = self.layer.form.memory
        if all(kept is None for kept in _fields(self.kept, fields)):
            return self.found[field][0]
        return self.memory.step([self._before(one) for one in fields])[fields.index(field)]

    def _projected(self, projection: _Projection, value: Tensor) -> Tensor:
        """The projection of one gate, for all steps at once."""
        return projection(value.flatten(0, 1)).unflatten(0, self.shape[:2])  # type: ignore[no-any-return]

    def _full(self, place: int) -> Tensor:
        """A value at its full size."""
        return self._tensor(place).expand(self.shape)

    def _tensor(self, place: int) -> Tensor:
        """A value with all axes."""
        value = self._as_tensor(self._value(place))
        return value if value.dim() else value.view([1] * len(self.shape))

    def _as_tensor(self, value: Tensor | float) -> Tensor:
        return value if isinstance(value, Tensor) else self.x.new_full((), value)

    def _widened(self, rows: Tensor) -> Tensor:
        """One value per step and row, (time, batch), with all axes."""
        return rows.view(*rows.shape, 1, *[1] * self.spatial)


def _fields(state: State, fields: Iterable[str]) -> list[Any]:
    return [getattr(state, field) for field in fields]


_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
