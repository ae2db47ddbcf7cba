"""Recurrences that are linear in their state, all steps at once: a blocked parallel scan, in torch's own operations.

It needs no compiler, runs on any device and in any floating-point type, and is differentiable as often as one likes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.cells import Cell, State
from recurra.compiler.graph import Node, ancestors
from recurra.compiler.linear import NotLinear, linear_form
from recurra.compiler.trace import Untraceable
from recurra.engines.conditions import Conditions
from recurra.engines.linear import Matrix, scan, states_before
from recurra.engines.reference import _Projection
from recurra.engines.weights import Weights

__all__ = ["advance", "refusal", "run"]

_Value = Tensor | float
_Recurrence = tuple[Matrix, Sequence[Tensor]]


def refusal(cell: Cell, needs: frozenset[str] = frozenset()) -> str | None:
    """Why this engine cannot run the cell; None if it can."""
    try:
        form = linear_form(cell)
    except (NotLinear, Untraceable) as why:
        return str(why)
    if "projection" in needs and cell.states[0] in form.memory:
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
    """One layer in one direction, all steps at once: arguments and results are those of `reference.run`."""
    return _Passage(cell, weights, x, state, conditions, reverse).run()


def advance(
    cell: Cell,
    weights: Weights,
    x_t: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
) -> State:
    """One step: arguments and result are those of `reference.advance`."""
    return run(cell, weights, x_t.unsqueeze(0), state, conditions)[1]


class _Passage:
    """One layer in one direction. Values are (time, batch, unit, ...), or of size 1 where they are the same."""

    def __init__(
        self, cell: Cell, weights: Weights, x: Tensor, state: State, conditions: Conditions, reverse: bool
    ) -> None:
        self.cell, self.weights, self.start, self.conditions, self.reverse = cell, weights, state, conditions, reverse
        self.form, self.spatial = linear_form(cell), x.dim() - 3
        self.shape = (*x.shape[:2], len(weights.input) // len(cell.gates), *x.shape[3:])
        alive = conditions.alive(len(x), x.device)
        self.alive = None if alive is None else self._widen(alive)
        self.x = x if self.alive is None else torch.where(self.alive, x, 0)  # 0 * NaN is NaN
        self.values: dict[Node, _Value] = {}

    def run(self) -> tuple[Tensor, State]:
        """The outputs and the last state."""
        form = self.form
        self._evaluate([*form.matrix.values(), *form.offsets])
        matrix = {place: self._tensor(node) for place, node in form.matrix.items()}
        offsets = [self._tensor(node).expand(self.shape) for node in form.offsets]
        found = self._scan(form.memory, matrix, offsets)
        if form.outputs:
            self._remember((matrix, offsets), {field: after for field, (after, _) in found.items()})
            self._evaluate(form.outputs.values())
            found |= {field: self._output(field, node) for field, node in form.outputs.items()}
        y = found[self.cell.states[0]][0]
        last = self.cell.by_state(found[field][1] for field in self.cell.states)
        return (y if self.alive is None else torch.where(self.alive, y, 0)), last

    def _scan(
        self, fields: Sequence[str], matrix: Matrix, offsets: Sequence[Tensor]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """What a recurrence makes of some fields under all conditions: after each step, and after the last."""
        start = self._of(self.start, fields)
        matrix, offsets = _kept((matrix, offsets), self._of(self._zoneout(), fields))
        resets, restart = self.conditions.resets, self.conditions.restart
        if resets is not None and restart is not None:
            matrix, offsets = _begun_anew((matrix, offsets), self._widen(resets), self._of(restart, fields))
        if self.alive is not None:
            matrix, offsets = _kept((matrix, offsets), [~self.alive] * len(fields))
        dtype = reduce(torch.promote_types, [one.dtype for one in (*matrix.values(), *offsets, *start)])
        matrix = {place: part.to(dtype) for place, part in matrix.items()}
        after, last = scan(
            matrix, [one.to(dtype) for one in offsets], [one.to(dtype) for one in start], reverse=self.reverse
        )
        return dict(zip(fields, zip(after, last, strict=True), strict=True))

    def _zoneout(self) -> State:
        return self.cell.by_state(self.conditions.zoneout or [None] * len(self.cell.states))

    def _of(self, state: State, fields: Iterable[str]) -> list[Any]:
        return [getattr(state, field) for field in fields]

    def _remember(self, raw: _Recurrence, after: Mapping[str, Tensor]) -> None:
        """Let outputs know of the memory before each step, and after it as the equations have it."""
        graph_leaves = {node.name: node for node in ancestors(self.form.outputs.values()) if node.op == "leaf"}
        zoned = any(one is not None for one in self._of(self._zoneout(), after))
        if zoned or any(("s", field) in graph_leaves for field in after):
            resets, restart = self.conditions.resets, self.conditions.restart
            before = {}
            for field, states in after.items():
                shifted = states_before(states, getattr(self.start, field).to(states.dtype), reverse=self.reverse)
                if resets is not None and restart is not None:
                    shifted = torch.where(self._widen(resets), getattr(restart, field), shifted)
                before[field] = shifted
            if zoned:
                after = dict(zip(after, _stepped(raw, list(before.values()))))
            for field, value in before.items():
                if ("s", field) in graph_leaves:
                    self.values[graph_leaves["s", field]] = value
        for field, value in after.items():
            if ("after", field) in graph_leaves:
                self.values[graph_leaves["after", field]] = value

    def _output(self, field: str, node: Node) -> tuple[Tensor, Tensor]:
        """A field that no step reads: after each step, and after the last."""
        value = self._tensor(node).expand(self.shape)
        if field == self.cell.states[0] and self.weights.projection is not None:
            value = F.linear(value, self.weights.projection)
        if getattr(self._zoneout(), field) is not None:
            return self._scan([field], {}, [value])[field]
        return value, self._at_end(value, getattr(self.start, field))

    def _at_end(self, value: Tensor, start: Tensor) -> Tensor:
        """After the last step of each row; where it has none, what it began with."""
        lengths = self.conditions.lengths
        if self.alive is None or lengths is None:
            return value[0 if self.reverse else -1]
        lengths = lengths.to(value.device).view(1, -1, *[1] * (value.dim() - 2))
        place = torch.zeros_like(lengths) if self.reverse else (lengths - 1).clamp(min=0)
        return torch.where(lengths[0] > 0, value.gather(0, place.expand(1, *value.shape[1:]))[0], start)

    def _evaluate(self, nodes: Iterable[Node]) -> None:
        for node in ancestors(nodes, stop=set(self.values)):
            if node not in self.values:
                self.values[node] = self._value(node)

    def _value(self, node: Node) -> _Value:
        if node.op == "constant":
            return node.value
        if node.op == "leaf" and node.name is not None:
            return self._leaf(*node.name)
        if node.op == "product" and node.name is not None:
            return self._product(node.name[1], self._tensor(node.inputs[0]).expand(self.shape))
        inputs = [self.values[one] for one in node.inputs]
        if node.op in _OPERATORS:
            return _OPERATORS[node.op](*inputs)
        tensors = [one if isinstance(one, Tensor) else self.x.new_full((), one) for one in inputs]
        found: Tensor = getattr(torch, node.op)(*tensors)
        return found

    def _leaf(self, kind: str, word: str) -> _Value:
        cell, weights, gaps = self.cell, self.weights, self.conditions.gaps
        if kind == "x":
            whole = _Projection(len(cell.gates), weights.input, weights.input_bias, weights.input_gain)
            return self._projected(whole, cell.gates.index(word), self.x)
        if kind == "p":
            vector = weights.vectors[list(cell.vectors).index(word)]
            return vector.view(1, 1, -1, *[1] * self.spatial)
        return 1.0 if gaps is None else self._widen(gaps).to(self.x.dtype)

    def _product(self, gate: str, value: Tensor) -> Tensor:
        weights, gates, thin = self.weights, self.cell.recurrent_gates, self.conditions.dropout
        whole = _Projection(len(gates), weights.recurrent, weights.recurrent_bias, weights.recurrent_gain)
        return self._projected(whole, gates.index(gate), value if thin is None else value * thin)

    def _projected(self, whole: _Projection, gate: int, value: Tensor) -> Tensor:
        found: Tensor = whole.of_gates(gate, gate + 1)(value.flatten(0, 1)).unflatten(0, self.shape[:2])
        return found

    def _tensor(self, node: Node) -> Tensor:
        value = self.values[node]
        value = value if isinstance(value, Tensor) else self.x.new_full((), value)
        return value if value.dim() else value.view([1] * len(self.shape))

    def _widen(self, rows: Tensor) -> Tensor:
        return rows.view(*rows.shape, 1, *[1] * self.spatial)


def _kept(recurrence: _Recurrence, kept: Sequence[Tensor | float | None]) -> _Recurrence:
    """Where units stay as they were, or a share of each."""
    matrix, offsets = dict(recurrence[0]), list(recurrence[1])
    for row, share in enumerate(kept):
        if share is None:
            continue
        offsets[row] = _mixed(share, 0, offsets[row])
        for column in range(len(offsets)):
            if (row, column) in matrix or row == column:
                matrix[row, column] = _mixed(
                    share, row == column, matrix.get((row, column), offsets[row].new_zeros([1] * offsets[row].dim()))
                )
    return matrix, offsets


def _mixed(share: Tensor | float, one: float, other: Tensor) -> Tensor:
    return other + share * (one - other) if isinstance(share, float) else torch.where(share, one, other)


def _begun_anew(recurrence: _Recurrence, anew: Tensor, restart: Sequence[Tensor]) -> _Recurrence:
    matrix, offsets = recurrence
    begun = _stepped(recurrence, restart)
    return (
        {place: torch.where(anew, 0, part) for place, part in matrix.items()},
        [torch.where(anew, new, old) for new, old in zip(begun, offsets, strict=True)],
    )


def _stepped(recurrence: _Recurrence, before: Sequence[Tensor]) -> list[Tensor]:
    """A s + b."""
    matrix, offsets = recurrence
    after = list(offsets)
    for (row, column), part in matrix.items():
        after[row] = after[row] + part * before[column]
    return after


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
