"""Reverse mode: the derivative of a graph, as a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from recurra.compiler.graph import CONDITIONS, Graph, Node, ancestors

__all__ = ["differentiate"]

_Rule = Callable[[Graph, Node, Node], tuple[Node, ...]]


def differentiate(graph: Graph, gradients: Mapping[Node, Node]) -> dict[Node, Node]:
    """The gradient of each node that `gradients`, those of the results, reach.

    What products owe to their operands is known only when their own gradients are, of a whole row: it is a product
    too, ("back", the products' words), of the gradients of all products of one operand.
    """
    found: dict[Node, list[Node]] = {node: [gradient] for node, gradient in gradients.items()}
    totals: dict[Node, Node] = {}
    nodes = list(ancestors(gradients))
    products = _by_operand(nodes)
    for node in reversed(nodes):
        if node in products:  # every product of it comes later in the graph, so their gradients are known
            pairs = [(one, totals[one]) for one in products[node] if one in totals]
            if pairs:
                words = ",".join(one.name[1] for one, _ in pairs if one.name)
                back = graph.product(("back", words), *(gradient for _, gradient in pairs))
                found.setdefault(node, []).append(back)
        if node not in found:
            continue
        total = _sum(graph, found[node])
        totals[node] = total
        if total.is_constant(0) or node.op in ("leaf", "constant", "product") or node.op in CONDITIONS:
            continue
        for one, gradient in zip(node.inputs, _RULES[node.op](graph, node, total), strict=True):
            if not gradient.is_constant(0):
                found.setdefault(one, []).append(gradient)
    return totals


def _by_operand(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    products: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.op == "product":
            products.setdefault(node.inputs[0], []).append(node)
    return products


def _sum(graph: Graph, parts: list[Node]) -> Node:
    total = parts[0]
    for part in parts[1:]:
        total = graph.add(total, part)
    return total


def _of_sum(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return gradient, gradient


def _of_difference(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return gradient, graph.apply("neg", gradient)


def _of_product(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    one, other = node.inputs
    return graph.multiply(gradient, other), graph.multiply(gradient, one)


def _of_quotient(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    upper = graph.apply("div", gradient, node.inputs[1])
    return upper, graph.apply("neg", graph.multiply(upper, node))


def _of_negative(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return (graph.apply("neg", gradient),)


def _of_sigmoid(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    slope = graph.multiply(node, graph.apply("sub", graph.constant(1), node))
    return (graph.multiply(gradient, slope),)


def _of_tanh(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    slope = graph.apply("sub", graph.constant(1), graph.multiply(node, node))
    return (graph.multiply(gradient, slope),)


def _of_relu(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    zero = graph.constant(0)
    return (graph.apply("where", graph.apply("gt", node, zero), gradient, zero),)


def _of_exp(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return (graph.multiply(gradient, node),)


def _of_expm1(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return (graph.multiply(gradient, graph.add(node, graph.constant(1))),)


def _of_log(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return (graph.apply("div", gradient, node.inputs[0]),)


def _of_sqrt(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return (graph.apply("div", gradient, graph.multiply(graph.constant(2), node)),)


def _of_sin(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return (graph.multiply(gradient, graph.apply("cos", node.inputs[0])),)


def _of_cos(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    return (graph.apply("neg", graph.multiply(gradient, graph.apply("sin", node.inputs[0]))),)


def _of_maximum(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    """Where both are equal, half to each, as torch has it."""
    one, other = node.inputs
    half = graph.multiply(graph.constant(0.5), gradient)
    shared = graph.apply("where", graph.apply("eq", one, other), half, graph.constant(0))
    ahead, behind = graph.apply("gt", one, other), graph.apply("gt", other, one)
    return graph.apply("where", ahead, gradient, shared), graph.apply("where", behind, gradient, shared)


def _of_logaddexp(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    one, other = node.inputs
    share = graph.apply("sigmoid", graph.apply("sub", one, other))
    rest = graph.apply("sigmoid", graph.apply("sub", other, one))
    return graph.multiply(gradient, share), graph.multiply(gradient, rest)


def _of_where(graph: Graph, node: Node, gradient: Node) -> tuple[Node, ...]:
    condition, zero = node.inputs[0], graph.constant(0)
    return zero, graph.apply("where", condition, gradient, zero), graph.apply("where", condition, zero, gradient)


_RULES: dict[str, _Rule] = {
    "add": _of_sum,
    "sub": _of_difference,
    "mul": _of_product,
    "div": _of_quotient,
    "neg": _of_negative,
    "sigmoid": _of_sigmoid,
    "tanh": _of_tanh,
    "relu": _of_relu,
    "exp": _of_exp,
    "expm1": _of_expm1,
    "log": _of_log,
    "sqrt": _of_sqrt,
    "sin": _of_sin,
    "cos": _of_cos,
    "maximum": _of_maximum,
    "logaddexp": _of_logaddexp,
    "where": _of_where,
}
