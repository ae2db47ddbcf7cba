"""Recurrences that are linear in their state, found by differentiating their equations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from recurra.cells import Cell
from recurra.compiler.derivative import differentiate
from recurra.compiler.graph import CONDITIONS, Node, ancestors
from recurra.compiler.trace import trace

__all__ = ["LinearForm", "NotLinear", "linear_form"]


class NotLinear(Exception):  # noqa: N818 - it says what the equations are
    """The equations are not linear in their state; the message says why."""


class LinearForm(NamedTuple):
    """One step, s' = A s + b for the fields of the state that a step reads, and the others as they follow from it.

    In words and numbers alone, so that torch.compile can follow it; values are named by their places among operations.

    memory: the fields that a step reads, in the cell's order.
    matrix: (row, column, place) of what A is not 0 at, rows and columns as in `memory`.
    offsets: places of b, for each of `memory`.
    outputs: the fields that no step reads, each with its place.
    operations: (operator or function, places of its inputs, the two words of a name, value of a constant), each after
        its inputs. Leaves are named as in a trace, and ("after", field) is a field of the memory after the step.
    """

    memory: tuple[str, ...]
    matrix: tuple[tuple[int, int, int], ...]
    offsets: tuple[int, ...]
    outputs: tuple[tuple[str, int], ...]
    operations: tuple[tuple[str, tuple[int, ...], tuple[str, str], float], ...]


@cache
def linear_form(cell: Cell) -> LinearForm:
    """The linear form of a cell's equations. A and b are free of the state, which their derivative tells.

    Raises NotLinear where there is none, Untraceable where the equations are no graph.
    """
    graph, after = trace(cell)
    known = set(ancestors(after))
    if graph.leaf("h", "operand") in known:
        raise NotLinear("a recurrent product reads the output of the step before, which mixes its units")
    before = {state: graph.leaf("s", state) for state in cell.states if graph.leaf("s", state) in known}
    steps = dict(zip(cell.states, after, strict=True))
    depends = _depending(after, before.values())
    matrix: dict[tuple[int, int], Node] = {}
    for row, state in enumerate(before):
        _check(state, steps[state], depends)
        slopes = differentiate(graph, {steps[state]: graph.constant(1)})
        for column, leaf in enumerate(before.values()):
            slope = slopes.get(leaf, graph.constant(0))
            if any(node in depends for node in ancestors([slope])):
                raise NotLinear(f"{state} is not linear in the state of the step before")
            if not slope.is_constant(0):
                matrix[row, column] = slope
    bare = graph.rebuild([steps[state] for state in before], dict.fromkeys(before.values(), graph.constant(0)))
    outputs = {state: node for state, node in steps.items() if state not in before}
    shown = graph.rebuild(outputs.values(), {steps[state]: graph.leaf("after", state) for state in before})
    offsets, outputs = [bare[steps[state]] for state in before], {state: shown[one] for state, one in outputs.items()}
    nodes = list(ancestors([*matrix.values(), *offsets, *outputs.values()]))
    places = {node: place for place, node in enumerate(nodes)}
    return LinearForm(
        tuple(before),
        tuple((row, column, places[node]) for (row, column), node in matrix.items()),
        tuple(places[node] for node in offsets),
        tuple((state, places[node]) for state, node in outputs.items()),
        tuple((one.op, tuple(map(places.__getitem__, one.inputs)), one.name or ("", ""), one.value) for one in nodes),
    )


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
            raise NotLinear(f"the product u.{node.name[1]} mixes units of the state on its way to {state}")
        if node in depends and node.op in CONDITIONS:
            raise NotLinear(f"{state} depends on a condition of the state of the step before")
