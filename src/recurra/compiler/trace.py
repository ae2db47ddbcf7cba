"""Runs the equations of a cell on symbols, which write down what is done to them."""

from __future__ import annotations

import linecache
import sys
import traceback
from functools import partial
from types import CodeType
from typing import Any, NamedTuple

from torch.utils import _pytree as pytree

from recurra.cells import Cell, State
from recurra.compiler.graph import CONDITIONS, FUNCTIONS, Graph, Node

__all__ = ["Equations", "Untraceable", "trace"]


class Untraceable(Exception):  # noqa: N818 - it says what the equations are
    """The equations are no graph; the message names the line, and why."""


class Equations(NamedTuple):
    """One step as a graph.

    Leaves are named ("x", gate), ("s", state), ("p", vector), ("row", "gap") and ("h", "operand"), what recurrent
    projections read; those are products named ("u", gate).
    """

    graph: Graph
    after: tuple[Node, ...]
    """The state after the step, field by field."""


def trace(cell: Cell) -> Equations:
    """The equations of a cell as a graph.

    Raises Untraceable where they do what no graph can: branch on values, ask for a shape, call a function that is not
    of `recurra.cells`.
    """
    graph = Graph()
    tracer = _Tracer(graph, cell)
    first = len(cell.recurrent_gates) - len(cell.second)
    operand = graph.leaf("h", "operand")
    again: list[Any] = [tracer.symbol(graph.product(("u", gate), operand)) for gate in cell.recurrent_gates[:first]]
    again += [partial(tracer.project, gate) for gate in cell.second]
    inputs = [tracer.symbol(graph.leaf("x", gate)) for gate in cell.gates]
    if cell.reads_gaps:
        inputs.append(tracer.symbol(graph.leaf("row", "gap")))
    terms = [
        cell.by_gate(inputs),
        cell.by_recurrent_gate(again),
        cell.by_state(tracer.symbol(graph.leaf("s", state)) for state in cell.states),
    ]
    if cell.vectors:
        terms.append(cell.by_vector(tracer.symbol(graph.leaf("p", vector)) for vector in cell.vectors))
    try:
        after = cell.step(*terms)
    except Untraceable:
        raise
    except Exception as error:
        last = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == tracer.code.co_filename
        ]
        line = f"line {last[-1].lineno}, '{last[-1].line}'" if last else "its step"
        raise Untraceable(f"{line}: {type(error).__name__}: {error}") from error
    if not isinstance(after, State) or set(after._fields) != set(cell.states):
        found = f"State({', '.join(after._fields)})" if isinstance(after, State) else type(after).__name__
        raise Untraceable(f"step returned {found}, and not State({', '.join(f'{state}=...' for state in cell.states)})")
    tracer.returned = True
    return Equations(graph, tuple(tracer.read(getattr(after, state), f"state {state}") for state in cell.states))


class _Tracer:
    """What symbols share: the graph that they write, and the code that they are used in."""

    def __init__(self, graph: Graph, cell: Cell) -> None:
        self.graph = graph
        self.code: CodeType = _code_of(cell)
        self.returned = False
        """Whether the equations have run, and no line of theirs is to blame."""
        self.given: dict[str, Node] = {}  # to further projections

    def symbol(self, node: Node) -> _Symbol:
        return _Symbol(self, node)

    def project(self, gate: str, value: Any) -> _Symbol:
        """u.gate(value)."""
        node = self.read(value, f"what u.{gate} is given")
        if self.given.setdefault(gate, node) is not node:
            raise self.refused(f"u.{gate} is given a second value; its weights multiply one in a step")
        return self.symbol(self.graph.product(("u", gate), node))

    def read(self, value: Any, what: str = "a term") -> Node:
        """The node of a symbol, or of a number."""
        if isinstance(value, _Symbol):
            if value.node.op in CONDITIONS:
                raise self.refused(f"{what} is a condition; use where(condition, one, other)")
            return value.node
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self.graph.constant(value)
        raise self.refused(f"{what} is {type(value).__name__}; expected numbers and what is made of x, u and s")

    def apply(self, op: str, *values: Any) -> _Symbol:
        return self.symbol(self.graph.apply(op, *(self.read(value) for value in values)))

    def refused(self, why: str) -> Untraceable:
        """The error for what the equations do now, with their line."""
        frame = sys._getframe(1)
        while frame is not None and not self.returned:
            if frame.f_code.co_filename == self.code.co_filename and "recurra/compiler" not in frame.f_code.co_filename:
                line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
                return Untraceable(f"line {frame.f_lineno}, '{line}': {why}")
            if frame.f_back is None:
                break
            frame = frame.f_back
        return Untraceable(why)


class _Symbol:
    """A value that is not known yet."""

    __slots__ = ("_tracer", "node")
    __hash__ = None  # type: ignore[assignment]  # == makes a condition

    def __init__(self, tracer: _Tracer, node: Node) -> None:
        self._tracer, self.node = tracer, node

    def __add__(self, other: Any) -> _Symbol:
        return self._tracer.apply("add", self, other)

    def __radd__(self, other: Any) -> _Symbol:
        return self._tracer.apply("add", other, self)

    def __sub__(self, other: Any) -> _Symbol:
        return self._tracer.apply("sub", self, other)

    def __rsub__(self, other: Any) -> _Symbol:
        return self._tracer.apply("sub", other, self)

    def __mul__(self, other: Any) -> _Symbol:
        return self._tracer.apply("mul", self, other)

    def __rmul__(self, other: Any) -> _Symbol:
        return self._tracer.apply("mul", other, self)

    def __truediv__(self, other: Any) -> _Symbol:
        return self._tracer.apply("div", self, other)

    def __rtruediv__(self, other: Any) -> _Symbol:
        return self._tracer.apply("div", other, self)

    def __neg__(self) -> _Symbol:
        return self._tracer.apply("neg", self)

    def __pos__(self) -> _Symbol:
        return self

    def __pow__(self, power: Any) -> _Symbol:
        if not isinstance(power, int) or power < 1:
            raise self._tracer.refused(f"the power {power!r} is not a whole number above 0")
        raised = self
        for _ in range(power - 1):
            raised = raised * self
        return raised

    def __eq__(self, other: Any) -> _Symbol:  # type: ignore[override]  # as a tensor's
        return self._tracer.apply("eq", self, other)

    def __ne__(self, other: Any) -> _Symbol:  # type: ignore[override]
        return self._tracer.apply("ne", self, other)

    def __gt__(self, other: Any) -> _Symbol:
        return self._tracer.apply("gt", self, other)

    def __ge__(self, other: Any) -> _Symbol:
        return self._tracer.apply("ge", self, other)

    def __lt__(self, other: Any) -> _Symbol:
        return self._tracer.apply("lt", self, other)

    def __le__(self, other: Any) -> _Symbol:
        return self._tracer.apply("le", self, other)

    def where(self, condition: Any, other: Any) -> _Symbol:
        """self where the condition holds, else other."""
        if not isinstance(condition, _Symbol) or condition.node.op not in CONDITIONS:
            raise self._tracer.refused("where was given no condition, such as is_zero(value) or value > 0")
        tracer = self._tracer
        one, last = tracer.read(self), tracer.read(other)
        return tracer.symbol(tracer.graph.apply("where", condition.node, one, last))

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, arguments: Any = (), named: Any = None) -> _Symbol:
        """torch.tanh(value) and the like mean what value.tanh() does."""
        leaves = pytree.tree_leaves((arguments, named))
        symbol = next(value for value in leaves if isinstance(value, _Symbol))
        name = getattr(function, "__name__", str(function))
        if named or name not in (*FUNCTIONS, *CONDITIONS, *_OPERATORS):
            raise symbol._tracer.refused(f"torch.{name} is no function of recurra.cells")
        if name == "where":
            condition, one, other = arguments
            return symbol._tracer.symbol(symbol._tracer.read(one)).where(condition, other)
        return symbol._tracer.apply(name, *arguments)

    def __bool__(self) -> bool:
        raise self._tracer.refused(
            "a branch on values, which differ from unit to unit; use where(condition, one, other)"
        )

    def __iter__(self) -> Any:
        raise self._tracer.refused("a value has no parts: it stands for one number of each row and unit")

    def __getattr__(self, name: str) -> Any:
        if name in FUNCTIONS or name in CONDITIONS:
            return partial(self._tracer.apply, name, self)
        if name.startswith("__"):  # asked for by Python and its libraries
            raise AttributeError(name)
        raise self._tracer.refused(f"{name!r} is no function of recurra.cells")


_OPERATORS = ("add", "sub", "mul", "div", "neg")


def _code_of(cell: Cell) -> CodeType:
    step = cell.step
    code: CodeType = getattr(step, "__func__", step).__code__
    return code
