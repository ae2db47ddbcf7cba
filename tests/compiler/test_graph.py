"""Graphs of values: equal nodes are one, constants fold, and what adds nothing is left out."""

import itertools
import math

import pytest

from recurra.compiler.graph import Graph, ancestors


@pytest.fixture
def graph():
    return Graph()


@pytest.fixture
def leaves(graph):
    return [graph.leaf("x", word) for word in "abc"]


def test_equal_nodes_are_one_and_others_are_not(graph, leaves):
    a, b, _ = leaves
    assert graph.leaf("x", "a") is a
    assert graph.leaf("s", "a") is not a
    assert graph.apply("tanh", a) is graph.apply("tanh", a)
    assert graph.apply("tanh", a) is not graph.apply("tanh", b)
    assert graph.apply("sub", a, b) is not graph.apply("sub", b, a)
    assert graph.product(("u", "n"), a) is not graph.product(("u", "m"), a)


@pytest.mark.parametrize("op", ["add", "mul", "maximum", "logaddexp", "eq", "ne"])
def test_the_order_of_inputs_does_not_matter_where_it_does_not(graph, leaves, op):
    a, b, _ = leaves
    assert graph.apply(op, a, b) is graph.apply(op, b, a)


@pytest.mark.parametrize("op", ["sub", "div", "gt", "ge", "lt", "le"])
def test_the_order_of_inputs_matters_where_it_does(graph, leaves, op):
    a, b, _ = leaves
    assert graph.apply(op, a, b).inputs == (a, b)
    assert graph.apply(op, b, a).inputs == (b, a)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda g, a, b: g.add(a, g.constant(0)), "x.a"),
        (lambda g, a, b: g.add(g.constant(0), a), "x.a"),
        (lambda g, a, b: g.apply("sub", a, g.constant(0)), "x.a"),
        (lambda g, a, b: g.apply("sub", g.constant(0), a), "neg(x.a)"),
        (lambda g, a, b: g.multiply(a, g.constant(1)), "x.a"),
        (lambda g, a, b: g.multiply(g.constant(-1), a), "neg(x.a)"),
        (lambda g, a, b: g.multiply(a, g.constant(0)), "0.0"),
        (lambda g, a, b: g.apply("neg", g.apply("neg", a)), "x.a"),
        (lambda g, a, b: g.add(a, g.apply("neg", b)), "sub(x.a, x.b)"),
        (lambda g, a, b: g.add(g.apply("neg", a), b), "sub(x.b, x.a)"),
        (lambda g, a, b: g.add(g.apply("neg", a), g.apply("neg", b)), "sub(neg(x.a), x.b)"),
        (lambda g, a, b: g.apply("sub", a, g.apply("neg", b)), "add(x.a, x.b)"),
        (lambda g, a, b: g.multiply(g.apply("neg", a), b), "neg(mul(x.a, x.b))"),
        (lambda g, a, b: g.multiply(g.apply("neg", a), g.apply("neg", b)), "mul(x.a, x.b)"),
        (lambda g, a, b: g.apply("div", a, g.constant(1)), "x.a"),
        (lambda g, a, b: g.apply("div", a, g.constant(4)), "mul(x.a, 0.25)"),
        (lambda g, a, b: g.apply("div", a, g.constant(3)), "div(x.a, 3.0)"),
        (lambda g, a, b: g.apply("where", g.apply("gt", a, b), a, a), "x.a"),
    ],
)
def test_what_adds_nothing_is_left_out(graph, leaves, build, expected):
    a, b, _ = leaves
    assert repr(build(graph, a, b)) == expected


NUMBERS = (-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 1e300, math.inf)
UNKNOWN = (-2.5, -1.0, 0.0, 0.7, 4.0)
OPERATORS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else math.copysign(math.inf, a) if a else math.nan,
}


def compute(node, known):
    """The number that a graph of the four operators stands for."""
    if node.op == "constant":
        return node.value
    inputs = [compute(one, known) for one in node.inputs]
    if not inputs:
        return known[node]
    return -inputs[0] if node.op == "neg" else OPERATORS[node.op](*inputs)


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("wrapped", ["plain", "negative", "other"])
def test_a_simpler_form_has_the_same_value(graph, leaves, op, wrapped):
    """But for the sign of 0, and where something that is not finite is multiplied by 0."""
    a, b, _ = leaves
    operand = {"plain": a, "negative": graph.apply("neg", a), "other": graph.apply("neg", graph.multiply(a, b))}[
        wrapped
    ]
    for number, x, y in itertools.product(NUMBERS, UNKNOWN, UNKNOWN):
        known = {a: x, b: y}
        value = compute(operand, known)
        for inputs, expected in (
            ((operand, graph.constant(number)), OPERATORS[op](value, number)),
            ((graph.constant(number), operand), OPERATORS[op](number, value)),
            ((operand, b), OPERATORS[op](value, y)),
            ((b, operand), OPERATORS[op](y, value)),
        ):
            found = compute(graph.apply(op, *inputs), known)
            if math.isfinite(expected):
                assert found == expected, (op, inputs, known)


def test_constants_fold_unless_they_cannot(graph):
    one, zero = graph.constant(1), graph.constant(0)
    assert graph.add(one, graph.constant(2)).value == 3
    assert graph.apply("exp", zero).value == 1
    assert graph.apply("sqrt", graph.constant(2)).value == math.sqrt(2)
    for op, inputs in (
        ("div", (one, zero)),
        ("log", (zero,)),
        ("sqrt", (graph.constant(-1),)),
        ("exp", (graph.constant(1e4),)),
        ("sigmoid", (one,)),
        ("gt", (one, zero)),
    ):
        node = graph.apply(op, *inputs)
        assert (node.op, node.inputs) == (op, inputs)


def test_zeros_of_both_signs_and_numbers_of_one_value_are_told_apart(graph):
    assert graph.constant(0.0) is not graph.constant(-0.0)
    assert graph.constant(1) is graph.constant(1.0)


def test_ancestors_come_after_their_inputs_and_each_once(graph, leaves):
    a, b, c = leaves
    shared = graph.multiply(a, b)
    root = graph.add(graph.apply("tanh", shared), graph.apply("sub", shared, c))
    found = list(ancestors([root, shared]))
    assert len(found) == len(set(found)) == 7
    for node in found:
        assert all(found.index(one) < found.index(node) for one in node.inputs)


def test_nothing_behind_a_stop_is_found(graph, leaves):
    a, b, c = leaves
    shared = graph.multiply(a, b)
    root = graph.add(shared, c)
    assert set(ancestors([root], stop={shared})) == {root, shared, c}


def test_rebuilding_replaces_and_simplifies(graph, leaves):
    a, b, c = leaves
    product = graph.product(("u", "n"), graph.add(a, b))
    root = graph.add(graph.multiply(product, c), graph.multiply(a, b))
    found = graph.rebuild([root], {c: graph.constant(0), b: a})
    assert repr(found[root]) == "mul(x.a, x.a)"
    found = graph.rebuild([root], {a: graph.constant(0)})
    assert repr(found[root]) == "mul(x.c, product(x.b))"
    assert found[product].name == ("u", "n")
    assert found[b] is b


def test_a_graph_is_as_deep_as_equations_are_long(graph, leaves):
    node = leaves[0]
    for _ in range(5000):
        node = graph.apply("tanh", node)
    assert len(list(ancestors([node]))) == 5001
    assert graph.rebuild([node], {leaves[0]: leaves[1]})[node] is not node
