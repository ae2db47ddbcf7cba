"""Which recurrences are linear in their state, and what their matrices and offsets are."""

from typing import ClassVar

import pytest

from recurra.cells import Cell, State, get_cell, list_cells, sigmoid, tanh
from recurra.cells._functions import maximum, where
from recurra.compiler.linear import NotLinear, linear_form
from recurra.compiler.trace import Untraceable

LINEAR = {"lru": ("re", "im"), "mingru": ("h",), "minlstm": ("h",), "qrnn": ("c",), "indrnn-linear": ("h",)}


def spelled(form, place):
    """A value in words."""
    op, inputs, name, number = form.operations[place]
    if op == "constant":
        return f"{number:g}"
    if op == "leaf":
        return ".".join(name)
    return f"{name[1] if op == 'product' else op}({', '.join(spelled(form, one) for one in inputs)})"


def test_the_linear_ones_are_found_by_their_equations():
    found = {}
    for name in [*list_cells(), "indrnn-linear", "elman-linear"]:
        try:
            found[name] = linear_form(get_cell(name)).memory
        except NotLinear:
            continue
    assert found == LINEAR


def test_the_matrix_and_the_offsets_of_a_gated_memory():
    form = linear_form(get_cell("mingru"))
    [(row, column, place)] = form.matrix
    assert (row, column, spelled(form, place)) == (0, 0, "sub(1, sigmoid(x.z))")
    assert [spelled(form, one) for one in form.offsets] == ["mul(x.n, sigmoid(x.z))"]
    assert form.outputs == ()


def test_a_rotation_has_a_full_matrix_and_its_output_is_no_memory():
    form = linear_form(get_cell("lru"))
    assert [place[:2] for place in form.matrix] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert spelled(form, form.matrix[1][2]).startswith("neg(")
    [(field, place)] = form.outputs
    assert (field, spelled(form, place)) == ("h", "add(x.d, sub(c_re(after.re), c_im(after.im)))")


class Delayed(Cell):
    """Its output reads its memory before the step, in ways that are not linear; its memory does not."""

    gates = ("n",)
    states = ("h", "c", "d")
    recurrent = ()

    def step(self, x, u, s):
        c = 0.5 * s.c + 2 * x.n
        return State(h=tanh(s.d) * c, c=c, d=s.c - s.d / 4)


def test_fields_that_read_others_are_one_recurrence():
    form = linear_form(Delayed())
    assert form.memory == ("c", "d")
    assert {place[:2]: spelled(form, place[2]) for place in form.matrix} == {
        (0, 0): "0.5",
        (1, 0): "1",
        (1, 1): "-0.25",
    }
    assert [spelled(form, one) for one in form.offsets] == ["mul(x.n, 2)", "0"]
    assert spelled(form, form.outputs[0][1]) == "mul(tanh(s.d), after.c)"


class Squared(Cell):
    gates = ("n",)
    states = ("h", "c")
    recurrent = second = ("q", "r")
    vectors: ClassVar = {"v": None}

    def step(self, x, u, s, p):
        return State(h=x.n, c=s.c * s.c)


class Peeping(Squared):
    def step(self, x, u, s, p):
        return State(h=x.n, c=sigmoid(p.v * s.c) * x.n)


class Crossed(Squared):
    def step(self, x, u, s, p):
        return State(h=s.c * s.h, c=s.c + x.n)


class Mixed(Squared):
    def step(self, x, u, s, p):
        return State(h=x.n, c=u.r(s.c) + x.n)


class Stepped(Squared):
    """Its derivative is 0 wherever there is one."""

    def step(self, x, u, s, p):
        return State(h=x.n, c=where(s.c > 0, x.n, -x.n))


class Bounded(Squared):
    def step(self, x, u, s, p):
        return State(h=x.n, c=maximum(s.c, x.n))


class Branching(Squared):
    def step(self, x, u, s, p):
        return State(h=x.n, c=s.c if s.c > 0 else x.n)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Peeping(), "c is not linear in the state of the step before"),
        (Squared(), "c is not linear in the state of the step before"),
        (Crossed(), "h is not linear in the state of the step before"),
        (Bounded(), "c is not linear in the state of the step before"),
        (Stepped(), "c depends on a condition of the state of the step before"),
        (Mixed(), r"the product u\.r mixes units of the state on its way to c"),
        (get_cell("sru"), "c is not linear in the state of the step before"),
        (get_cell("gru"), "a recurrent product reads the output of the step before"),
        (get_cell("elman-linear"), "a recurrent product reads the output of the step before"),
        (get_cell("indrnn"), "h is not linear in the state of the step before"),
    ],
)
def test_what_is_not_linear_is_refused_with_the_reason(cell, words):
    with pytest.raises(NotLinear, match=words):
        linear_form(cell)


def test_what_is_no_graph_is_refused_as_such():
    with pytest.raises(Untraceable, match="branch on values"):
        linear_form(Branching())


class Seeing(Squared):
    """Products and conditions of the input alone are as good as any other gate; so is a state that nothing reads."""

    def step(self, x, u, s, p):
        return State(h=u.q(s.c) * tanh(s.c), c=where(x.n > 0, u.r(tanh(x.n)), p.v) * s.c + maximum(x.n, p.v))


def test_gates_may_be_anything_that_is_made_of_the_input():
    form = linear_form(Seeing())
    assert form.memory == ("c",)
    assert spelled(form, form.matrix[0][2]) == "where(gt(x.n, 0), r(tanh(x.n)), p.v)"
    assert spelled(form, form.offsets[0]) == "maximum(x.n, p.v)"
    assert spelled(form, form.outputs[0][1]) == "mul(q(s.c), tanh(s.c))"
