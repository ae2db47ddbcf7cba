"""What the way forward keeps for the way back, and what is computed again there: whichever costs less.

Every value that the derivative needs is either kept on the tape, which costs memory traffic, or computed again, which
costs its operation and needs its inputs, kept or computed again likewise. The cheapest choice for all together is a
minimal cut of a network (each implication an edge that cannot be cut), found by scipy's maximum flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from recurra.compiler.graph import CONDITIONS, Node, ancestors

__all__ = ["choose_kept", "costs_of"]

# In the time of an addition. To write and read a number costs more than it seems: the tape is as long as the sequence.
_KEEP = 20
_COSTS = {
    "div": 8,
    "sqrt": 8,
    "sigmoid": 14,
    "tanh": 14,
    "exp": 14,
    "expm1": 18,
    "log": 18,
    "logaddexp": 36,
    "sin": 200,
    "cos": 200,
}
_NEVER = 1 << 20


def choose_kept(
    needed: Iterable[Node], *, is_free: Callable[[Node], bool], must_keep: Iterable[Node] = ()
) -> list[Node]:
    """The values to keep, in the order of the graph.

    needed: values that the way back reads.
    is_free: whether a value is at hand on the way back: a weight, a mask, an output.
    must_keep: values to keep whatever it costs.
    """
    needed, forced = set(needed), list(must_keep)
    at_hand = {node for node in ancestors([*needed, *forced]) if _at_hand(node, is_free)}
    values = [node for node in ancestors([*needed, *forced], stop=at_hand) if node not in at_hand]
    if not values:
        return []
    network = _Network(len(values))
    place = {node: index for index, node in enumerate(values)}
    for node, index in place.items():
        again = _cost_again(node)
        keep = _NEVER if node.op in CONDITIONS else _KEEP
        network.costs(index, keep)
        if node in needed or node in forced:
            network.must_have(index)
        if again is not None and node not in forced:
            network.saves(index, max(keep - again, 0))
            for one in node.inputs:
                if one in place:
                    network.implies(index, place[one])
    had, again_too = network.cheapest()
    return [node for node, index in place.items() if index in had and index not in again_too]


def costs_of() -> str:
    """The costs that the choice is made by, in words."""
    words = ", ".join(f"{op} {cost}" for op, cost in _COSTS.items())
    return f"to keep a number costs as much as {_KEEP} additions; {words}; others 1"


def _at_hand(node: Node, is_free: Callable[[Node], bool]) -> bool:
    return node.op == "constant" or is_free(node)


def _cost_again(node: Node) -> int | None:
    """Of computing it again; None for what only the way forward knows."""
    return None if node.op in ("leaf", "product") else _COSTS.get(node.op, 1)


class _Network:
    """Two choices a value: to have it, at a cost; and, having it, to compute it again, which saves some of that cost.

    Vertices: 0 the source, 1 the sink, then a pair for each value. What is on the source's side is chosen.
    """

    def __init__(self, values: int) -> None:
        self._size = 2 + 2 * values
        self._edges: dict[tuple[int, int], int] = {}

    def costs(self, value: int, cost: int) -> None:
        self._edge(self._have(value), 1, cost)

    def must_have(self, value: int) -> None:
        self._edge(0, self._have(value), 1 << 28)

    def saves(self, value: int, saving: int) -> None:
        self._edge(0, self._again(value), saving)
        self._edge(self._again(value), self._have(value), 1 << 28)

    def implies(self, value: int, other: int) -> None:
        """Computing the value again needs the other."""
        self._edge(self._again(value), self._have(other), 1 << 28)

    def cheapest(self) -> tuple[set[int], set[int]]:
        """The values to have, and those of them to compute again."""
        starts, ends = np.array(list(self._edges)).T
        capacity = csr_array(
            (np.array(list(self._edges.values()), np.int32), (starts, ends)), shape=(self._size, self._size)
        )
        flow = maximum_flow(capacity, 0, 1).flow
        residual = csr_array(capacity - flow)
        residual.eliminate_zeros()
        chosen = set(breadth_first_order(residual, 0, return_predecessors=False).tolist())
        values = range((self._size - 2) // 2)
        return {v for v in values if self._have(v) in chosen}, {v for v in values if self._again(v) in chosen}

    def _edge(self, start: int, end: int, capacity: int) -> None:
        self._edges[start, end] = capacity

    def _have(self, value: int) -> int:
        return 2 + 2 * value

    def _again(self, value: int) -> int:
        return 3 + 2 * value
