"""The options of a layer in the graph of the equations: pairs, normalisation, masks, zoneout, vectors."""

from typing import ClassVar

import pytest

from recurra.cells import Cell, State, get_cell, sigmoid, tanh
from recurra.cells._functions import exp, is_zero, where
from recurra.compiler.forms import Form, shaped
from recurra.compiler.graph import ancestors
from recurra.compiler.trace import Untraceable


def names_of(nodes, *kinds):
    """The words of leaves and products of these kinds."""
    found = {node.name for node in ancestors(nodes) if node.name}
    return {".".join(name) for name in found if name[0] in kinds}


def of_equations(step, form=Form(), **declared):  # noqa: B008 - a tuple
    names = {"gates": ("n", "m"), "states": ("h",)} | declared
    return shaped(type("Given", (Cell,), {**names, "step": staticmethod(step)})(), form)


def written(step, form=Form(), **declared):  # noqa: B008 - a tuple
    return repr(of_equations(step, form, **declared).after[0])


def test_the_two_projections_of_a_gate_are_one_where_only_their_sum_matters():
    assert names_of(shaped(get_cell("lstm"), Form()).after, "x", "u", "a") == {"a.i", "a.f", "a.g", "a.o"}
    assert names_of(shaped(get_cell("gru"), Form()).after, "x", "u", "a") == {"a.r", "a.z", "x.n", "u.n"}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda x, u, s: State(h=tanh(x.n + u.n)), "tanh(a.n)"),
        (lambda x, u, s: State(h=tanh(u.n + x.n)), "tanh(a.n)"),
        (lambda x, u, s: State(h=tanh(x.n + s.h + u.n)), "tanh(add(s.h, a.n))"),
        (lambda x, u, s: State(h=tanh(x.n + (s.h + u.n))), "tanh(add(s.h, a.n))"),
        (lambda x, u, s: State(h=x.n + u.m + (x.m + u.n)), "add(a.n, a.m)"),
        (lambda x, u, s: State(h=tanh(x.n + u.m)), "tanh(add(x.n, u.m))"),
        (lambda x, u, s: State(h=tanh(x.n - u.n)), "tanh(sub(x.n, u.n))"),
        (lambda x, u, s: State(h=tanh(x.n + u.n) * x.n), "mul(x.n, tanh(add(x.n, u.n)))"),
        (lambda x, u, s: State(h=tanh(x.n + u.n) * u.n), "mul(u.n, tanh(add(x.n, u.n)))"),
        (lambda x, u, s: State(h=tanh(x.n + u.n + x.n)), "tanh(add(x.n, add(x.n, u.n)))"),
    ],
)
def test_pairs_are_found_among_the_terms_of_a_sum_unless_one_of_them_is_used_elsewhere(step, expected):
    graph, after, _ = of_equations(step)
    assert after[0] is _parsed(graph, expected)


def _parsed(graph, text):
    """The node that a graph writes so."""
    op, inside, rest = text.partition("(")
    if not inside:
        kind, word = text.split(".")
        return graph.leaf(kind, word)
    depth, start, parts = 0, 0, []
    for place, letter in enumerate(rest[:-1]):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(rest[start:place].strip())
            start = place + 1
    parts.append(rest[start:-1].strip())
    return graph.apply(op, *(_parsed(graph, part) for part in parts))


def test_a_pair_that_is_used_twice_is_still_one():
    _, after, _ = of_equations(lambda x, u, s: State(h=(lambda a: a * sigmoid(a))(x.n + u.n)))
    assert names_of(after, "x", "u", "a") == {"a.n"}


def test_a_pair_in_a_sum_that_is_a_result_and_a_part_of_another():
    def step(x, u, s):
        total = x.n + u.n
        return State(h=total, c=total + s.c)

    graph, (h, c), _ = of_equations(step, states=("h", "c"))
    assert h is graph.leaf("a", "n")
    assert c is graph.add(h, graph.leaf("s", "c"))


def test_normalised_projections_stay_apart_with_gain_and_bias_of_their_own():
    graph, after, vectors = shaped(get_cell("lstm"), Form(layer_norm=True))
    assert names_of(after, "x", "u", "a") == {f"{kind}.{gate}" for kind in "xu" for gate in "ifgo"}
    assert {repr(vector) for vector in vectors} == {
        f"p.{kind}_{side}.{gate}" for kind in ("gain", "bias") for side in ("ih", "hh") for gate in "ifgo"
    }
    place = vectors.index(graph.leaf("p", "gain_hh.f"))
    assert graph.multiply(graph.leaf("vector", str(place)), graph.leaf("u", "f")) in set(ancestors(after))


def test_a_further_product_is_normalised_and_thinned_where_it_is_made():
    graph, after, vectors = shaped(get_cell("mgu"), Form(layer_norm=True, thinned=True))
    (product,) = (node for node in ancestors(after) if node.op == "product")
    assert product.name == ("u", "n")
    assert graph.leaf("thin", "") in product.inputs[0].inputs
    place = vectors.index(graph.leaf("p", "gain_hh.n"))
    assert graph.multiply(graph.leaf("vector", str(place)), product) in set(ancestors(after))


def test_what_is_not_thinned_knows_no_mask():
    assert names_of(shaped(get_cell("mgu"), Form()).after, "thin") == set()
    assert (
        names_of(shaped(get_cell("lstm"), Form(thinned=True)).after, "thin") == set()
    )  # its operand is thinned before


def test_zoneout_keeps_drawn_units_or_a_share_field_by_field():
    graph, plain, _ = shaped(get_cell("lstm"), Form())
    graph, (h, c), vectors = shaped(get_cell("lstm"), Form(zoneout=("drawn", "share")))
    assert (h.op, h.inputs[0], h.inputs[1]) == ("where", graph.leaf("kept", "h"), graph.leaf("s", "h"))
    assert repr(h.inputs[2]) == repr(plain[0])
    assert vectors == (graph.leaf("p", "share.c"),)
    old, share = graph.leaf("s", "c"), graph.leaf("vector", "0")
    (new,) = (one for one in c.inputs if repr(one) == repr(plain[1]))
    assert c is graph.add(new, graph.multiply(share, graph.apply("sub", old, new)))


def test_zoneout_of_one_field_leaves_the_other_as_it_is():
    _, (h, c), _ = shaped(get_cell("lstm"), Form(zoneout=("", "drawn")))
    assert h.op == "mul"
    assert c.op == "where"


class Ringing(Cell):
    """With parts of all kinds made of vectors alone."""

    gates = ("n",)
    states = ("h", "c")
    vectors: ClassVar = {"v": None, "w": None}

    def step(self, x, u, s, p):
        size = exp(-exp(p.v)) * 2
        mixed = where(p.w > 0, x.n, s.c * p.w)
        return State(h=tanh(size * s.h + mixed), c=where(is_zero(p.v - p.w), s.c, size * p.w))


def test_vectors_are_the_largest_parts_made_of_parameters_alone():
    graph, after, vectors = shaped(Ringing(), Form())
    v, w = graph.leaf("p", "v"), graph.leaf("p", "w")
    size = graph.multiply(graph.apply("exp", graph.apply("neg", graph.apply("exp", v))), graph.constant(2))
    assert set(vectors) == {size, w, graph.apply("sub", v, w), graph.multiply(size, w)}
    assert names_of(after, "p") == set()
    assert names_of(after, "vector") == {f"vector.{place}" for place in range(4)}


def test_a_condition_of_parameters_is_no_vector():
    _, after, vectors = shaped(Ringing(), Form())
    assert {node.op for node in ancestors(vectors)} <= {"leaf", "constant", "exp", "neg", "mul", "sub"}
    assert {node.op for node in ancestors(after)} >= {"gt", "eq"}


def test_a_state_that_is_a_vector_is_one():
    graph, after, vectors = of_equations(
        lambda x, u, s, p: State(h=tanh(x.n), c=tanh(p.v)), states=("h", "c"), vectors={"v": None}
    )
    assert after[1] is graph.leaf("vector", "0")
    assert vectors == (graph.apply("tanh", graph.leaf("p", "v")),)


@pytest.mark.parametrize(
    ("name", "form", "why"),
    [
        ("gru", Form(projected=True), "the equations read s.h unit by unit, and a projected output has other units"),
        ("lstm", Form(projected=True, zoneout=("share", "")), "zoneout of a projected output acts behind"),
        ("lstm", Form(projected=True, zoneout=("drawn", "")), "zoneout of a projected output acts behind"),
        ("jordan", Form(projected=True, thinned=True), "recurrent dropout acts on further products too"),
    ],
)
def test_forms_that_have_no_meaning_are_refused(name, form, why):
    with pytest.raises(Untraceable, match=why):
        shaped(get_cell(name), form)


@pytest.mark.parametrize("form", [Form(projected=True, thinned=True), Form(projected=True, zoneout=("", "drawn"))])
def test_forms_that_have_one_are_not(form):
    assert len(shaped(get_cell("lstm"), form).after) == 2


def test_equations_that_are_no_graph_are_refused():
    with pytest.raises(Untraceable, match="'mean' is no function"):
        written(lambda x, u, s: State(h=x.n.mean()))
