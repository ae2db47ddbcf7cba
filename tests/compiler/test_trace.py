"""Running equations on symbols: the graph that comes of it, and refusals that name the line and why."""

import inspect

import numpy as np
import pytest
import torch

from recurra.cells import Cell, State, get_cell, list_cells, relu, sigmoid, tanh
from recurra.cells._functions import is_zero, maximum, where
from recurra.compiler.graph import ancestors
from recurra.compiler.trace import Untraceable, trace
from recurra.engines import choose

CELLS = [*list_cells(), "elman-relu", "elman-linear", "leaky-0.25-sigmoid", "jordan-linear", "indrnn-linear"]


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_is_traced_and_uses_what_it_declares(name):
    cell = get_cell(name)
    _, after = trace(cell)
    nodes = list(ancestors(after))
    assert len(after) == len(cell.states)
    used = {node.name for node in nodes}
    declared = {("x", gate) for gate in cell.gates} | {("u", gate) for gate in cell.recurrent_gates}
    declared |= {("p", vector) for vector in cell.vectors} | ({("row", "gap")} if cell.reads_gaps else set())
    assert declared <= used
    assert {kind for kind, _ in used - {None}} <= {"x", "u", "s", "p", "row", "h"}
    second = {node.name[1] for node in nodes if node.op == "product" and node.inputs[0].name != ("h", "operand")}
    assert second == set(cell.second)


def test_what_an_lstm_becomes():
    graph, (h, c) = trace(get_cell("lstm"))

    def gate(function, word):
        summed = graph.add(graph.leaf("x", word), graph.product(("u", word), graph.leaf("h", "operand")))
        return graph.apply(function, summed)

    kept = graph.multiply(gate("sigmoid", "f"), graph.leaf("s", "c"))
    assert c is graph.add(kept, graph.multiply(gate("sigmoid", "i"), gate("tanh", "g")))
    assert h is graph.multiply(gate("sigmoid", "o"), graph.apply("tanh", c))


def cell_of(step, **declared):
    """A cell whose equations are a function of x, u and s, and p if it has vectors."""
    names = {"gates": ("n", "m"), "states": ("h",)} | declared
    return type("Given", (Cell,), {**names, "step": staticmethod(step)})()


def graph_of(expression, **declared):
    return repr(trace(cell_of(lambda x, u, s: State(h=expression(x, u, s)), **declared)).after[0])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda x, u, s: +x.n, "x.n"),
        (lambda x, u, s: x.n - 1, "sub(x.n, 1.0)"),
        (lambda x, u, s: 1 - x.n, "sub(1.0, x.n)"),
        (lambda x, u, s: 2 / x.n, "div(2.0, x.n)"),
        (lambda x, u, s: x.n / x.m, "div(x.n, x.m)"),
        (lambda x, u, s: -(x.n * x.m), "neg(mul(x.n, x.m))"),
        (lambda x, u, s: x.n**1, "x.n"),
        (lambda x, u, s: x.n**2, "mul(x.n, x.n)"),
        (lambda x, u, s: sum([x.n, x.m]), "add(x.n, x.m)"),
        (lambda x, u, s: x.n.logaddexp(x.m), "logaddexp(x.n, x.m)"),
        (lambda x, u, s: maximum(x.n, s.h), "maximum(x.n, s.h)"),
        (lambda x, u, s: where(x.n >= x.m, x.n, 0.5), "where(ge(x.n, x.m), x.n, 0.5)"),
        (lambda x, u, s: where(x.n < 1, x.n, x.m), "where(lt(x.n, 1.0), x.n, x.m)"),
        (lambda x, u, s: where(is_zero(s.h), x.n, x.m), "where(eq(s.h, 0.0), x.n, x.m)"),
        (lambda x, u, s: where(x.n != s.h, x.n, x.m), "where(ne(x.n, s.h), x.n, x.m)"),
        (lambda x, u, s: x.n * np.float64(1.5), "mul(x.n, 1.5)"),
        (lambda x, u, s: torch.tanh(x.n), "tanh(x.n)"),
        (lambda x, u, s: torch.sub(1.0, x.n), "sub(1.0, x.n)"),
        (lambda x, u, s: torch.where(x.n > 0, x.n, 0.5), "where(gt(x.n, 0.0), x.n, 0.5)"),
        (lambda x, u, s: x.n + 0 * x.m, "x.n"),
    ],
)
def test_what_operators_and_functions_write_down(expression, expected):
    assert graph_of(expression) == expected


def test_further_projections_are_of_what_they_are_given():
    step = lambda x, u, s: State(h=tanh(x.n + u.m(sigmoid(u.n) * s.h)))  # noqa: E731
    graph, (h,) = trace(cell_of(step, recurrent=("n", "m"), second=("m",)))
    (product,) = (node for node in ancestors([h]) if node.name == ("u", "m"))
    first = graph.product(("u", "n"), graph.leaf("h", "operand"))
    assert product.inputs == (graph.multiply(graph.apply("sigmoid", first), graph.leaf("s", "h")),)


def test_the_gap_and_vectors_are_leaves():
    step = lambda x, u, s, p: State(h=x.gap * p.v)  # noqa: E731
    assert {node.name for node in ancestors(trace(cell_of(step, vectors={"v": None}, reads_gaps=True)).after)} == {
        None,
        ("row", "gap"),
        ("p", "v"),
    }


def test_a_branch_on_an_option_is_taken_and_fields_come_in_any_order():
    def step(x, u, s):
        memory = s.c + (x.n if "n" in ("n",) else x.m)
        return State(c=memory, h=tanh(memory))

    after = trace(cell_of(step, states=("h", "c"))).after
    assert [node.op for node in after] == ["tanh", "add"]


def branches(x, u, s):
    if x.n > 0:
        return State(h=x.n)
    return State(h=x.m)


def picks_the_larger(x, u, s):
    return State(h=max(x.n, x.m))


def is_one_of(x, u, s):
    return State(h=x.n if x.n in (0, 1) else x.m)


def calls_torch(x, u, s):
    return State(h=torch.softmax(x.n, 1))


def calls_torch_of_many(x, u, s):
    return State(h=torch.stack([x.n, x.m])[0])


def calls_torch_by_name(x, u, s):
    return State(h=torch.add(x.n, x.m, alpha=2))


def averages(x, u, s):
    return State(h=x.n - x.n.mean(1, keepdim=True))


def asks_for_the_shape(x, u, s):
    rows = x.n.shape[0]
    return State(h=x.n / rows)


def detaches(x, u, s):
    return State(h=s.h.detach() + x.n)


def takes_a_root(x, u, s):
    return State(h=x.n**0.5)


def takes_a_negative_power(x, u, s):
    return State(h=x.n**-1)


def takes_a_value_as_power(x, u, s):
    return State(h=x.n**x.m)


def raises_a_number(x, u, s):
    return State(h=2**x.n)


def iterates(x, u, s):
    return State(h=sum(x.n))


def indexes(x, u, s):
    return State(h=x.n[0])


def takes_the_length(x, u, s):
    return State(h=x.n / len(x.n))


def multiplies_a_condition(x, u, s):
    return State(h=x.n * (x.n > 0))


def takes_no_condition(x, u, s):
    return State(h=where(x.n, x.n, x.m))


def takes_python_for_a_condition(x, u, s):
    return State(h=where(True, x.n, x.m))


def adds_a_tensor(x, u, s):
    return State(h=x.n + torch.ones(3))


def adds_nothing(x, u, s):
    return State(h=x.n + None)


def multiplies_with_a_truth(x, u, s):
    return State(h=x.n * True)


def misspells(x, u, s):
    return State(h=x.q)


def rounds(x, u, s):
    return State(h=abs(x.n))


def divides_by_zero(x, u, s):
    return State(h=x.n * (1 / 0))


def is_a_key(x, u, s):
    known = {x.n: 1}
    return State(h=x.n * len(known))


@pytest.mark.parametrize(
    ("step", "line", "why"),
    [
        (branches, "if x.n > 0:", "a branch on values"),
        (picks_the_larger, "return State(h=max(x.n, x.m))", "use where(condition, one, other)"),
        (is_one_of, "return State(h=x.n if x.n in (0, 1) else x.m)", "a branch on values"),
        (calls_torch, "return State(h=torch.softmax(x.n, 1))", "torch.softmax is no function of recurra.cells"),
        (
            calls_torch_of_many,
            "return State(h=torch.stack([x.n, x.m])[0])",
            "torch.stack is no function of recurra.cells",
        ),
        (
            calls_torch_by_name,
            "return State(h=torch.add(x.n, x.m, alpha=2))",
            "torch.add is no function of recurra.cells",
        ),
        (averages, "return State(h=x.n - x.n.mean(1, keepdim=True))", "'mean' is no function of recurra.cells"),
        (asks_for_the_shape, "rows = x.n.shape[0]", "'shape' is no function of recurra.cells"),
        (detaches, "return State(h=s.h.detach() + x.n)", "'detach' is no function of recurra.cells"),
        (takes_a_root, "return State(h=x.n**0.5)", "the power 0.5 is not a whole number above 0"),
        (takes_a_negative_power, "return State(h=x.n**-1)", "the power -1 is not a whole number above 0"),
        (takes_a_value_as_power, "return State(h=x.n**x.m)", "is not a whole number above 0"),
        (raises_a_number, "return State(h=2**x.n)", "unsupported operand"),
        (iterates, "return State(h=sum(x.n))", "a value has no parts"),
        (indexes, "return State(h=x.n[0])", "not subscriptable"),
        (takes_the_length, "return State(h=x.n / len(x.n))", "has no len()"),
        (multiplies_a_condition, "return State(h=x.n * (x.n > 0))", "a term is a condition; use where("),
        (takes_no_condition, "return State(h=where(x.n, x.n, x.m))", "where was given no condition"),
        (takes_python_for_a_condition, "return State(h=where(True, x.n, x.m))", "where was given no condition"),
        (adds_a_tensor, "return State(h=x.n + torch.ones(3))", "a term is Tensor"),
        (adds_nothing, "return State(h=x.n + None)", "a term is NoneType"),
        (multiplies_with_a_truth, "return State(h=x.n * True)", "a term is bool"),
        (misspells, "return State(h=x.q)", "has no attribute 'q'"),
        (rounds, "return State(h=abs(x.n))", "bad operand type for abs()"),
        (divides_by_zero, "return State(h=x.n * (1 / 0))", "division by zero"),
        (is_a_key, "known = {x.n: 1}", "unhashable"),
    ],
)
def test_a_refusal_names_the_line_of_the_equation_and_why(step, line, why):
    source, first = inspect.getsourcelines(step)
    number = first + [one.strip() for one in source].index(line)
    with pytest.raises(Untraceable) as caught:
        trace(cell_of(step))
    said = str(caught.value)
    assert said.startswith(f"line {number}")
    assert line in said
    assert why in said.partition(line)[2]


def helper(value):
    return value.softmax(1)


def test_the_line_is_that_of_a_function_beside_the_equations():
    def step(x, u, s):
        return State(h=helper(x.n))

    with pytest.raises(Untraceable, match=r"^line \d+.*return value.softmax\(1\).*'softmax' is no function"):
        trace(cell_of(step))


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        (lambda x: x.n, "step returned "),
        (lambda x: None, r"step returned NoneType, and not State\(h=..., c=...\)"),
        (lambda x: State(h=x.n), r"and not State\(h=..., c=...\)"),
        (lambda x: State(h=x.n, c=x.n, d=x.n), r"and not State\(h=..., c=...\)"),
        (lambda x: (x.n, x.n), r"and not State\(h=..., c=...\)"),
        (lambda x: State(h=x.n, c=None), "state c is NoneType; expected numbers and what is made of x, u and s"),
        (lambda x: State(h=x.n > 0, c=x.n), r"state h is a condition; use where\(condition, one, other\)"),
    ],
)
def test_other_fields_than_the_cells_are_refused(returned, why):
    with pytest.raises(Untraceable, match=why):
        trace(cell_of(lambda x, u, s: returned(x), states=("h", "c")))


def test_a_further_projection_that_is_not_called_is_refused():
    cell = cell_of(lambda x, u, s: State(h=x.n + u.m), recurrent=("n", "m"), second=("m",))
    with pytest.raises(Untraceable, match="a term is partial"):
        trace(cell)


def test_a_further_projection_of_two_values_is_refused_and_of_one_value_twice_is_not():
    def twice(x, u, s):
        return State(h=u.m(x.n) + u.m(x.m))

    def once(x, u, s):
        return State(h=u.m(x.n) * tanh(u.m(x.n)))

    declared = {"recurrent": ("n", "m"), "second": ("m",)}
    with pytest.raises(
        Untraceable, match=r"line \d+.*u\.m is given a second value; its weights multiply one in a step"
    ):
        trace(cell_of(twice, **declared))
    products = [node for node in ancestors(trace(cell_of(once, **declared)).after) if node.op == "product"]
    assert len(products) == 1


def test_what_cannot_be_traced_runs_by_the_reference_and_says_which_line():
    cell = cell_of(averages)
    choice = choose(cell)
    assert choice.engine == "reference"
    assert "return State(h=x.n - x.n.mean(1, keepdim=True))" in choice.why
    assert "'mean' is no function of recurra.cells" in choice.why


def test_tracing_leaves_no_mark_on_the_cell():
    cell = get_cell("leaky-0.5-relu")
    before = dict(vars(cell))
    assert repr(trace(cell).after[0]) == repr(trace(cell).after[0])
    assert vars(cell) == before
    assert relu(torch.tensor(-1.0)) == 0
