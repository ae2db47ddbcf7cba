"""One step of a recurrence as it is compiled: its columns, its stages, its derivative and what is kept for that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from recurra.cells import Cell
from recurra.compiler.derivative import differentiate
from recurra.compiler.forms import Form, shaped
from recurra.compiler.graph import Graph, Node, ancestors
from recurra.compiler.stages import stage_of
from recurra.compiler.taping import choose_kept

__all__ = ["Column", "Program", "make_program"]


class Column(NamedTuple):
    """One number per unit that a product gives, of a gate's weights.

    node: what stands for it in the equations.
    input_gate, recurrent_gate: which rows of weight_ih and weight_hh; None where it reads no x or no output.
    operand: what it is a product of: 0, x and the output before; 1, 2, ...: what the equations compute on their way.
    """

    node: Node
    input_gate: int | None
    recurrent_gate: int | None
    operand: int


class Program(NamedTuple):
    """What the emitter writes down.

    forward: the state after the step, field by field; with a projection, the output before it.
    columns: those of x alone, of x and the output, of the output alone; then those of further operands.
    operands: the further ones, in the order of their columns.
    vectors: what enters unit by unit, made of parameters alone: computed once, not at each step.
    kept: values on the tape; the way back names them ("tape", number), and the output after the step ("after", state).
    gradients: of each column. before: of each field of the state before, None where it owes nothing itself.
    operands_again, full_again: values that products' gradients need on the way back.
    """

    cell: Cell
    form: Form
    forward: tuple[Node, ...]
    columns: tuple[Column, ...]
    operands: tuple[Node, ...]
    vectors: tuple[Node, ...]
    kept: tuple[Node, ...]
    gradients: tuple[Node, ...]
    before: tuple[Node | None, ...]
    vector_gradients: tuple[Node, ...]
    operands_again: tuple[Node, ...]
    full_again: Node | None

    @property
    def first_columns(self) -> int:
        """Columns that are known at the beginning of a step."""
        return sum(column.operand == 0 for column in self.columns)

    @property
    def reads_input(self) -> int:
        """The first so many columns read x."""
        return sum(column.input_gate is not None for column in self.columns)

    @property
    def reads_output(self) -> tuple[int, int]:
        """The first of the columns that read the output before, and how many they are."""
        places = [i for i, c in enumerate(self.columns) if c.operand == 0 and c.recurrent_gate is not None]
        return (places[0], len(places)) if places else (0, 0)

    def columns_of(self, operand: int) -> tuple[int, int]:
        """The first column of a further operand, from 0, and how many it has."""
        places = [i for i, column in enumerate(self.columns) if column.operand == operand + 1]
        return places[0], len(places)


@cache
def make_program(cell: Cell, form: Form = Form()) -> Program:  # noqa: B008 - a tuple
    """The program of a cell in a form.

    Raises Untraceable where the equations or the form cannot be compiled.
    """
    graph, forward, vectors = shaped(cell, form)
    operands = _operands(forward)
    columns = _columns(cell, forward, operands)
    totals = differentiate(graph, _seeds(graph, cell, forward))
    zero = graph.constant(0)
    gradients = [totals.get(column.node, zero) for column in columns]
    before = [totals.get(graph.leaf("s", state)) for state in cell.states]
    vector_gradients = [totals.get(graph.leaf("vector", str(place)), zero) for place in range(len(vectors))]
    full = forward[0] if form.projected else None
    wanted = [*gradients, *(one for one in before if one), *vector_gradients, *operands, *([full] if full else [])]
    normal = [column.node for column in columns] if form.layer_norm else []
    kept = _kept(cell, form, forward, wanted, normal)
    at_hand = {node: graph.leaf("tape", str(place)) for place, node in enumerate(kept)}
    if not form.projected and forward[0].op != "constant":
        at_hand.setdefault(forward[0], graph.leaf("after", cell.states[0]))
    again = graph.rebuild(wanted, at_hand)
    return Program(
        cell,
        form,
        tuple(forward),
        tuple(columns),
        tuple(operands),
        tuple(vectors),
        tuple(kept),
        tuple(again[node] for node in gradients),
        tuple(again[node] if node and not node.is_constant(0) else None for node in before),
        tuple(again[node] for node in vector_gradients),
        tuple(again[node] for node in operands),
        again[full] if full else None,
    )


def _operands(forward: Sequence[Node]) -> list[Node]:
    """What further products are of, in the order in which they are known."""
    found = list(dict.fromkeys(node.inputs[0] for node in ancestors(forward) if node.op == "product"))
    stages = stage_of(forward)
    return sorted(found, key=lambda node: (stages[node], node.number))


def _columns(cell: Cell, forward: Iterable[Node], operands: list[Node]) -> list[Column]:
    found = []
    for node in ancestors(forward):
        if node.name is None or node.name[0] not in ("x", "u", "a"):
            continue
        kind, gate = node.name
        found.append(
            Column(
                node,
                cell.gates.index(gate) if kind in ("x", "a") else None,
                cell.recurrent_gates.index(gate) if kind in ("u", "a") else None,
                operands.index(node.inputs[0]) + 1 if node.inputs else 0,
            )
        )

    def order(column: Column) -> tuple[int, int, int]:
        kind = "xau".index(column.node.name[0]) if column.node.name else 0
        gate = column.input_gate if column.input_gate is not None else column.recurrent_gate
        return column.operand, kind, gate or 0

    return sorted(found, key=order)


def _seeds(graph: Graph, cell: Cell, forward: Iterable[Node]) -> dict[Node, Node]:
    """The gradients of the results; one result may stand in two fields."""
    seeds: dict[Node, Node] = {}
    for state, node in zip(cell.states, forward, strict=True):
        gradient = graph.leaf("d", state)
        seeds[node] = graph.add(seeds[node], gradient) if node in seeds else gradient
    return seeds


def _kept(cell: Cell, form: Form, forward: Iterable[Node], wanted: Iterable[Node], normal: list[Node]) -> list[Node]:
    known = set(ancestors(forward))
    needed = {node for node in ancestors(wanted, stop=known) if node in known}
    shown = None if form.projected else next(iter(forward))

    def is_free(node: Node) -> bool:
        if node is shown:
            return True
        kind, word = node.name or ("", "")
        return kind in ("vector", "row", "thin", "kept") or (
            node.op == "leaf" and kind == "s" and word == cell.states[0]
        )

    return choose_kept(needed, is_free=is_free, must_keep=normal)
