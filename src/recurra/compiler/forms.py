"""The options of a layer that are compiled in: each changes the graph of the equations before it is differentiated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from recurra.cells import Cell
from recurra.compiler.graph import CONDITIONS, Graph, Node, ancestors
from recurra.compiler.trace import Untraceable, trace

__all__ = ["Form", "shaped"]


class Form(NamedTuple):
    """layer_norm: every product is normalised over its units.
    thinned: what recurrent projections read is multiplied with a mask.
    zoneout: per field of the state, "drawn" (units that a mask names stay as they were), "share" (a share of each)
        or "".
    projected: the output is made smaller.
    """

    layer_norm: bool = False
    thinned: bool = False
    zoneout: tuple[str, ...] = ()
    projected: bool = False


class Shape(NamedTuple):
    """The equations in a form: the state after a step, and the vectors, made of parameters alone, that are in it."""

    graph: Graph
    after: tuple[Node, ...]
    vectors: tuple[Node, ...]


def shaped(cell: Cell, form: Form) -> Shape:
    """The equations of a cell, with the options of a form in them.

    Leaves are now also ("a", gate), x and u in one; ("thin", ""), ("kept", state); and ("vector", number).
    Raises Untraceable.
    """
    graph, after = trace(cell)
    output = cell.states[0]
    if form.projected:
        if graph.leaf("s", output) in set(ancestors(after)):
            raise Untraceable(f"the equations read s.{output} unit by unit, and a projected output has other units")
        if form.zoneout and form.zoneout[0]:
            raise Untraceable("zoneout of a projected output acts behind the projection")
        if form.thinned and cell.second:
            raise Untraceable("recurrent dropout acts on further products too, which a projected output is no part of")
    after = _Shaping(graph, form, after).result
    after = tuple(
        _zoned_out(graph, form, place, state, node)
        for place, (state, node) in enumerate(zip(cell.states, after, strict=True))
    )
    vectors = _vectors(after)
    replaced = {node: graph.leaf("vector", str(place)) for place, node in enumerate(vectors)}
    again = graph.rebuild(after, replaced)
    return Shape(graph, tuple(again[node] for node in after), tuple(vectors))


class _Shaping:
    """Products in their places: x and u of a gate as one where only their sum matters, or each normalised."""

    def __init__(self, graph: Graph, form: Form, after: tuple[Node, ...]) -> None:
        self.graph, self.form = graph, form
        nodes = list(ancestors(after))
        self.uses = Counter(one for node in nodes for one in node.inputs)
        self.uses.update(after)
        self.found: dict[Node, Node] = {}
        for node in nodes:
            self.found[node] = self._shape(node)
        self.result = tuple(self.found[node] for node in after)

    def _shape(self, node: Node) -> Node:
        graph = self.graph
        if node.op == "leaf":
            return self._normalised("ih", node) if node.name and node.name[0] == "x" else node
        if node.op == "constant":
            return node
        if node.op == "product" and node.name is not None:
            return self._normalised("hh", self._product(node.name, node.inputs[0]))
        if node.op == "add" and not self.form.layer_norm:
            return self._paired(node)
        return graph.apply(node.op, *(self.found[one] for one in node.inputs))

    def _product(self, name: tuple[str, str], operand: Node) -> Node:
        if operand.name == ("h", "operand"):
            return self.graph.leaf(*name)
        operand = self.found[operand]
        if self.form.thinned:
            operand = self.graph.multiply(operand, self.graph.leaf("thin", ""))
        return self.graph.product(name, operand)

    def _normalised(self, side: str, node: Node) -> Node:
        if not self.form.layer_norm or node.name is None:
            return node
        gate = node.name[1]
        gain, bias = self.graph.leaf("p", f"gain_{side}.{gate}"), self.graph.leaf("p", f"bias_{side}.{gate}")
        return self.graph.add(self.graph.multiply(gain, node), bias)

    def _paired(self, node: Node) -> Node:
        """A sum, whose terms x.g and u.g are one."""
        terms = list(self._terms(node))
        gates = {term.name[1]: term for term in terms if term.name and term.name[0] == "x" and self.uses[term] == 1}
        total: Node | None = None
        for term in [*terms]:
            known = (
                term.op == "product" and term.name and term.inputs[0].name == ("h", "operand") and self.uses[term] == 1
            )
            if known and term.name and term.name[1] in gates:
                pair = self.graph.leaf("a", term.name[1])
                total = pair if total is None else self.graph.add(total, pair)
                terms.remove(term)
                terms.remove(gates[term.name[1]])
        for term in terms:
            total = self.found[term] if total is None else self.graph.add(total, self.found[term])
        return total or node

    def _terms(self, node: Node) -> Iterable[Node]:
        for one in node.inputs:
            if one.op == "add" and self.uses[one] == 1:
                yield from self._terms(one)
            else:
                yield one


def _zoned_out(graph: Graph, form: Form, place: int, state: str, node: Node) -> Node:
    kind = form.zoneout[place] if form.zoneout else ""
    old = graph.leaf("s", state)
    if kind == "drawn":
        return graph.apply("where", graph.leaf("kept", state), old, node)
    if kind == "share":
        return graph.add(node, graph.multiply(graph.leaf("p", f"share.{state}"), graph.apply("sub", old, node)))
    return node


def _vectors(after: Iterable[Node]) -> list[Node]:
    """The largest parts that are made of parameters alone."""
    alone: dict[Node, bool] = {}
    found: dict[Node, None] = {}
    for node in ancestors(after):
        parts = [one for one in node.inputs if not one.is_constant()]
        alone[node] = (node.name or ("",))[0] == "p" or (bool(parts) and all(alone[one] for one in parts))
        if node.op == "product" or node.op in CONDITIONS:  # a vector holds numbers
            alone[node] = False
        if not alone[node]:
            found.update((one, None) for one in node.inputs if alone.get(one))
    found.update((node, None) for node in after if alone[node])
    return list(found)
