"""The contract: what a class must declare to be a cell."""

import pytest

from recurra.cells import Cell, State, get_cell, tanh
from recurra.cells.elman import Elman
from recurra.cells.lstm import LSTM
from recurra.errors import ArgumentError


def step(self, x, u, s):
    return State(h=tanh(x.n + u.n))


def define(**members):
    return type("Mine", (Cell,), {"gates": ("n",), "states": ("h",), "step": step, **members})


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"gates": ()}, "gates is ()"),
        ({"gates": ["n"]}, "gates is ['n']"),
        ({"gates": "n"}, "expected a tuple of names"),
        ({"gates": ("n", 1)}, "expected a tuple of names"),
        ({"gates": ("n", "n")}, "a name stands there twice"),
        ({"gates": ("reset gate",)}, "'reset gate'"),
        ({"gates": ("_n",)}, "leading underscore"),
        ({"gates": ("lambda",)}, "'lambda'"),
        ({"recurrent": ("n", "n")}, "a name stands there twice"),
        ({"recurrent": ["n"]}, "expected a tuple of names"),
        ({"recurrent": ("n", "k"), "second": ("n",)}, "expected the last of the recurrent projections ('n', 'k')"),
        ({"vectors": {"weight_hh": None}}, "begins otherwise than the layer's own parameters"),
        ({"vectors": ["v"]}, "vectors is ['v']; expected names with None or a function each"),
        ({"vectors": {"v": 0.5}}, "vectors['v'] is 0.5"),
        ({"states": ("h", "detach")}, "'detach', which is a method of every state"),
        ({"gates": ("gap",), "reads_gaps": True}, "'gap', which is the time gap's"),
        ({"forget_gate": "f"}, "forget_gate is 'f'; expected one of ('n',)"),
        ({"vectors": {"v": None}}, "step takes x, u, s; expected step(self, x, u, s, p)"),
        ({"step": lambda self, x, u, s, p: s}, "step takes x, u, s, p; expected step(self, x, u, s)"),
        ({"states": ("h", "h")}, "a name stands there twice"),
        ({"step": Cell.step}, "has no step"),
    ],
)
def test_an_invalid_declaration_is_refused_where_it_is_made(members, words):
    with pytest.raises(ArgumentError, match="Mine") as caught:
        define(**members)
    assert words in str(caught.value)


def test_gates_and_states_must_be_declared():
    with pytest.raises(ArgumentError, match=r"gates is missing; declare it, as in gates = "):
        type("Mine", (Cell,), {"states": ("h",), "step": step})
    with pytest.raises(ArgumentError, match=r"states is missing"):
        type("Mine", (Cell,), {"gates": ("n",), "step": step})


def test_a_subclass_inherits_what_it_does_not_declare():
    class Quiet(LSTM):
        def step(self, x, u, s):
            return State(h=0 * s.h, c=s.c)

    assert Quiet().gates == ("i", "f", "g", "o")
    assert Quiet() != LSTM()


def test_a_name_holds_the_options_that_differ_from_the_defaults():
    assert [Elman().name, Elman("tanh").name, Elman("relu").name] == ["elman", "elman", "elman-relu"]
    assert get_cell(Elman("sigmoid").name) == Elman("sigmoid") != Elman()
    assert len({Elman("relu"), Elman("relu"), Elman()}) == 2
    assert repr(Elman("relu")) == "Elman(activation='relu')"


def test_values_are_reached_by_gate_in_memory_order():
    assert LSTM().by_gate([1, 2, 3, 4]).g == 3
    assert LSTM().by_state([5, 6]) == State(h=5, c=6)


def test_a_step_may_be_a_static_method():
    cell = define(step=staticmethod(lambda x, u, s: State(h=x.n)))()
    assert cell.step(cell.by_gate([7]), None, None).h == 7


def test_an_option_that_is_not_stored_is_named():
    class Forgetful(Elman):
        def __init__(self, size=1):
            super().__init__()

    with pytest.raises(ArgumentError, match=r"takes 'size' and does not store it; write self.size = size"):
        _ = Forgetful().name
