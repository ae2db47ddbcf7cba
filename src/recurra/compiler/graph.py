"""A graph of values: what equations become when they are traced, and what their derivatives are written in.

A node is one value per row and unit. Equal nodes are one node (common subexpressions), constants are folded, and what
adds nothing (x + 0, 1 * x) is left out as the graph grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

__all__ = ["CONDITIONS", "FUNCTIONS", "Graph", "Node", "ancestors"]

FUNCTIONS = ("sigmoid", "tanh", "relu", "exp", "expm1", "log", "sqrt", "sin", "cos", "maximum", "logaddexp", "where")
"""Those that equations may call, by torch's names of them."""

CONDITIONS = ("eq", "ne", "gt", "ge", "lt", "le")
"""Those whose value is true or false."""


class Node:
    """One value: an operation on others; or a leaf, which is named, or a constant.

    op: "leaf", "constant", "product", an operator, or one of FUNCTIONS or CONDITIONS.
    name: of a leaf, (kind, word), as in ("x", "i"); of a product, what it is a product with.
    value: of a constant.
    """

    __slots__ = ("inputs", "name", "number", "op", "value")

    def __init__(self, op: str, inputs: tuple[Node, ...], name: tuple[str, str] | None, value: float, number: int):
        self.op, self.inputs, self.name, self.value, self.number = op, inputs, name, value, number

    def __repr__(self) -> str:
        if self.op == "constant":
            return repr(self.value)
        if self.name is not None and not self.inputs:
            return ".".join(self.name)
        return f"{self.op}({', '.join(map(repr, self.inputs))})"

    def is_constant(self, value: float | None = None) -> bool:
        """Whether it is a constant, of that value if one is given."""
        return self.op == "constant" and (value is None or self.value == value)


class Graph:
    """Makes nodes, each only once; nodes are numbered in an order in which every one comes after its inputs."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Node] = {}

    def leaf(self, kind: str, word: str) -> Node:
        """The value of that name."""
        return self._make("leaf", (), (kind, word))

    def constant(self, value: float) -> Node:
        """That number."""
        return self._make("constant", (), None, float(value))

    def product(self, name: tuple[str, str], *inputs: Node) -> Node:
        """What multiplying by a matrix makes of values: known only when they are, of a whole row."""
        return self._make("product", inputs, name)

    def apply(self, op: str, *inputs: Node) -> Node:
        """That operation on those values."""
        simpler = self._simplified(op, inputs)
        return self._make(op, inputs) if simpler is None else simpler

    def add(self, one: Node, other: Node) -> Node:
        """one + other."""
        return self.apply("add", one, other)

    def multiply(self, one: Node, other: Node) -> Node:
        """one * other."""
        return self.apply("mul", one, other)

    def rebuild(self, roots: Iterable[Node], replaced: dict[Node, Node]) -> dict[Node, Node]:
        """The nodes that `roots` are made of, with some of them replaced: what each has become."""
        found = dict(replaced)
        for node in ancestors(roots, stop=set(replaced)):
            if node not in found:
                inputs = tuple(found[one] for one in node.inputs)
                if node.op == "product" and node.name is not None:
                    found[node] = self.product(node.name, *inputs)
                else:
                    found[node] = self.apply(node.op, *inputs) if inputs else node
        return found

    def _make(self, op: str, inputs: tuple[Node, ...], name: tuple[str, str] | None = None, value: float = 0.0) -> Node:
        if op in ("add", "mul", "maximum", "logaddexp", "eq", "ne"):  # the order does not matter
            inputs = tuple(sorted(inputs, key=lambda node: node.number))
        key = (op, tuple(node.number for node in inputs), name, value, math.copysign(1.0, value))
        if key not in self._known:
            self._known[key] = Node(op, inputs, name, value, len(self._known))
        return self._known[key]

    def _simplified(self, op: str, inputs: tuple[Node, ...]) -> Node | None:
        if all(node.is_constant() for node in inputs):
            return self._folded(op, [node.value for node in inputs])
        match op:
            case "add":
                one, other = inputs
                if one.is_constant(0) or other.is_constant(0):
                    return other if one.is_constant(0) else one
                if other.op == "neg" or one.op == "neg":
                    one, other = (one, other) if other.op == "neg" else (other, one)
                    return self.apply("sub", one, other.inputs[0])
            case "sub":
                one, other = inputs
                if one.is_constant(0) or other.is_constant(0):
                    return self.apply("neg", other) if one.is_constant(0) else one
                if other.op == "neg":
                    return self.apply("add", one, other.inputs[0])
            case "mul":
                return self._simplified_product(*inputs)
            case "div":
                if inputs[1].is_constant():
                    divisor = inputs[1].value
                    if divisor == 1 or math.frexp(divisor)[0] == 0.5:  # a power of two divides as it multiplies
                        return self.multiply(inputs[0], self.constant(1 / divisor))
            case "neg":
                if inputs[0].op == "neg":
                    return inputs[0].inputs[0]
            case "where":
                if inputs[1] is inputs[2]:
                    return inputs[1]
        return None

    def _simplified_product(self, one: Node, other: Node) -> Node | None:
        for factor, rest in ((one, other), (other, one)):
            if factor.is_constant(0):
                return factor
            if factor.is_constant(1):
                return rest
            if factor.is_constant(-1):
                return self.apply("neg", rest)
            if factor.op == "neg":
                return self.apply("neg", self.multiply(factor.inputs[0], rest))
        return None

    def _folded(self, op: str, values: list[float]) -> Node | None:
        if op not in _FOLDED:
            return None
        try:
            return self.constant(_FOLDED[op](*values))
        except (ArithmeticError, ValueError):
            return None


def ancestors(roots: Iterable[Node], stop: set[Node] | None = None) -> Iterator[Node]:
    """All nodes that `roots` are made of, themselves among them, each after its inputs; none behind those of `stop`."""
    found: set[Node] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            if stop is None or node not in stop:
                waiting.extend(node.inputs)
    return iter(sorted(found, key=lambda node: node.number))


_FOLDED: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "sin": math.sin,
    "cos": math.cos,
}
