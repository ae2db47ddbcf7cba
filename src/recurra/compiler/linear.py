"""Recurrences that are linear in their state, found by differentiating their equations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from recurra.cells import Cell
from recurra.compiler.derivative import differentiate
from recurra.compiler.graph import CONDITIONS, Graph, Node, ancestors
from recurra.compiler.trace import trace

__all__ = ["LinearForm", "NotLinear", "linear_form"]


class NotLinear(Exception):  # noqa: N818 - it says what the equations are
    """The equations are not linear in their state; the message says why."""


class LinearForm(NamedTuple):
    """One step, s' = A s + b for the fields of the state that the next step reads, and all others after it.

    memory: the fields that a step reads, in the cell's order.
    matrix: A by (row, column), both places in `memory`; what is missing is 0. Free of the state.
    offsets: b, one for each of `memory`; likewise.
    outputs: the fields that no step reads; ("s", field) is the memory before the step in them, ("after", field) the
        memory after it.
    """

    memory: tuple[str, ...]
    matrix: Mapping[tuple[int, int], Node]
    offsets: tuple[Node, ...]
    outputs: Mapping[str, Node]


@cache
def linear_form(cell: Cell) -> LinearForm:
    """The linear form of a cell's equations.

    Raises NotLinear where there is none, Untraceable where the equations are no graph.
    """
    graph, after = trace(cell)
    nodes = set(ancestors(after))
    if graph.leaf("h", "operand") in nodes:
        raise NotLinear("a recurrent product reads the output of the step before, which mixes units in a matrix")
    memory = tuple(state for state in cell.states if graph.leaf("s", state) in nodes)
    before = {graph.leaf("s", state): state for state in memory}
    steps = dict(zip(cell.states, after, strict=True))
    depends = _depending(after, before)
    matrix: dict[tuple[int, int], Node] = {}
    for row, state in enumerate(memory):
        _check(state, steps[state], depends)
        slopes = differentiate(graph, {steps[state]: graph.constant(1)})
        for column, (leaf, other) in enumerate(before.items()):
            slope = slopes.get(leaf, graph.constant(0))
            if any(node in before for node in ancestors([slope])):
                raise NotLinear(f"the derivative of {state} after a step by {other} before it depends on the state")
            if not slope.is_constant(0):
                matrix[row, column] = slope
    offsets = _without_state(graph, [steps[state] for state in memory], before)
    shown = {steps[state]: graph.leaf("after", state) for state in memory}
    outputs = {state: node for state, node in steps.items() if state not in memory}
    again = graph.rebuild(outputs.values(), shown)
    return LinearForm(memory, matrix, offsets, {state: again[node] for state, node in outputs.items()})


def _depending(after: Iterable[Node], before: Iterable[Node]) -> set[Node]:
    """The nodes that depend on the state before the step."""
    found = set(before)
    for node in ancestors(after):
        if any(one in found for one in node.inputs):
            found.add(node)
    return found


def _check(state: str, after: Node, depends: set[Node]) -> None:
    """Raise NotLinear for what a derivative alone does not show."""
    for node in ancestors([after]):
        if node in depends and node.op == "product" and node.name:
            raise NotLinear(f"{state} depends on the state through the product u.{node.name[1]}, which mixes units")
        if node in depends and node.op in CONDITIONS:
            raise NotLinear(f"{state} depends on a condition of the state")


def _without_state(graph: Graph, after: list[Node], before: Iterable[Node]) -> tuple[Node, ...]:
    """What a step makes of a state of zeros."""
    again = graph.rebuild(after, dict.fromkeys(before, graph.constant(0)))
    return tuple(again[node] for node in after)
