"""Derivatives of graphs, against torch.autograd in float64."""

import itertools

import pytest
import torch

from recurra.cells import get_cell, list_cells
from recurra.compiler.derivative import differentiate
from recurra.compiler.graph import CONDITIONS, FUNCTIONS, Graph, ancestors
from recurra.compiler.trace import trace
from recurra.testing import assert_within_rounding

FUNCTION_OF = {"neg": torch.neg, "where": torch.where} | {
    op: getattr(torch, op) for op in ("add", "sub", "mul", "div", *FUNCTIONS, *CONDITIONS)
}
ROWS, UNITS = 5, 4


def draw(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def compute(roots, known, weights=None):
    """Values of nodes. known: of leaves; weights: of each gate's products, (unit, unit)."""
    values = dict(known)
    for node in ancestors(roots):
        if node in values:
            continue
        inputs = [values[one] for one in node.inputs]
        if node.op == "constant":
            values[node] = torch.full((ROWS, UNITS), node.value, dtype=torch.float64)
        elif node.op == "product" and node.name[0] == "back":
            gates = node.name[1].split(",")
            values[node] = sum(d @ weights[gate] for gate, d in zip(gates, inputs, strict=True))
        elif node.op == "product":
            values[node] = inputs[0] @ weights[node.name[1]].T
        else:
            values[node] = FUNCTION_OF[node.op](*inputs)
    return [values[node] for node in roots]


def check(graph, roots, known, weights=None):
    """The gradient of every leaf, for random gradients of the roots, is that of autograd."""
    known = {leaf: value.clone().requires_grad_() for leaf, value in known.items()}
    seeds, gradients = {}, []
    for place, root in enumerate(roots):
        seed = graph.leaf("d", str(place))
        seeds[root] = graph.add(seeds[root], seed) if root in seeds else seed
        gradients.append((seed, draw(ROWS, UNITS, seed=50 + place)))
    totals = differentiate(graph, seeds)
    leaves = list(known)
    results = compute(roots, known, weights)
    expected = torch.autograd.grad(
        [value for value in results if value.requires_grad],
        [known[leaf] for leaf in leaves],
        [value for (_, value), result in zip(gradients, results, strict=True) if result.requires_grad],
        allow_unused=True,
        materialize_grads=True,
    )
    zero = graph.constant(0)
    with torch.no_grad():
        found = compute([totals.get(leaf, zero) for leaf in leaves], known | dict(gradients), weights)
    for leaf, one, other in zip(leaves, found, expected, strict=True):
        assert_within_rounding(one, other, f"the gradient of {leaf!r} in {roots!r}")


POSITIVE = {"log", "sqrt"}


@pytest.mark.parametrize("op", ["neg", "sigmoid", "tanh", "relu", "exp", "expm1", "log", "sqrt", "sin", "cos"])
def test_functions_of_one_value(op):
    graph = Graph()
    a = graph.leaf("x", "a")
    value = draw(ROWS, UNITS)
    check(graph, [graph.apply(op, a)], {a: value.abs() + 0.1 if op in POSITIVE else value})


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "maximum", "logaddexp"])
@pytest.mark.parametrize("same", [False, True], ids=["of two", "of one twice"])
def test_functions_of_two_values(op, same):
    graph = Graph()
    a, b = graph.leaf("x", "a"), graph.leaf("x", "b")
    root = graph.apply(op, a, a if same else b)
    check(graph, [root], {a: draw(ROWS, UNITS), b: draw(ROWS, UNITS, seed=1)})


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "maximum", "logaddexp"])
@pytest.mark.parametrize("number", [0.0, 1.0, -1.0, 2.5])
@pytest.mark.parametrize("first", [False, True])
def test_functions_of_a_value_and_a_number(op, number, first):
    graph = Graph()
    a, constant = graph.leaf("x", "a"), graph.constant(number)
    if op == "div" and number == 0 and not first:
        return
    check(graph, [graph.apply(op, *((constant, a) if first else (a, constant)))], {a: draw(ROWS, UNITS)})


def test_where_equal_the_larger_of_two_shares_its_derivative_in_halves():
    graph = Graph()
    a, b = graph.leaf("x", "a"), graph.leaf("x", "b")
    one = draw(ROWS, UNITS).round()
    other = one + torch.tensor([-1.0, 0, 0, 1], dtype=torch.float64)
    check(graph, [graph.apply("maximum", a, b)], {a: one, b: other})
    totals = differentiate(graph, {graph.apply("maximum", a, b): graph.constant(1)})
    (found,) = compute([totals[a]], {a: one, b: other})
    assert found[0].tolist() == [1, 0.5, 0.5, 0]


def test_the_rectifier_has_no_derivative_at_zero():
    graph = Graph()
    a = graph.leaf("x", "a")
    value = torch.tensor([[-1.0, -0.0, 0.0, 1.0]] * ROWS, dtype=torch.float64)
    check(graph, [graph.apply("relu", a)], {a: value})
    (found,) = compute([differentiate(graph, {graph.apply("relu", a): graph.constant(1)})[a]], {a: value})
    assert found[0].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("op", CONDITIONS)
def test_a_choice_passes_its_derivative_to_what_was_chosen_and_none_to_the_condition(op):
    graph = Graph()
    a, b, c, d = (graph.leaf("x", word) for word in "abcd")
    one = draw(ROWS, UNITS).round()
    known = {a: one, b: one.roll(1), c: draw(ROWS, UNITS, seed=2), d: draw(ROWS, UNITS, seed=3)}
    assert (known[a] == known[b]).any() and (known[a] != known[b]).any()
    check(graph, [graph.apply("where", graph.apply(op, a, b), c, d)], known)
    check(graph, [graph.apply("where", graph.apply(op, a, b), a, d)], known)
    check(graph, [graph.apply("where", graph.apply(op, a, b), c, graph.constant(2))], known)


def test_a_value_that_is_used_often_gets_the_sum():
    graph = Graph()
    a, b = graph.leaf("x", "a"), graph.leaf("x", "b")
    shared = graph.multiply(graph.apply("tanh", a), b)
    root = graph.add(
        graph.multiply(shared, shared), graph.apply("sub", graph.apply("sin", shared), graph.add(a, shared))
    )
    check(graph, [root, shared], {a: draw(ROWS, UNITS), b: draw(ROWS, UNITS, seed=1)})


def test_one_value_may_be_several_results():
    graph = Graph()
    a = graph.leaf("x", "a")
    root = graph.apply("exp", a)
    check(graph, [root, root, a], {a: draw(ROWS, UNITS)})


def test_a_result_that_owes_nothing_has_no_gradient():
    graph = Graph()
    a, b = graph.leaf("x", "a"), graph.leaf("x", "b")
    totals = differentiate(
        graph, {graph.apply("tanh", a): graph.leaf("d", "0"), graph.constant(3): graph.leaf("d", "1")}
    )
    assert a in totals
    assert b not in totals


def test_products_owe_their_operand_through_their_weights_in_one_product():
    graph = Graph()
    a, b = graph.leaf("x", "a"), graph.leaf("x", "b")
    operand = graph.multiply(a, b)
    n, m = (graph.product(("u", gate), operand) for gate in "nm")
    root = graph.add(graph.multiply(graph.apply("tanh", n), b), graph.apply("sigmoid", m))
    weights = {gate: draw(UNITS, UNITS, seed=seed) for seed, gate in enumerate("nm")}
    known = {a: draw(ROWS, UNITS), b: draw(ROWS, UNITS, seed=1)}
    check(graph, [root, operand], known, weights)
    totals = differentiate(graph, {root: graph.leaf("d", "0")})
    backs = [node for node in ancestors([totals[a]]) if node.op == "product" and node.name[0] == "back"]
    assert [node.name[1] for node in backs] == ["n,m"]


def test_products_of_products():
    graph = Graph()
    a = graph.leaf("x", "a")
    first = graph.product(("u", "n"), graph.apply("tanh", a))
    second = graph.product(("u", "m"), graph.multiply(first, a))
    root = graph.apply("sin", graph.add(second, first))
    weights = {gate: draw(UNITS, UNITS, seed=seed) for seed, gate in enumerate("nm")}
    check(graph, [root], {a: draw(ROWS, UNITS)}, weights)


@pytest.mark.parametrize("name", [*list_cells(), "elman-relu", "leaky-0.3-sigmoid", "jordan-relu"])
def test_every_cell(name):
    cell = get_cell(name)
    graph, after = trace(cell)
    leaves = [node for node in ancestors(after) if node.op == "leaf"]
    known = {leaf: draw(ROWS, UNITS, seed=place).abs() + 0.1 for place, leaf in enumerate(leaves)}
    weights = {gate: draw(UNITS, UNITS, seed=20 + place) for place, gate in enumerate(cell.recurrent_gates)}
    check(graph, list(after), known, weights)


def test_second_derivatives_are_derivatives_of_derivatives():
    """A graph's derivative is a graph: so is the derivative of that."""
    graph = Graph()
    a = graph.leaf("x", "a")
    for op in ("tanh", "sigmoid", "exp", "sin", "sqrt", "log"):
        root = graph.apply(op, a)
        once = differentiate(graph, {root: graph.constant(1)})[a]
        twice = differentiate(graph, {once: graph.constant(1)})[a]
        value = (draw(ROWS, UNITS).abs() + 0.1).requires_grad_()
        (first,) = torch.autograd.grad(FUNCTION_OF[op](value).sum(), value, create_graph=True)
        (expected,) = torch.autograd.grad(first.sum(), value)
        assert_within_rounding(compute([twice], {a: value.detach()})[0], expected, op)


def test_no_gradient_is_computed_of_what_is_multiplied_by_zero():
    graph = Graph()
    leaves = [graph.leaf("x", word) for word in "abc"]
    for one, other in itertools.permutations(leaves, 2):
        totals = differentiate(graph, {graph.multiply(one, graph.constant(0)): graph.leaf("d", "0")})
        assert one not in totals and other not in totals
